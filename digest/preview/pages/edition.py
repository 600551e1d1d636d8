"""The edition itself: shell and frame, text, Slack, Teams, headers, source, download, all languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from email.parser import BytesParser
from email.policy import default
from html import unescape
from typing import Any

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from digest.addresses import masked
from digest.compose import due_on, reason_in_words
from digest.errors import ConfigError, DigestError
from digest.ledger import State
from digest.preview.address import DARK, TABS, WIDTHS, path_of
from digest.preview.desk import Basis, Mail, Showing
from digest.preview.frame import as_seen, with_pictures
from digest.preview.guard import FRAME_POLICY
from digest.preview.page import Asked, Page
from digest.preview.pages.calendar import reason_shown
from digest.preview.records import explained
from digest.render import lint
from digest.render.locales import languages

WIDEST_TEXT = 72
SUBJECT_CUTS = (40, 70)
WHOLE_ROW = 200  # of subject and preheader together
NEIGHBOURS = 40  # days in which the next or previous edition is looked for


def home(asked: Asked) -> Response:
    """Open the only digest, or list all of them."""
    known = asked.desk.digests
    if len(known) == 1 and not asked.desk.broken:
        return RedirectResponse(path_of(known[0]), status_code=303)
    return asked.page("home.html")


# ------------------------------------------------------------------------------------------ shell


@dataclass(frozen=True, slots=True)
class Inbox:
    """How lists of mails show one: the sender, and the subject cut at three lengths."""

    sender: str
    cuts: tuple[tuple[int, str, bool], ...]
    preheader: str


def shell(asked: Asked) -> Response:
    """Answer the edition with everything around it."""
    free = free_day(asked)
    if free is not None:
        return no_edition(asked, free)
    showing = asked.desk.show(asked.digest, asked.view)
    mail, trouble = asked.desk.last_good(showing)
    before, after = neighbours(asked, showing.edition.business_date)
    tab = _TABS[asked.view.tab](asked, showing, mail)
    return asked.page(
        "edition.html",
        trouble=trouble,
        showing=showing,
        mail=mail,
        standing=standing(asked, showing),
        notes=notes(asked, showing),
        before=before,
        after=after,
        inbox=_inbox(mail),
        recipients=_recipients(asked, showing),
        tabs=TABS,
        darks=DARK,
        widths=WIDTHS,
        scenarios=tuple(asked.desk.samples),
        **tab,
    )


def no_edition(asked: Asked, reason: str, *page: str) -> Response:
    """Answer that a date has no edition and why, with the same page of the ones before and after."""
    before, after = neighbours(asked, asked.view.date or date.min)
    return asked.page(
        "free.html",
        reason=reason_shown(asked.words, reason),
        day=asked.view.date,
        before=before,
        after=after,
        same=page,
    )


def free_day(asked: Asked) -> str | None:
    """Return why a date has no edition, None when it has one or none is named."""
    settings = asked.desk.settings(asked.digest)
    if settings is None or asked.view.date is None or asked.view.scenario is not None:
        return None
    planned = due_on(settings, asked.view.date)
    return reason_in_words(planned.reason) if planned.kind is None else None


def neighbours(asked: Asked, day: date) -> tuple[date | None, date | None]:
    """Return the dates of the edition before a day and of the one after it."""
    settings = asked.desk.settings(asked.digest)
    if settings is None or asked.view.scenario is not None:
        return None, None

    def nearest(step: int) -> date | None:
        for n in range(1, NEIGHBOURS):
            try:
                other = day + timedelta(days=step * n)
                if due_on(settings, other).kind is not None:
                    return other
            except (ConfigError, OverflowError):
                return None
        return None

    return nearest(-1), nearest(1)


def standing(asked: Asked, showing: Showing) -> tuple[str, str]:
    """Return what the edition rests on: a look, and a sentence."""
    _, words = asked.words.gettext, asked.words
    day = words.full_day(showing.edition.business_date)
    if showing.basis is Basis.SCENARIO:
        return "neutral", _("Scenario with made-up numbers")
    if showing.basis is Basis.SENT:
        sentence = _("Sent %(when)s to %(sent)s of %(all)s")
        if showing.correction:
            sentence = _("Correction sent %(when)s to %(sent)s of %(all)s")
        got = [one for one in showing.deliveries if one.state is State.SENT]
        times = [one.sent_at for one in got if one.sent_at]
        zone = showing.edition.scorecard.period.timezone
        return "good", sentence % {
            "when": words.instant(min(times), zone) if times else day,
            "sent": words.number(len(got)),
            "all": words.number(len(showing.deliveries)),
        }
    if showing.basis is Basis.FROZEN:
        return "warning", _("Frozen for sending; nobody has received it yet")
    settings = showing.settings
    at = f"{settings.send_at:%H:%M}" if settings else ""
    if showing.basis is Basis.TODAY:
        return "neutral", _("Not sent yet: it is due today at %(at)s", at=at)
    if showing.basis is Basis.AHEAD:
        return "neutral", _("%(day)s is still to come: shown with the leads so far", day=day)
    return "neutral", _(
        "Never sent: recounted from what the source says today about the days before %(day)s",
        day=day,
    )


def notes(asked: Asked, showing: Showing) -> Iterator[tuple[str, str]]:
    """Yield what a reader must know beside the standing: (look, sentence)."""
    _, words = asked.words.gettext, asked.words
    zone = showing.edition.scorecard.period.timezone
    if showing.trouble is not None:
        yield (
            "bad",
            _(
                "The edition of %(day)s cannot be made: %(why)s",
                day=words.full_day(showing.asked),
                why=str(showing.trouble),
            ),
        )
        yield (
            "warning",
            _(
                "Below is the last edition that was sent, counted %(when)s.",
                when=words.instant(showing.edition.as_of, zone),
            ),
        )
    if showing.correction < showing.corrections:
        yield (
            "warning",
            _("These numbers were corrected later: correction %(n)s.", n=showing.corrections),
        )
    if showing.older:
        yield "warning", _("The data is older than the settings: refresh to count anew.")
    view = showing.view
    changed = view.dark != "no" or view.images == "off" or view.explain
    if changed and view.tab == "email":
        yield "neutral", _("This view is changed for looking: not the bytes that are sent.")


def _inbox(mail: Mail) -> Inbox:
    parsed = BytesParser(policy=default).parsebytes(mail.content, headersonly=True)
    subject = " ".join(mail.subject.split())
    cuts = tuple((length, _cut(subject, length), len(subject) > length) for length in SUBJECT_CUTS)
    whole = f"{subject} – {mail.message.preheader}"
    return Inbox(
        str(parsed["From"]),
        (*cuts, (WHOLE_ROW, _cut(whole, WHOLE_ROW), len(whole) > WHOLE_ROW)),
        mail.message.preheader,
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _recipients(asked: Asked, showing: Showing) -> list[tuple[int, str]]:
    def name(address: str) -> str:
        return masked(address) if asked.view.masked else address

    return [
        (n, f"{one.channel}: {name(one.recipient.address)}")
        for n, one in enumerate(showing.readers, start=1)
    ]


# ------------------------------------------------------------------------------------------- tabs


@dataclass(frozen=True, slots=True)
class Half:
    """One of two frames that stand side by side.

    Attributes:
        name: which edition it is. frame: address of its mail; "" where there is none, and `why`.
    """

    name: str
    frame: str = ""
    title: str = ""
    why: str = ""


def _email(asked: Asked, showing: Showing, mail: Mail) -> dict[str, Any]:
    frame = path_of(asked.digest, "frame") + asked.view.query(tab="email", compare=None)
    halves = [Half(_half_name(asked, showing), frame, mail.subject)]
    if asked.view.beside is not None:
        halves.append(_beside(replace(asked, view=asked.view.beside)))
    return {
        "halves": halves,
        "comparisons": tuple(_comparisons(asked, showing)),
        "compared": _compared(asked),
    }


def _beside(asked: Asked) -> Half:
    """The edition that another one is compared with, or why there is none."""
    _ = asked.words.gettext
    free = free_day(asked)
    if free is not None and asked.view.date is not None:
        day = asked.words.full_day(asked.view.date)
        reason = reason_shown(asked.words, free)
        return Half(day, why=_("No edition on %(day)s: %(reason)s", day=day, reason=reason))
    try:
        showing = asked.desk.show(asked.digest, asked.view)
        mail, _broken = asked.desk.last_good(showing)
    except DigestError as error:
        day = asked.words.full_day(asked.view.date) if asked.view.date else asked.digest
        return Half(day, why=str(error))
    frame = path_of(asked.digest, "frame") + asked.view.query(tab="email")
    return Half(_half_name(asked, showing), frame, mail.subject)


def _half_name(asked: Asked, showing: Showing) -> str:
    day = asked.words.full_day(showing.edition.business_date)
    several = showing.correction or showing.corrections
    which = [_edition_name(asked, showing.correction)] if several else []
    return " · ".join((day, showing.language, *which))


def _edition_name(asked: Asked, correction: int) -> str:
    _ = asked.words.gettext
    return _("correction %(n)s", n=correction) if correction else _("as first sent")


def _comparisons(asked: Asked, showing: Showing) -> Iterator[tuple[str, str]]:
    """Yield what an edition may be compared with: (value of the address, words)."""
    known = [(f"locale:{tag}", tag) for tag in languages() if tag != showing.language]
    before, after = neighbours(asked, showing.edition.business_date)
    known += [
        (f"date:{day}", asked.words.full_day(day)) for day in (before, after) if day is not None
    ]
    known += [
        (f"correction:{n}", _edition_name(asked, n))
        for n in range(showing.corrections + 1)
        if n != showing.correction
    ]
    yield from known
    compare = asked.view.compare
    if compare is not None and _compared(asked) not in dict(known):
        key, what = compare
        yield _compared(asked), asked.words.full_day(what) if key == "date" else str(what)


def _compared(asked: Asked) -> str:
    """The comparison as the address has it."""
    return ":".join(map(str, asked.view.compare or ()))


def _text(_asked: Asked, _showing: Showing, mail: Mail) -> dict[str, Any]:
    lines = mail.text.rstrip("\n").split("\n")
    return {"lines": [(line, len(line) > WIDEST_TEXT) for line in lines]}


def _slack(_asked: Asked, showing: Showing, mail: Mail) -> dict[str, Any]:
    from digest.render import slack

    packed = slack.pack(
        mail.message,
        recipient=showing.reader.recipient,
        key="preview",
        sent_at=showing.edition.as_of,
    )
    body = json.loads(packed)
    blocks = [
        *body.get("blocks", ()),
        *(block for each in body.get("attachments", ()) for block in each.get("blocks", ())),
    ]
    longest = max((len(text) for text in _texts(blocks)), default=0)
    return {
        "blocks": blocks,
        "fallback": unescape(body.get("text", "")),
        "marked": marked,
        "json": json.dumps(body, ensure_ascii=False, indent=2),
        "counted": (len(blocks), longest),
    }


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def marked(text: str) -> Markup:
    """Return a text of Slack's own markup as HTML: bold words, and links by their words."""
    plain = _CHAT_LINK.sub(lambda link: link["words"] or link["address"], text)
    pieces = (escape(unescape(piece)) for piece in _BOLD.split(plain))
    return Markup().join(
        Markup("<b>{}</b>").format(piece) if n % 2 else piece for n, piece in enumerate(pieces)
    )


