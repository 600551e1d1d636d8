"""What was sent to whom, as the ledger has it; looking changes nothing, and settling stays with a command."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.responses import HTMLResponse, Response

from digest.addresses import masked
from digest.calculator import bridge
from digest.compose import facts_of, hits_after
from digest.dispatch import memory_of
from digest.editions import mid_month
from digest.errors import DigestError
from digest.history import facts
from digest.ledger import Delivery, RunState, State, read_ledger
from digest.preview.address import NotAllowedError, UnknownError, path_of
from digest.preview.frame import Opened, opened, with_pictures
from digest.preview.guard import FRAME_POLICY
from digest.preview.page import Asked, Page
from digest.preview.pages.calendar import reason_shown
from digest.preview.rows import between, differing, headings, printed
from digest.render import words as said
from digest.snapshot import edition_from_json

if TYPE_CHECKING:
    from digest.ledger.store import Reader
    from digest.model import Correction, Edition, Scorecard
    from digest.render.locales import Locale
    from digest.settings import Settings

RUNS = 30
MONTHS = 6  # of which the printed forecast is told
DECISIONS = ("sent", "resend", "cancel")
RUN_LOOKS = {
    RunState.DONE: "good",
    RunState.HELD: "bad",
    RunState.EXPIRED: "bad",
}
LOOKS = {
    State.SENT: "good",
    State.DEFERRED: "warning",
    State.REFUSED: "bad",
    State.UNKNOWN: "bad",
    State.EXPIRED: "bad",
}


def history(asked: Asked) -> Response:
    """Answer the last runs, open outcomes first, and how the printed forecasts did."""
    ledger = _ledger(asked)
    if isinstance(ledger, Response):
        return ledger
    settings, reader = ledger
    found = facts(reader, settings, day=None, last=RUNS)
    return asked.page(
        "history.html",
        open=_open(asked, found, settings),
        runs=[_run(asked.words, one) for one in found["runs"]],
        ledger=found["ledger"],
        record=_record(asked, reader, settings),
        zone=settings.timezone,
    )


def one_date(asked: Asked) -> Response:
    """Answer the runs of one date with every delivery, and on request what would be counted now."""
    ledger = _ledger(asked)
    if isinstance(ledger, Response):
        return ledger
    settings, reader = ledger
    day = _day(asked, reader, settings)
    found = facts(reader, settings, day=day, last=RUNS)
    again = _again(asked)
    return asked.page(
        "history_date.html",
        day=day,
        open=_open(asked, found, settings, of=f"{settings.id}/{day}"),
        runs=[_run(asked.words, one) for one in found["runs"]],
        zone=settings.timezone,
        compared=_compared(asked, reader, settings, day) if again else None,
        again=path_of(asked.digest, "history", str(day)) + _with(asked, "recompose=1"),
        stored=lambda run, n: _stored(asked, day, run, n),
        local=local,
    )


def _again(asked: Asked) -> bool:
    given = [text for key, text in asked.query if key == "recompose"]
    if len(given) > 1 or not {*given} <= {"0", "1"}:
        raise NotAllowedError("recompose", ", ".join(given), "0, 1")
    return given == ["1"]


def _with(asked: Asked, pair: str) -> str:
    query = asked.view.query()
    return f"{query}&{pair}" if query else f"?{pair}"


def _stored(asked: Asked, day: date, run: Run, number: int) -> str:
    """The address of what is stored for a delivery."""
    return asked.href("history", str(day), str(run.correction), str(number))


# ------------------------------------------------------------------------------------- the ledger


def _ledger(asked: Asked) -> Response | tuple[Settings, Reader]:
    """The digest's settings and ledger, or the page that says what is not there."""
    settings = asked.desk.settings(asked.digest)
    if settings is None or asked.view.scenario is not None:
        return asked.page("history_none.html", ledger=None)
    reader = read_ledger(settings.ledger)
    if reader is None:
        return asked.page("history_none.html", ledger=str(settings.ledger))
    return settings, reader


