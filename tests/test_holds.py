"""A held edition: what holds it, whom it tells, and what happens when the source answers again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from digest.connectors import Connector
from digest.delivery import NOTICES
from digest.dispatch import Now, Report, edition_to_show, frozen_edition, send_digest
from digest.errors import ConfigError, ConnectorError, Reason
from digest.followup import Promise
from digest.ledger import RunState, State, open_ledger, read_ledger
from digest.model import (
    DealStatistics,
    Edition,
    FollowUpRow,
    LeadCounts,
    Message,
    NoteCode,
    Period,
    Recipient,
    Segment,
    Status,
)
from digest.render import PACKERS
from digest.render.locales import languages
from digest.render.notice import held_notice
from digest.render.slack import findings
from digest.render.text import plain_spaces
from digest.settings import Settings, load
from tests.delivery.scene import Clock
from tests.test_compose import CONFIG
from tests.test_corrections import ANA, BEN, Outbox
from tests.test_dispatch import MONDAY, at, settings

__all__ = ["settings"]  # a fixture of another module
TUESDAY = date(2026, 6, 16)


@dataclass
class Silent:
    """The source of deals and follow-up, which fails so often before it answers."""

    failures: int = 99
    reason: Reason = Reason.TRANSIENT

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        del window, segments, now
        raise self.error()

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        del period, segments, now
        if self.failures:
            self.failures -= 1
            raise self.error()
        return ()

    def error(self) -> ConnectorError:
        return ConnectorError("salesforce", self.reason, "is down", remedy="try later")


@dataclass
class Down:
    """A source of leads that never answers."""

    reason: Reason = Reason.AUTH

    def count_leads(self, **_: object) -> object:
        raise ConnectorError("sql", self.reason, "is down <b>ana@firm.example</b>", remedy="later")


def sent(
    settings: Settings, clock: Clock, told: list[str] | None = None, **asked: object
) -> Report:
    hears = [] if told is None else told
    return send_digest(settings, Now(clock=clock, sleep=clock.sleep, tell=hears.append), **asked)  # type: ignore[arg-type]  # of send_digest


def state_of(settings: Settings) -> tuple[RunState, str | None]:
    reader = read_ledger(settings.ledger)
    run = reader.run("leads", MONDAY) if reader else None
    assert run is not None
    return run.state, run.note


def warned(settings: Settings) -> set[NoteCode]:
    edition = edition_to_show(settings, MONDAY, at(10, 59))
    return {one.code for one in edition.warnings} & {
        NoteCode.FOLLOW_UP_MISSING,
        NoteCode.DEALS_MISSING,
    }


# ------------------------------------------------------------------------------- one of several sources


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


def with_sales(settings: Settings, source: Silent, outbox: Outbox, **changes: object) -> Settings:
    return replace(
        settings,
        channels={"mail": outbox},
        follow_up=(Promise(), source),
        **changes,  # type: ignore[arg-type]  # fields
    )


@pytest.mark.failure("D14")
def test_a_missing_part_is_said_and_the_rest_goes_out_at_once(
    settings: Settings, outbox: Outbox
) -> None:
    there = with_sales(settings, Silent(), outbox, deals=Silent())
    clock = Clock(at(7, 31))

    assert sent(there, clock).exit_code == 0

    assert clock.slept == []
    assert warned(there) == {NoteCode.FOLLOW_UP_MISSING, NoteCode.DEALS_MISSING}
    edition = edition_to_show(there, MONDAY, at(10, 59))
    assert (edition.follow_up, edition.drift) == (None, None)
    assert edition.scorecard.total.actual == 60
    text = message_from_bytes(outbox.sent[0].content, policy=policy.default).get_body(("plain",))
    assert text is not None
    assert "salesforce: is down" in text.get_content()


@pytest.mark.failure("D14")
def test_a_missing_part_may_hold_the_edition_until_it_is_there(
    settings: Settings, outbox: Outbox
) -> None:
    there = with_sales(settings, Silent(failures=2), outbox, on_partial="hold")
    clock, told = Clock(at(7, 31)), list[str]()

    assert sent(there, clock, told).exit_code == 0

    assert clock.slept == [60, 120]
    assert told[0].startswith("held: salesforce: is down; try later; next try 05:32 UTC")
    assert warned(there) == set()


@pytest.mark.failure("D14")
@pytest.mark.parametrize("part", ["follow_up", "deals"])
def test_a_part_that_stays_away_holds_until_shortly_before_send_until(
    settings: Settings, outbox: Outbox, part: str
) -> None:
    given = {"follow_up": (Promise(), Silent())} if part == "follow_up" else {"deals": Silent()}
    there = replace(settings, channels={"mail": outbox}, on_partial="hold", **given)
    clock = Clock(at(10, 20))

    with pytest.raises(ConnectorError, match="salesforce: is down"):
        sent(there, clock)
    assert state_of(there)[0] is RunState.HELD
    assert outbox.sent == []

    assert clock.slept == [60, 120, 300, 600]

    last = Clock(at(10, 44))
    assert sent(there, last).exit_code == 0
    assert last.slept == [60]
    assert len(outbox.sent) == 2
    assert len(warned(there)) == 1


@pytest.mark.failure("D14")
def test_a_person_who_names_the_date_does_not_wait_for_a_missing_part(
    settings: Settings, outbox: Outbox
) -> None:
    there = with_sales(settings, Silent(), outbox, on_partial="hold")

    assert sent(there, Clock(at(7, 31)), day=MONDAY).exit_code == 0


@pytest.mark.parametrize("chosen", ["banner", "hold"])
def test_the_rule_for_a_missing_part_is_read_from_the_settings(tmp_path: Path, chosen: str) -> None:
    (tmp_path / "digest.toml").write_text(
        CONFIG + f'[hold]\non_partial = "{chosen}"\nnotify_team_when_held = true\n'
    )
    read = load(tmp_path / "digest.toml", environment={})

    assert (read.on_partial, read.notify_team_when_held) == (chosen, True)


# ------------------------------------------------------------------------- a source with nothing newer


@dataclass
class NotLoaded:
    """A source whose load has not come, before it comes."""

    source: Connector
    loads: int = 99

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        if self.loads:
            self.loads -= 1
            raise ConnectorError("sql", Reason.STALE, "the table ends on Friday", remedy="wait")
        return self.source.count_leads(period=period, segments=segments, now=now)


def not_loaded(settings: Settings, outbox: Outbox, loads: int = 99, **changes: object) -> Settings:
    source = NotLoaded(settings.connector, loads)
    return replace(settings, channels={"mail": outbox}, connector=source, **changes)  # type: ignore[arg-type]  # fields


def edition_of(settings: Settings, day: date) -> Edition:
    found = frozen_edition(settings, day)
    assert found is not None
    return found


def test_a_source_with_nothing_newer_holds_the_edition(settings: Settings, outbox: Outbox) -> None:
    sent(replace(settings, channels={"mail": outbox}), Clock(at(7, 31)))
    there = not_loaded(settings, outbox)

    with pytest.raises(ConnectorError, match="ends on Friday"):
        sent(there, Clock(at(10, 50, day=TUESDAY)))
    assert len(outbox.sent) == 2


def test_what_is_late_all_morning_goes_out_with_the_last_figures_unjudged(
    settings: Settings, outbox: Outbox
) -> None:
    sent(replace(settings, channels={"mail": outbox}), Clock(at(7, 31)))
    there = not_loaded(settings, outbox, on_stale="banner")

    with pytest.raises(ConnectorError, match="ends on Friday"):
        sent(there, Clock(at(10, 20, day=TUESDAY)))
    assert len(outbox.sent) == 2
    told: list[str] = []
    assert sent(there, Clock(at(10, 46, day=TUESDAY)), told).exit_code == 0

    assert told == ["sent with the figures of 2026-06-15: sql: the table ends on Friday; wait"]
    monday, tuesday = edition_of(there, MONDAY), edition_of(there, TUESDAY)
    assert tuesday.stale
    assert not monday.stale
    total = tuesday.scorecard.total
    assert (total.actual, total.goal, total.status) == (60, 140, Status.NO_DATA)
    assert total.required_per_workday is None
    assert tuesday.scorecard.cut_off == monday.scorecard.cut_off
    assert tuesday.as_of == monday.as_of
    text = message_from_bytes(outbox.sent[-1].content, policy=policy.default).get_body(("plain",))
    assert text is not None
    said = text.get_content()
    assert "60 of 140 leads up to Sun 14 Jun, nothing newer." in said
    assert "The source has nothing newer" in said


def test_the_edition_after_one_without_news_tells_of_all_days_since_the_last_figures(
    settings: Settings, outbox: Outbox
) -> None:
    sent(replace(settings, channels={"mail": outbox}), Clock(at(7, 31)))
    for day in (16, 17):
        there = not_loaded(settings, outbox, on_stale="banner")
        assert sent(there, Clock(at(10, 50, day=date(2026, 6, day)))).exit_code == 0
    thursday = date(2026, 6, 18)
    sent(replace(settings, channels={"mail": outbox}), Clock(at(7, 31, day=thursday)))

    edition = edition_of(settings, thursday)
    assert [day.day for day, leads in edition.bridge.new if leads] == [15, 16, 17]
    assert edition.bridge.previous_cut_off == date(2026, 6, 14)
    assert edition.covers[0] == MONDAY
    assert edition_of(settings, date(2026, 6, 17)).scorecard.cut_off == date(2026, 6, 14)


def test_a_load_that_comes_late_is_waited_for(settings: Settings, outbox: Outbox) -> None:
    there = not_loaded(settings, outbox, 2, on_stale="banner")
    clock = Clock(at(7, 31))

    assert sent(there, clock).exit_code == 0

    assert clock.slept == [60, 120]
    assert not edition_of(there, MONDAY).stale


@pytest.mark.parametrize("last", [None, at(7, 31, day=date(2026, 5, 29))])
def test_without_figures_of_the_month_it_stays_held(
    settings: Settings, outbox: Outbox, last: datetime | None
) -> None:
    if last is not None:
        sent(replace(settings, channels={"mail": outbox}), Clock(last))
    there = not_loaded(settings, outbox, on_stale="banner")

    with pytest.raises(ConnectorError, match="ends on Friday"):
        sent(there, Clock(at(10, 50)))
    assert state_of(there)[0] is RunState.HELD


@pytest.mark.parametrize("reason", [Reason.TRANSIENT, Reason.UNRECONCILED])
def test_another_failure_is_no_reason_for_old_figures(
    settings: Settings, outbox: Outbox, reason: Reason
) -> None:
    sent(replace(settings, channels={"mail": outbox}), Clock(at(7, 31)))
    there = replace(
        settings,
        channels={"mail": outbox},
        on_stale="banner",
        connector=Down(reason),  # type: ignore[arg-type]  # never returns
    )

    with pytest.raises(ConnectorError, match="is down"):
        sent(there, Clock(at(10, 50, day=TUESDAY)))


@pytest.mark.parametrize("chosen", ["banner", "hold"])
def test_the_rule_for_a_late_load_is_read_from_the_settings(tmp_path: Path, chosen: str) -> None:
    (tmp_path / "digest.toml").write_text(CONFIG + f'[hold]\non_stale = "{chosen}"\n')

    assert load(tmp_path / "digest.toml", environment={}).on_stale == chosen


# --------------------------------------------------------------------------------- one line to the team


@pytest.fixture
def held(settings: Settings, outbox: Outbox) -> Settings:
    """A digest whose source refuses the login, and whose team wants to know when nothing comes."""
    return replace(
        settings,
        channels={"mail": outbox},
        connector=Down(),  # type: ignore[arg-type]  # never returns
        notify_team_when_held=True,
    )


def subjects(outbox: Outbox, recipient: str = ANA) -> list[str]:
    return outbox.subjects(recipient)


def test_a_team_gets_one_line_a_day_while_its_edition_is_held_and_then_the_edition(
    held: Settings, settings: Settings, outbox: Outbox
) -> None:
    told: list[str] = []
    for minute in (31, 46):
        with pytest.raises(ConnectorError):
            sent(held, Clock(at(7, minute)), told)

    assert subjects(outbox) == subjects(outbox, BEN) == ["No digest yet: leads"]
    body = str(
        message_from_bytes(outbox.sent[0].content, policy=policy.default).get_body(("plain",))
    )
    assert "There is no digest for Monday, 15 June 2026 yet" in " ".join(body.split())
    assert "until 11:00" in " ".join(body.split())
    assert b"firm.example" not in outbox.sent[0].content
    assert told[0].startswith("told that the edition is held: mail an…@company.example: sent 07:31")

    back = replace(held, connector=settings.connector)
    assert sent(back, Clock(at(8, 1))).exit_code == 0
    assert [one[:13] for one in subjects(outbox)] == ["No digest yet", "Leads June: 6"]


def test_a_notice_is_no_edition(held: Settings, settings: Settings) -> None:
    with pytest.raises(ConnectorError):
        sent(held, Clock(at(7, 31)))

    ledger = open_ledger(held.ledger, clock=lambda: at(8, 0))
    assert ledger.last_sent("leads") is None
    assert ledger.deliveries("leads", MONDAY) == ()
    keys = {row.key for row in ledger.deliveries(f"leads{NOTICES}", MONDAY)}
    assert keys == {f"leads:held/2026-06-15/mail/{one}" for one in (ANA, BEN)}
    edition = edition_to_show(replace(held, connector=settings.connector), MONDAY, at(8, 0))
    assert edition.bridge.previous_cut_off is None


def test_a_notice_that_is_not_taken_is_not_tried_again_and_stops_nothing(
    held: Settings, settings: Settings, outbox: Outbox
) -> None:
    outbox.refuses = {BEN}
    for _ in range(2):
        with pytest.raises(ConnectorError):
            sent(held, Clock(at(7, 31)))

    assert [one.recipient for one in outbox.sent] == [ANA]
    assert states_of_notices(held) == {ANA: State.SENT, BEN: State.EXPIRED}
    outbox.refuses = set()
    assert sent(replace(held, connector=settings.connector), Clock(at(8, 1))).exit_code == 0
    assert len(outbox.sent) == 3


def states_of_notices(settings: Settings) -> dict[str, State]:
    reader = read_ledger(settings.ledger)
    assert reader is not None
    rows = reader.deliveries(f"{settings.id}{NOTICES}", MONDAY)
    return {row.recipient: row.state for row in rows}


@pytest.mark.parametrize("change", ["not wanted", "a date that a person names", "a late call"])
def test_nobody_is_told_unless_it_was_asked_for_and_is_in_time(
    held: Settings, outbox: Outbox, change: str
) -> None:
    if change == "a late call":
        assert sent(held, Clock(at(11, 0))).exit_code == 4
    else:
        wanted = change != "not wanted"
        there = replace(held, notify_team_when_held=wanted)
        with pytest.raises(ConnectorError):
            sent(there, Clock(at(7, 31)), day=MONDAY if wanted else None)
    assert outbox.sent == []


def test_a_failure_that_holds_nothing_tells_nobody(held: Settings, settings: Settings) -> None:
    send = replace(held, connector=settings.connector)
    assert sent(send, Clock(at(8, 0, day=TUESDAY))).exit_code == 0
    told: list[str] = []

    # The clock was set back: the ledger refuses before there is a run that could be held.
    with pytest.raises(Exception, match="clock"):
        sent(held, Clock(at(8, 0)), told)

    assert told == []


def test_a_broken_worksheet_tells_the_team_as_well(held: Settings, outbox: Outbox) -> None:
    class Broken(Down):
        def count_leads(self, **_: object) -> object:
            raise ConfigError("sla.xlsx, C4: found #REF!")

    with pytest.raises(ConfigError):
        sent(replace(held, connector=Broken()), Clock(at(7, 31)))  # type: ignore[arg-type]  # never returns

    assert len(outbox.sent) == 2
    assert state_of(held) == (RunState.HELD, "sla.xlsx, C4: found #REF!")


def notice(language: str) -> Message:
    return held_notice(
        digest="leads",
        title="Leads <EMEA>",
        business_date=MONDAY,
        language=language,
        until=datetime(2026, 6, 15, 9, tzinfo=UTC),
        timezone="Europe/Zurich",
    )


@pytest.mark.parametrize("language", languages())
def test_a_notice_fits_every_form_in_every_language(language: str) -> None:
    import json

    message = notice(language)
    facts = {"recipient": Recipient("C0123456789"), "key": "k", "sent_at": at(8, 0)}

    slack = json.loads(PACKERS["slack"](message, **facts))
    teams = json.loads(PACKERS["teams"](message, **facts))

    assert findings(slack["blocks"]) == ()
    shown = plain_spaces(slack["text"])
    assert message.subject in shown.replace("&lt;", "<").replace("&gt;", ">")
    assert "11:00" in json.dumps(slack["blocks"], ensure_ascii=False)
    assert "11:00" in json.dumps(teams, ensure_ascii=False)
    assert "Leads &lt;EMEA&gt;" in message.html
    assert message.text.strip() in plain_spaces(message.html)
    assert "2026" in message.text


def test_a_notice_says_the_same_in_no_two_languages() -> None:
    texts = {language: notice(language).text for language in languages()}

    assert len(set(texts.values())) == len(texts) - 1  # Swiss German has no words of its own here
    assert texts["de"] == texts["de-CH"]


def test_the_ledger_of_a_held_day_can_be_read(held: Settings) -> None:
    with pytest.raises(ConnectorError):
        sent(held, Clock(at(7, 31)))
    with closing(sqlite3.connect(str(held.ledger))) as ledger:
        rows = ledger.execute("SELECT digest, state FROM runs ORDER BY digest").fetchall()

    assert rows == [("leads", "held"), ("leads:held", "done")]


# --------------------------------------------------------------------------- what is no reason to hold


@pytest.mark.failure("D12")
def test_no_lead_on_the_first_workday_is_a_zero_and_goes_out(
    settings: Settings, outbox: Outbox
) -> None:
    with closing(sqlite3.connect(settings.folder / "crm.sqlite")) as crm, crm:
        crm.execute("DELETE FROM leads WHERE day >= '2026-06-01'")
    there = replace(settings, channels={"mail": outbox})

    assert sent(there, Clock(at(7, 31, day=date(2026, 6, 1)))).exit_code == 0
    assert sent(there, Clock(at(7, 31, day=date(2026, 6, 2)))).exit_code == 0

    first, second = (
        edition_to_show(there, date(2026, 6, day), at(9, 0, day=date(2026, 6, day)))
        for day in (1, 2)
    )
    assert first.closed is not None
    assert (first.scorecard.total.actual, second.scorecard.total.actual) == (0, 0)
    body = message_from_bytes(outbox.sent[-1].content, policy=policy.default).get_body(("plain",))
    assert body is not None
    said = " ".join(body.get_content().split())
    assert "0 of 140" in said
    for nonsense in ("nan", "inf", "None", "-0"):
        assert nonsense not in said.replace("information", "")


# ------------------------------------------------------------------------------------------- templates


def with_template(settings: Settings, written: str) -> Settings:
    folder = settings.folder / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "digest.subject.txt").write_text(written)
    return replace(settings, templates=folder)


@pytest.mark.failure("R2")
def test_a_template_that_is_edited_after_the_freeze_changes_no_mail_of_the_day(
    settings: Settings, outbox: Outbox
) -> None:
    there = with_template(replace(settings, channels={"mail": outbox}), "First {{ month }}")
    outbox.refuses = {BEN}
    clock = Clock(at(7, 31))
    assert sent(there, clock).exit_code == 4
    with_template(there, "Second {{ month }")
    outbox.refuses = set()

    assert sent(there, Clock(at(8, 31))).exit_code == 0

    assert outbox.subjects(ANA) == outbox.subjects(BEN) == ["First June 2026"]


@pytest.mark.failure("R1", "R2")
def test_a_bad_edit_before_the_freeze_holds_the_edition_until_it_is_mended(
    settings: Settings, outbox: Outbox
) -> None:
    there = with_template(replace(settings, channels={"mail": outbox}), "Leads {{ mnoth }}")

    with pytest.raises(ConfigError, match=r"digest\.subject\.txt"):
        sent(there, Clock(at(7, 31)))
    state, note = state_of(there)
    assert state is RunState.HELD
    assert "digest.subject.txt, line 1" in str(note)
    assert outbox.sent == []

    assert sent(with_template(there, "Leads {{ month }}"), Clock(at(7, 46))).exit_code == 0
    assert outbox.subjects() == ["Leads June 2026"]