_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
_CHAT_LINK = re.compile(r"<(?P<address>https?:[^|>]+)(?:\|(?P<words>[^>]*))?>")


def _teams(_asked: Asked, showing: Showing, mail: Mail) -> dict[str, Any]:
    from digest.render import teams

    packed = teams.pack(
        mail.message,
        recipient=showing.reader.recipient,
        key="preview",
        sent_at=showing.edition.as_of,
    )
    body = json.loads(packed)
    card = body["attachments"][0]["content"] if "attachments" in body else body
    return {"card": card, "json": json.dumps(body, ensure_ascii=False, indent=2)}


def _headers(asked: Asked, showing: Showing, mail: Mail) -> dict[str, Any]:
    parsed: Any = BytesParser(policy=default).parsebytes(mail.content)
    recipient = showing.reader.recipient.address
    shown = masked(recipient) if asked.view.masked else recipient
    hidden = [(recipient, shown)] if asked.view.masked else []

    def as_shown(text: str) -> str:
        for address, instead in hidden:
            text = text.replace(address, instead)
        return text

    raw = mail.content.partition(b"\r\n\r\n")[0].decode("ascii", "replace")
    return {
        "decoded": [(name, as_shown(str(value))) for name, value in parsed.items()],
        "raw": as_shown(raw),
        "envelope": (parsed["From"].addresses[0].addr_spec, shown),
        "parts": [
            (part.get_content_type(), part.get_filename() or "", len(part.get_payload()))
            for part in parsed.walk()
            if not part.is_multipart()
        ],
        "sizes": (lint.size(mail.html), len(mail.content)),
    }