def _day(asked: Asked, reader: Reader, settings: Settings) -> date:
    known = {
        str(run.business_date): run.business_date for run in reader.runs(settings.id, limit=10_000)
    }
    if asked.parts["day"] not in known:
        raise UnknownError("edition", asked.parts["day"], tuple(known))
    return known[asked.parts["day"]]


def _open(
    asked: Asked, found: Mapping[str, Any], settings: Settings, of: str = ""
) -> list[dict[str, Any]]:
    """The outcomes that a person has to settle, each with the commands that do.

    Where recipients are left out there are no commands, as their keys name whom they are about.
    """
    anonymous = asked.desk.anonymous
    return [
        {
            **one,
            "key": masked(one["key"]) if anonymous else one["key"],
            "since": datetime.fromisoformat(one["since"]),
            "commands": [
                f"digest resolve {shlex.quote(one['key'])} --{decision} "
                f"--config {shlex.quote(str(settings.path))}"
                for decision in (() if anonymous else DECISIONS)
            ],
        }
        for one in found["unknown"]
        if one["key"].startswith(of)
    ]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the ledger, written.

    Attributes:
        state: (word, look). why: of a run that was held, skipped or given up.
        recipients: "2 sent, 1 refused". took: seconds from the first attempt to the end of the last one.
        snapshot: hash of the frozen edition.
    """

    day: date
    correction: int
    state: tuple[str, str]
    why: str
    began: datetime
    changed: datetime
    recipients: str
    took: float | None
    snapshot: str | None
    deliveries: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery of a run."""

    channel: str
    recipient: str
    state: tuple[str, str]
    sent: datetime | None
    reply: str | None
    message: str
    message_id: str | None
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: who, from when to when, what came of it."""

    number: int
    host: str
    began: datetime
    ended: datetime | None
    state: tuple[str, str] | None
    words: str | None


def _run(words: Locale, one: Mapping[str, Any]) -> Run:
    state = RunState(one["state"])
    sent = tuple(_sent(words, each) for each in one["deliveries"])
    counted = Counter(each.state[0] for each in sent)
    tries = [each for delivery in sent for each in delivery.tries]
    ended = [each.ended for each in tries if each.ended]
    return Run(
        day=date.fromisoformat(one["date"]),
        correction=one["correction"],
        state=(_run_word(words, state), RUN_LOOKS.get(state, "neutral")),
        why=reason_shown(words, one["note"] or ""),
        began=datetime.fromisoformat(one["began_at"]),
        changed=datetime.fromisoformat(one["changed_at"]),
        recipients=", ".join(
            words.gettext("%(state)s: %(n)s", state=word, n=words.number(n))
            for word, n in sorted(counted.items())
        ),
        took=(max(ended) - min(each.began for each in tries)).total_seconds() if ended else None,
        snapshot=one["edition"],
        deliveries=sent,
    )


def _sent(words: Locale, one: Mapping[str, Any]) -> Sent:
    return Sent(
        channel=one["channel"],
        recipient=one["recipient"],
        state=_state(words, one["state"]),
        sent=_instant(one["sent_at"]),
        reply=one["reply"],
        message=one["message"],
        message_id=one["message_id"],
        tries=tuple(
            Try(
                each["number"],
                each["host"],
                datetime.fromisoformat(each["began_at"]),
                _instant(each["ended_at"]),
                _state(words, each["outcome"]) if each["outcome"] else None,
                each["words"],
            )
            for each in one["tries"]
        ),
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _run_word(words: Locale, state: RunState) -> str:
    _ = words.gettext
    return {
        RunState.PLANNED: _("planned"),
        RunState.COLLECTING: _("counting"),
        RunState.COLLECTED: _("counted"),
        RunState.RENDERED: _("rendered"),
        RunState.SENDING: _("sending"),
        RunState.DONE: _("done"),
        RunState.HELD: _("held"),
        RunState.EXPIRED: _("given up"),
        RunState.SKIPPED: _("no edition"),
    }[state]


def _state(words: Locale, state: str) -> tuple[str, str]:
    _ = words.gettext
    word = {
        State.PENDING: _("waiting"),
        State.CLAIMED: _("at work"),
        State.COMMITTING: _("being handed over"),
        State.SENT: _("sent"),
        State.DEFERRED: _("deferred"),
        State.REFUSED: _("refused"),
        State.UNKNOWN: _("unknown"),
        State.EXPIRED: _("given up"),
        State.CANCELLED: _("cancelled"),
    }[State(state)]
    return word, LOOKS.get(State(state), "neutral")


# ----------------------------------------------------------------------------- the forecast's record


@dataclass(frozen=True, slots=True)
class Kept:
    """A closed month beside the range that was printed at its middle."""

    month: date
    range: str
    mean: str
    end: str
    held: bool


@dataclass(frozen=True, slots=True)
class Record:
    """How often the printed range held: in words, and for the last months one by one, newest first."""

    sentence: str | None
    months: tuple[Kept, ...]


def _record(asked: Asked, reader: Reader, settings: Settings) -> Record:
    last = reader.sent_editions(settings.id, limit=1)
    newest = edition_from_json(last[0]) if last else None
    sentence = said.forecast_record(asked.words, hits_after(newest))
    return Record(sentence, _months(asked.words, reader, settings, newest) if newest else ())


def _months(words: Locale, reader: Reader, settings: Settings, newest: Edition) -> tuple[Kept, ...]:
    memory = memory_of(settings, newest.business_date + timedelta(days=1))
    dates = {run.business_date for run in reader.runs(settings.id, limit=10_000) if run.edition}

    def sent_on(day: date) -> Edition | None:
        return memory.sent_on(day) if day in dates else None

    months = facts_of(settings).months
    found = []
    for month in reversed(months.before(months.of(newest.business_date), MONTHS)):
        closing = sent_on(settings.calendar.next_workday(month.period.end - timedelta(days=1)))
        middle = sent_on(mid_month(month, settings.calendar))
        range_ = middle.scorecard.total.forecast if middle else None
        closed = closing.closed if closing else None
        if range_ is None or closed is None or closed.forecast_held is None:
            continue
        found.append(
            Kept(
                month.period.start,
                between(words, range_.low, range_.high),
                words.number(range_.mean),
                words.number(closed.bridge.actual),
                closed.forecast_held,
            )
        )
    return tuple(found)


# ---------------------------------------------------------------------------------- counted again


@dataclass(frozen=True, slots=True)
class Compared:
    """The frozen edition beside the same date counted now.

    Attributes:
        correction: number of the frozen one that was compared. moved: (row, figure, then, now), by month.
        figures: how many were compared. late: counts of days it covered that have changed since.
        trouble: why it cannot be counted now, or why nothing is frozen.
    """

    correction: int
    moved: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = ()
    figures: int = 0
    late: tuple[str, ...] = ()
    counted: datetime | None = None
    trouble: str | None = None


def _compared(asked: Asked, reader: Reader, settings: Settings, day: date) -> Compared:
    words = asked.words
    frozen = [run for run in reader.runs(settings.id, limit=10_000) if run.business_date == day]
    newest = next((run for run in frozen if run.edition), None)
    if newest is None:
        return Compared(0, trouble=words.gettext("nothing was frozen for this date"))
    correction = newest.correction
    try:
        then = edition_from_json(reader.edition(settings.id, day, correction=correction) or "")
        now = asked.desk.recounted(asked.digest, day)
    except DigestError as error:
        return Compared(correction, trouble=str(error))
    labels, status = headings(words), words.gettext("Status")
    moved, compared, late = [], 0, []
    for before, card in _cards(then, now):
        differ, figures = differing(printed(words, before), printed(words, card), labels, status)
        moved.append((words.month_year(card.period.start), differ))
        compared += figures
        late += [said.correction(words, change) for change in _late(then, now, card)]
    return Compared(correction, tuple(moved), compared, tuple(late), now.as_of)


def _cards(then: Edition, now: Edition) -> list[tuple[Scorecard, Scorecard]]:
    """The scorecards of both by month, the closed one first."""
    pairs = [(then.scorecard, now.scorecard)]
    if then.closed and now.closed:
        pairs.insert(0, (then.closed.scorecard, now.closed.scorecard))
    return pairs


def _late(then: Edition, now: Edition, card: Scorecard) -> tuple[Correction, ...]:
    return bridge(
        month=card.period,
        cut_off=card.cut_off,
        counts=now.counts,
        previous=then.counts,
        previous_cut_off=card.cut_off,
    ).corrections


# -------------------------------------------------------------------------------- what was stored


def stored(asked: Asked) -> Response:
    """Answer one delivery's bytes as they were stored, shown as what they are."""
    ledger = _ledger(asked)
    if isinstance(ledger, Response):
        return ledger
    settings, reader = ledger
    day, one = _delivery(asked, reader, settings)
    there = reader.has(one.message)
    content = reader.message(one) if there else b""
    payload = content.startswith((b"{", b"["))
    mail = opened(content, {}) if there and not payload else None
    return asked.page(
        "history_stored.html",
        day=day,
        one=one,
        recipient=masked(one.recipient)
        if asked.view.masked or asked.desk.anonymous
        else one.recipient,
        state=_state(asked.words, one.state),
        there=there,
        mail=mail,
        json=json.dumps(json.loads(content), ensure_ascii=False, indent=2) if payload else "",
        frame=_here(asked, "frame"),
        download=_here(asked, "message"),
        zone=settings.timezone,
        size=len(content),
    )


