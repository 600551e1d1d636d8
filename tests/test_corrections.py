"""A correction: what moved and why, once, only to those who read the edition, and the next bridge from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from email import message_from_bytes, policy

import pytest

from digest.compose import compose
from digest.corrections import correct
from digest.dispatch import Now, Report, edition_to_show, memory_of
from digest.editions import figures_moved
from digest.errors import ConfigError, ConnectorError, DeliveryError
from digest.ledger import State, open_ledger
from digest.model import (
    CorrectedFigure,
    Edition,
    Envelope,
    FigureCode,
    Finding,
    MailHeaders,
    Recipient,
)
from digest.settings import Settings
from tests.delivery.scene import Clock
from tests.test_dispatch import MONDAY, at, send, settings

__all__ = ["settings"]  # a fixture of another module
JUNE = date(2026, 6, 1)
TUESDAY = date(2026, 6, 16)
ANA, BEN = "ana@company.example", "ben@company.example"


@dataclass
class Outbox:
    """A channel that keeps what it is given and refuses whom it is told to."""

    recipients: tuple[Recipient, ...] = (Recipient(ANA), Recipient(BEN))
    refuses: set[str] = field(default_factory=set)
    sent: list[Envelope] = field(default_factory=list)
    form: str = "mime"
    headers: MailHeaders | None = field(default_factory=lambda: MailHeaders("d@sender.example"))

    @contextmanager
    def session(self) -> Iterator[Outbox]:
        yield self

    def check(self) -> tuple[Finding, ...]:
        return ()

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        if envelope.recipient in self.refuses:
            raise DeliveryError("outbox", "not now", permanent=False)
        assert commit()
        self.sent.append(envelope)
        return "250 ok"

    def subjects(self, recipient: str = ANA) -> list[str]:
        return [
            str(message_from_bytes(one.content, policy=policy.default)["Subject"])
            for one in self.sent
            if one.recipient == recipient
        ]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def sent(settings: Settings, outbox: Outbox) -> Settings:
    """A digest whose edition of Monday has gone out: 60 leads of 140."""
    there = replace(settings, channels={"mail": outbox})
    assert send(there, at(7, 31)).exit_code == 0
    return there


def change(settings: Settings, *leads: str) -> None:
    """Add leads of these days."""
    with closing(sqlite3.connect(settings.folder / "crm.sqlite")) as crm, crm:
        crm.executemany("INSERT INTO leads VALUES (?, 'DACH')", [(day,) for day in leads])


def corrected(
    settings: Settings,
    now: datetime | None = None,
    told: list[str] | None = None,
    **asked: object,
) -> Report:
    clock = Clock(now or at(14, 0))
    hears = [] if told is None else told
    return correct(settings, Now(clock=clock, sleep=clock.sleep, tell=hears.append), **asked)  # type: ignore[arg-type]  # day and reason


def text_of(envelope: Envelope) -> str:
    mail = message_from_bytes(envelope.content, policy=policy.default)
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_nothing_changed_sends_nothing_and_says_so(sent: Settings, outbox: Outbox) -> None:
    report = corrected(sent)

    assert (report.exit_code, report.happened) == (0, False)
    assert report.lines == (
        "nothing has changed since the edition of 2026-06-15, so nothing was sent",
    )
    assert len(outbox.sent) == 2


def test_a_change_is_told_to_those_who_got_the_edition(sent: Settings, outbox: Outbox) -> None:
    change(sent, "2026-06-10", "2026-06-11")
    told: list[str] = []

    report = corrected(sent, told=told, reason="Two forms were not counted.")

    assert report.exit_code == 0
    assert told == [
        (
            "correction 1 of the edition of 2026-06-15, to 2 of its recipients: total, leads 60 -> 62; "
            "total, gap -4 -> -2; DACH, leads 60 -> 62; why: Two forms were not counted."
        )
    ]
    assert report.lines[0].startswith("correction 1 of 2026-06-15: mail an…@company.example: sent")
    assert [one.recipient for one in outbox.sent] == [ANA, BEN, ANA, BEN]
    first, second = outbox.subjects()
    assert (
        second
        == f"Correction: {first.replace('60', '62').partition(' - ')[0]}"
        + (second[second.index(" - ") :])
    )
    said = " ".join(text_of(outbox.sent[-1]).split())
    assert "CORRECTION OF THE EDITION OF MONDAY, 15 JUNE 2026, SENT AT 07:31" in said
    assert "Why: Two forms were not counted." in said
    assert "DACH, leads: 60 → 62" in said
    assert "Total, gap to plan: \N{MINUS SIGN}4 → \N{MINUS SIGN}2" in said


def test_the_same_correction_goes_out_once_and_a_further_change_is_the_next(
    sent: Settings, outbox: Outbox
) -> None:
    change(sent, "2026-06-10")
    corrected(sent)
    again = corrected(sent)

    assert (again.exit_code, again.happened, len(outbox.sent)) == (0, False, 4)
    assert "already sent" in again.lines[0]

    change(sent, "2026-06-10")
    told: list[str] = []
    corrected(sent, told=told)

    assert "correction 2" in told[0]
    assert "DACH, leads 61 -> 62" in told[0]
    assert len({one.key for one in outbox.sent}) == len(outbox.sent) == 6


def test_a_recipient_who_was_not_served_gets_the_same_bytes_with_the_next_call(
    sent: Settings, outbox: Outbox
) -> None:
    change(sent, "2026-06-10")
    outbox.refuses = {BEN}
    assert corrected(sent).exit_code == 4
    outbox.refuses = set()

    later = corrected(sent, at(15, 0))

    assert later.exit_code == 0
    assert outbox.subjects(BEN) == outbox.subjects(ANA)
    assert [one.recipient for one in outbox.sent[2:]] == [ANA, BEN]
    ledger = open_ledger(sent.ledger, clock=lambda: at(15, 0))
    rows = ledger.deliveries("leads", MONDAY, correction=1)
    assert {row.key: ledger.message(row) for row in rows} == {
        one.key: one.content for one in outbox.sent[2:]
    }


def test_only_those_who_got_the_first_edition_are_told(settings: Settings, outbox: Outbox) -> None:
    there = replace(settings, channels={"mail": outbox})
    outbox.refuses = {BEN}
    clock = Clock(at(10, 59))
    now = Now(clock=clock, sleep=clock.sleep)
    from digest.dispatch import send_digest

    assert send_digest(there, now).exit_code == 4
    outbox.refuses = set()
    outbox.recipients = (*outbox.recipients, Recipient("cleo@company.example"))
    change(there, "2026-06-10")

    assert corrected(there).exit_code == 0
    assert [one.recipient for one in outbox.sent] == [ANA, ANA]


def test_an_edition_that_reached_nobody_cannot_be_corrected(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no edition has reached anybody"):
        corrected(settings)
    with pytest.raises(ConfigError, match="no edition of 2026-06-12 has reached anybody"):
        corrected(settings, day=date(2026, 6, 12))


def test_the_next_edition_starts_from_what_was_corrected(sent: Settings, outbox: Outbox) -> None:
    change(sent, "2026-06-10", "2026-06-11")
    corrected(sent)
    change(sent, "2026-06-12")

    assert send(sent, at(8, 0, day=TUESDAY)).exit_code == 0

    edition = edition_to_show(sent, TUESDAY, at(9, 0, day=TUESDAY))
    assert edition.corrects is None
    assert edition.bridge.previous_actual == 62
    assert [one.leads for one in edition.bridge.corrections] == [1]
    assert "Correction" not in outbox.subjects()[-1]


def test_a_change_that_nobody_corrected_stands_in_the_next_bridge(sent: Settings) -> None:
    change(sent, "2026-06-10", "2026-06-11")

    assert send(sent, at(8, 0, day=TUESDAY)).exit_code == 0

    edition = edition_to_show(sent, TUESDAY, at(9, 0, day=TUESDAY))
    assert (edition.bridge.previous_actual, len(edition.bridge.corrections)) == (60, 2)


def test_looking_shows_what_people_read_last(sent: Settings) -> None:
    change(sent, "2026-06-10")
    corrected(sent, reason="late")

    edition = edition_to_show(sent, MONDAY, at(15, 0))

    assert edition.corrects is not None
    assert (edition.corrects.number, edition.corrects.reason) == (1, "late")
    assert edition.corrects.sent_at == at(7, 31)
    assert edition.scorecard.total.actual == 61


def test_an_edition_of_an_earlier_day_is_corrected_with_its_own_cut_off(
    sent: Settings, outbox: Outbox
) -> None:
    send(sent, at(8, 0, day=TUESDAY))
    change(sent, "2026-06-10", "2026-06-15")
    told: list[str] = []

    corrected(sent, at(9, 0, day=TUESDAY), told, day=MONDAY)

    assert "correction 1 of the edition of 2026-06-15" in told[0]
    assert "total, leads 60 -> 61" in told[0]
    assert len(outbox.sent) == 6
    # The order of the dates is as it was: the next edition still follows Tuesday's.
    previous = memory_of(sent, date(2026, 6, 17)).previous
    assert previous is not None
    assert previous.business_date == TUESDAY


def test_a_source_that_does_not_answer_corrects_nothing(sent: Settings, outbox: Outbox) -> None:
    with closing(sqlite3.connect(sent.folder / "crm.sqlite")) as crm, crm:
        crm.execute("DELETE FROM leads")

    with pytest.raises(ConnectorError, match="no lead at all"):
        corrected(sent)

    assert len(outbox.sent) == 2
    ledger = open_ledger(sent.ledger, clock=lambda: at(15, 0))
    assert ledger.run("leads", MONDAY, correction=1) is None
    assert all(row.state is State.SENT for row in ledger.deliveries("leads", MONDAY))


# ---------------------------------------------------------------------------------- which figures moved


def edition_of(settings: Settings, day: date) -> Edition:
    return compose(settings, day, now=at(8, 0, day=day))


def test_figures_that_moved_are_named_by_month_and_segment(settings: Settings) -> None:
    day = date(2026, 6, 1)
    before = edition_of(settings, day)
    change(settings, "2026-05-28")
    after = edition_of(settings, day)

    assert figures_moved(before, before) == ()
    assert figures_moved(before, after) == (
        CorrectedFigure(date(2026, 5, 1), None, FigureCode.LEADS, 126, 127),
        CorrectedFigure(date(2026, 5, 1), None, FigureCode.GAP, -14, -13),
        CorrectedFigure(date(2026, 5, 1), "DACH", FigureCode.LEADS, 126, 127),
    )


def test_a_row_that_is_new_or_gone_moved_too(settings: Settings) -> None:
    before = edition_of(settings, MONDAY)
    with closing(sqlite3.connect(settings.folder / "crm.sqlite")) as crm, crm:
        crm.execute("INSERT INTO leads VALUES ('2026-06-10', 'Mars')")
    after = edition_of(settings, MONDAY)

    moved = {
        (one.segment, one.figure): (one.before, one.now) for one in figures_moved(before, after)
    }
    assert moved["", FigureCode.LEADS] == (None, 1)
    back = {
        (one.segment, one.figure): (one.before, one.now) for one in figures_moved(after, before)
    }
    assert back["", FigureCode.LEADS] == (1, None)
    assert ("", FigureCode.GAP) not in moved


def test_a_month_that_closes_in_one_of_two_editions_alone_moved_as_a_whole(
    settings: Settings,
) -> None:
    closing = edition_of(settings, date(2026, 6, 1))
    plain = replace(closing, closed=None)

    gone, come = figures_moved(closing, plain), figures_moved(plain, closing)

    assert {(one.month, one.now) for one in gone} == {(date(2026, 5, 1), None)}
    assert {(one.month, one.before) for one in come} == {(date(2026, 5, 1), None)}
    assert [one.before for one in gone] == [one.now for one in come]