def _source(asked: Asked, showing: Showing, mail: Mail) -> dict[str, Any]:
    from digest.render.scorecard import scorecard_json

    mjml = asked.desk.source(showing, mail)
    scorecard = scorecard_json(showing.edition, showing.language)
    texts = {
        "HTML": mail.html,
        "MJML": mjml,
        "JSON": json.dumps(scorecard, ensure_ascii=False, indent=2),
    }
    return {"sources": [(name, text.split("\n")) for name, text in texts.items() if text]}


_TABS = {
    "email": _email,
    "text": _text,
    "slack": _slack,
    "teams": _teams,
    "headers": _headers,
    "source": _source,
}


# ------------------------------------------------------------------------------------------ files


def frame(asked: Asked) -> Response:
    """Answer the mail itself, for the frame; with nothing changed it is what is sent."""
    showing = asked.desk.show(asked.digest, asked.view)
    mail, broken = asked.desk.last_good(showing)
    html = mail.html
    if asked.view.explain and broken is None:
        html = explained(showing, mail, asked.desk.figures(showing))
    html = as_seen(with_pictures(html, mail.images), dark=asked.view.dark, images=asked.view.images)
    return HTMLResponse(html, headers={"Content-Security-Policy": FRAME_POLICY})


def download(asked: Asked) -> Response:
    """Answer the mail as a file: the bytes that were or would be sent."""
    showing = asked.desk.show(asked.digest, asked.view)
    name = f"{showing.edition.business_date}.eml"
    return Response(
        asked.desk.mail(showing).content,
        media_type="message/rfc822",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def grid(asked: Asked) -> Response:
    """Answer one frame a language, or a scenario, side by side."""
    by = next((value for key, value in asked.query if key == "by"), "locale")
    names: Sequence[str] = tuple(asked.desk.samples) if by == "scenario" else languages()
    cells = [
        (
            name,
            path_of(asked.digest, "frame") + asked.view.query(**{by: name}),
            asked.href(**{by: name}),
        )
        for name in names
    ]
    return asked.page("grid.html", cells=cells, by=by)


PAGES = (
    Page("/", home),
    Page("/d/{digest}", shell),
    Page("/d/{digest}/frame", frame),
    Page("/d/{digest}/message.eml", download),
    Page("/d/{digest}/grid", grid),
)