def _here(asked: Asked, name: str) -> str:
    parts = asked.parts
    return asked.href("history", parts["day"], parts["correction"], parts["number"], name)


def frame(asked: Asked) -> Response:
    """Answer the stored mail itself, for the frame."""
    mail: Opened = opened(_bytes(asked), {})
    html = with_pictures(mail.html, mail.images)
    return HTMLResponse(html, headers={"Content-Security-Policy": FRAME_POLICY})


def message(asked: Asked) -> Response:
    """Answer the stored bytes as a file; they name their recipient."""
    if asked.desk.anonymous:
        raise UnknownError("file", "message", ("frame",))
    content = _bytes(asked)
    kind = "json" if content.startswith((b"{", b"[")) else "eml"
    name = f"{asked.digest}-{asked.parts['day']}-{asked.parts['number']}.{kind}"
    plain = "".join(letter for letter in name if letter.isascii() and letter not in '"\\')
    return Response(
        content,
        media_type="application/json" if kind == "json" else "message/rfc822",
        headers={"Content-Disposition": f'attachment; filename="{plain}"'},
    )


def _bytes(asked: Asked) -> bytes:
    settings = asked.desk.settings(asked.digest)
    reader = read_ledger(settings.ledger) if settings else None
    if settings is None or reader is None:
        raise UnknownError("edition", asked.parts["day"], ())
    _, one = _delivery(asked, reader, settings)
    return reader.message(one)


def _delivery(asked: Asked, reader: Reader, settings: Settings) -> tuple[date, Delivery]:
    day = _day(asked, reader, settings)
    correction, number = asked.parts["correction"], asked.parts["number"]
    runs = [run for run in reader.runs(settings.id, limit=10_000) if run.business_date == day]
    known = {str(run.correction): run.correction for run in runs}
    if correction not in known:
        raise UnknownError("correction", correction, tuple(known))
    rows = reader.deliveries(settings.id, day, correction=known[correction])
    numbered: dict[str, Delivery] = {str(n): one for n, one in enumerate(rows, start=1)}
    if number not in numbered:
        raise UnknownError("delivery", number, tuple(numbered))
    return day, numbered[number]


def local(instant: datetime, zone: str) -> str:
    """Write the time of day to the second."""
    return f"{instant.astimezone(ZoneInfo(zone)):%H:%M:%S}"


_ONE = "/d/{digest}/history/{day}/{correction}/{number}"
PAGES: Sequence[Page] = (
    Page("/d/{digest}/history", history),
    Page("/d/{digest}/history/{day}", one_date),
    Page(_ONE, stored),
    Page(f"{_ONE}/frame", frame),
    Page(f"{_ONE}/message", message),
)
