"""Who gets the edition of a day: each recipient's own calendar may have it off."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from digest.channels.file import File
from digest.dispatch import Now, Report, send_digest
from digest.errors import ConfigError
from digest.ledger import RunState, read_ledger
from digest.model import Recipient
from digest.settings import Settings, load

KINGS_DAY = date(2026, 4, 27)  # a Monday, free in the Netherlands and worked in Zurich
LABOUR_DAY = date(2026, 5, 1)  # the reverse
ANA, LUCA = Recipient("ana@firm.example"), Recipient("luca@firm.example", calendar="nl")
CONFIG = """\
id = "leads"
[calendar]
country = "CH"
subdivision = "ZH"
[calendars.nl]
country = "NL"
[sla]
currency = "CHF"
[[sla.segments]]
segment = "DACH"
currency = "CHF"
valid_from = "2026-01"
goal = 140
[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
dates = ["day"]
segment = "region"
[channels.file]
path = "out"
recipients = ["ana@firm.example", { address = "luca@firm.example", calendar = "nl" }]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A digest whose source has six leads on every weekday of 2026."""
    connection = sqlite3.connect(tmp_path / "crm.sqlite")
    connection.execute("CREATE TABLE leads (day DATE, region TEXT)")
    days = [date(2026, 1, 1) + timedelta(n) for n in range(150)]
    rows = [(str(day), "DACH") for day in days if day.weekday() < 5 for _ in range(6)]
    connection.executemany("INSERT INTO leads VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    (tmp_path / "digest.toml").write_text(CONFIG)
    return load(tmp_path / "digest.toml", environment={})


def send(settings: Settings, day: date, *, hour: int = 8) -> Report:
    now = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return send_digest(settings, Now(clock=lambda: now, sleep=lambda _: None))


def served(settings: Settings, day: date) -> dict[str, str]:
    reader = read_ledger(settings.ledger)
    rows = reader.deliveries(settings.id, day) if reader else ()
    return {row.recipient: str(row.state) for row in rows}


def only_luca(settings: Settings) -> Settings:
    channel = settings.channels["file"]
    assert isinstance(channel, File)
    return replace(settings, channels={"file": replace(channel, recipients=(LUCA,))})


def test_a_recipient_whose_own_calendar_has_the_day_off_gets_nothing(settings: Settings) -> None:
    assert settings.channels["file"].recipients == (ANA, LUCA)

    report = send(settings, KINGS_DAY)

    assert report.exit_code == 0
    assert served(settings, KINGS_DAY) == {"ana@firm.example": "sent"}
    assert report.lines[1:] == ("file lu…@firm.example: no edition on 2026-04-27: King's Day",)


def test_the_next_edition_of_such_a_recipient_is_everybodys(settings: Settings) -> None:
    send(settings, KINGS_DAY)

    send(settings, KINGS_DAY + timedelta(1))

    tuesday = KINGS_DAY + timedelta(1)
    assert served(settings, tuesday) == dict.fromkeys((ANA.address, LUCA.address), "sent")
    mails = [
        BytesParser(policy=policy.default).parsebytes(path.read_bytes())
        for path in settings.folder.glob("out/**/*.eml")
    ]
    told = {
        mail["To"]: mail.get_body(("plain",)).get_content()  # type: ignore[union-attr] # every mail has a text part
        for mail in mails
        if mail["Date"].datetime.date() == tuesday
    }
    assert told.keys() == {ANA.address, LUCA.address}
    assert told[ANA.address] == told[LUCA.address]
    assert "6 new leads since Sun 26 Apr" in told[LUCA.address]


def test_a_second_call_on_that_day_is_quiet_and_cancels_nobody(settings: Settings) -> None:
    send(settings, KINGS_DAY)

    again = send(settings, KINGS_DAY)

    assert (again.exit_code, again.happened) == (0, False)
    assert served(settings, KINGS_DAY) == {"ana@firm.example": "sent"}


@pytest.mark.parametrize("hour", [8, 20])
def test_a_day_that_everybody_has_off_is_neither_composed_nor_late(
    settings: Settings, hour: int
) -> None:
    report = send(only_luca(settings), KINGS_DAY, hour=hour)

    assert (report.exit_code, report.happened) == (0, False)
    assert report.lines == ("file lu…@firm.example: no edition on 2026-04-27: King's Day",)
    reader = read_ledger(settings.ledger)
    assert reader
    run = reader.run(settings.id, KINGS_DAY)
    assert run
    assert (run.state, run.note) == (RunState.SKIPPED, "every recipient has a day off")


def test_a_workday_of_the_recipient_alone_makes_no_edition(settings: Settings) -> None:
    report = send(only_luca(settings), LABOUR_DAY)

    assert report.lines == ("no edition on 2026-05-01: Labor Day",)


def test_a_year_that_the_recipients_calendar_does_not_know_is_a_settings_mistake(
    settings: Settings,
) -> None:
    lanka = replace(settings.calendars["nl"], country="LK")  # known to 2026 by its almanac

    with pytest.raises(ConfigError, match="holidays of 2027 are not known"):
        send(replace(settings, calendars={"nl": lanka}), date(2027, 1, 11))
