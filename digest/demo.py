"""`digest demo`: a sample CRM, worksheet and config in one folder, and today's edition in a local inbox."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.errors import ConfigError
from digest.model import Period, PlanRate, add_months, month_start

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

    from digest.settings import Settings
    from digest.sla import Plan

ZONE = ZoneInfo("Europe/Zurich")
HISTORY_MONTHS = 7


@dataclass(frozen=True, slots=True)
class Region:
    """One region of the sample company: its plan, and how its marketing really does.

    Attributes:
        monthly_leads: leads of an average month. trend: how the current month compares with that.
        spellings: what the CRM's users wrote for it.
    """

    name: str
    currency: str
    revenue_goal: int
    marketing_share: str
    deal_size: int
    close_rate: str
    monthly_leads: int
    trend: float
    spellings: tuple[str, ...]


REGIONS = (
    Region(
        "DACH", "CHF", 300_000, "60%", 15_000, "4%", 296, 0.80, ("DACH", "DACH", "DACH", "dach ")
    ),
    Region("Benelux", "EUR", 120_000, "50%", 9_000, "5%", 131, 1.02, ("Benelux",)),
    Region("UKI", "EUR", 90_000, "45%", 8_000, "3%", 166, 0.97, ("UKI", "UKI", "uki")),
    Region("Nordics", "EUR", 50_000, "40%", 7_000, "6%", 47, 1.17, ("Nordics",)),
)
EUR_RATE = "0.94"
UNKNOWN_REGIONS = (None, None, "APAC", "")
# Monday to Sunday: forms are filled in midweek, a few on weekends.
WEEKDAY_PATTERN = (1.0, 1.12, 1.08, 1.02, 0.78, 0.12, 0.10)

SCHEMA = """
CREATE TABLE leads (
    lead_id INTEGER PRIMARY KEY,
    region TEXT,
    source TEXT NOT NULL,
    qualified_at DATETIME NOT NULL,  -- UTC
    customer_on DATE,
    first_call_at DATETIME,  -- UTC
    calls INTEGER NOT NULL DEFAULT 0,
    sales_status TEXT,
    deleted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX leads_qualified_at ON leads (qualified_at);
CREATE TABLE deals (
    deal_id INTEGER PRIMARY KEY,
    region TEXT,
    amount NUMERIC,
    currency TEXT NOT NULL,
    outcome TEXT NOT NULL,
    closed_on DATE NOT NULL
);
"""


def build_crm(path: Path, *, today: date) -> None:
    """Write the sample CRM with its leads up to the evening before `today`.

    The same date gives the same rows. Every region has its weekday pattern and its own luck; about
    one lead in seventy has no or an unknown region. Sales calls nearly all of them, most in time.
    """
    dice = random.Random(f"digest-demo {month_start(today)}")  # noqa: S311 - sample data, no secret
    calls = random.Random(f"digest-demo sales {month_start(today)}")  # noqa: S311 - sample data, no secret
    with closing(sqlite3.connect(path)) as crm, crm:
        crm.executescript(SCHEMA)
        crm.executemany(
            "INSERT INTO leads (region, source, qualified_at, customer_on, first_call_at, calls, "
            "sales_status) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((*lead, *_sales(calls, lead, today=today)) for lead in _leads(dice, today=today)),
        )
        crm.executemany(
            "INSERT INTO deals (region, amount, currency, outcome, closed_on) VALUES (?, ?, ?, ?, ?)",
            _deals(dice, today=today),
        )


def _leads(
    dice: random.Random, *, today: date
) -> Iterator[tuple[str | None, str, str, str | None]]:
    first = add_months(month_start(today), -HISTORY_MONTHS)
    for n in range((today - first).days):
        day = first + timedelta(days=n)
        for region in REGIONS:
            for _ in range(_leads_of(dice, region, day, today)):
                odd = dice.random() < 1 / 70
                yield (
                    dice.choice(UNKNOWN_REGIONS if odd else region.spellings),
                    dice.choice(("website", "webinar", "event", "referral")),
                    _instant(dice, day),
                    _customer_on(dice, region, day, today),
                )


def _leads_of(dice: random.Random, region: Region, day: date, today: date) -> int:
    """A day's leads: a mean with the weekday pattern, spread about as real counts are."""
    this_month = month_start(day) == month_start(today)
    workdays_worth = WEEKDAY_PATTERN[day.weekday()] / (sum(WEEKDAY_PATTERN) * 52.18 / 12)
    mean = region.monthly_leads * (region.trend if this_month else 1.0) * workdays_worth
    # The sum of eight coin flips has half the variance of a Poisson count of the same mean, which
    # keeps the story of the demo the same on most days of a month.
    chances = 8
    return sum(int(mean / chances) + (dice.random() < mean / chances % 1) for _ in range(chances))


def _instant(dice: random.Random, day: date) -> str:
    local = datetime(day.year, day.month, day.day, 8, tzinfo=ZONE) + timedelta(
        seconds=dice.randrange(11 * 3600)
    )
    return local.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.000000")


def _customer_on(dice: random.Random, region: Region, day: date, today: date) -> str | None:
    if dice.random() >= float(region.close_rate.rstrip("%")) / 100:
        return None
    won = day + timedelta(days=dice.randrange(14, 75))
    return won.isoformat() if won < today else None


def _sales(
    dice: random.Random, lead: tuple[str | None, str, str, str | None], *, today: date
) -> tuple[str | None, int, str | None]:
    """Return what sales did with a lead until this morning: first call, number of calls, verdict."""
    _, source, qualified_at, customer_on = lead
    prompt, minutes, days, verdict = (dice.random() for _ in range(4))
    wait = 5 + (45 if source == "website" else 900) * minutes
    if prompt > 0.95:  # noqa: PLR2004 - one lead in twenty waits too long
        wait = 300 + 2400 * minutes
    qualified = datetime.fromisoformat(qualified_at).replace(tzinfo=UTC)
    called = _in_office_hours(qualified, timedelta(minutes=round(wait)))
    forgotten = prompt < 0.015 and customer_on is None  # noqa: PLR2004 - about one in seventy
    if forgotten or called > morning(today):
        return None, 0, None
    age = (today - called.date()).days
    decided = customer_on is not None or age > 12 * days
    calls = 1 + min(age, round(6 * days)) if not decided else 1 + round(3 * days)
    status = "accepted" if customer_on or verdict < 0.72 else "rejected"  # noqa: PLR2004 - share accepted
    if not decided or (customer_on is None and 0.66 < verdict < 0.72):  # noqa: PLR2004 - never reached
        status = "open"
        calls = min(age, 3 + round(4 * days)) + 1
    return called.strftime("%Y-%m-%d %H:%M:%S.000000"), calls, status


def _in_office_hours(start: datetime, wait: timedelta) -> datetime:
    """Return the instant at which so much time between 09:00 and 17:00 on weekdays has passed."""
    local = start.astimezone(ZONE)
    while True:
        opens, closes = (local.replace(hour=hour, minute=0, second=0) for hour in (9, 17))
        here = max(local, opens)
        if local.weekday() < 5 and wait <= closes - here:  # noqa: PLR2004 - Monday to Friday
            return (here + wait).astimezone(UTC)
        if local.weekday() < 5 and here < closes:  # noqa: PLR2004 - Monday to Friday
            wait -= closes - here
        local = opens.replace(hour=0) + timedelta(days=1)


def _deals(dice: random.Random, *, today: date) -> Iterator[tuple[str, int | None, str, str, str]]:
    first = add_months(month_start(today), -HISTORY_MONTHS)
    for region in REGIONS:
        expected = region.revenue_goal / region.deal_size
        for month in range(HISTORY_MONTHS):
            start = add_months(first, month)
            for n in range(round(expected * 3)):
                amount = round(region.deal_size * dice.uniform(0.55, 1.4), -2)
                yield (
                    region.name,
                    None if dice.random() < 1 / 40 else int(amount),
                    region.currency,
                    "won" if n % 3 == 0 else "lost",
                    (start + timedelta(days=dice.randrange(28))).isoformat(),
                )


def change_the_past(path: Path, *, today: date, already_counted: date) -> None:
    """Do what CRM users do after an edition went out: enter leads late, delete some, reassign one.

    Only days up to `already_counted` (a local day) change, so that today's edition shows corrections.
    """
    dice = random.Random(f"digest-demo corrections {today}")  # noqa: S311 - sample data, no secret
    recent = already_counted - timedelta(days=2)
    with closing(sqlite3.connect(path)) as crm, crm:
        crm.executemany(
            "INSERT INTO leads (region, source, qualified_at) VALUES (?, 'event', ?)",
            [("DACH", _instant(dice, recent)) for _ in range(3)],
        )
        since = f"{recent} 00:00:00"
        upto = f"{already_counted + timedelta(days=1)} 00:00:00"
        chosen = (
            "SELECT lead_id FROM leads WHERE region = ? AND qualified_at BETWEEN ? AND ? LIMIT ?"
        )
        crm.execute(
            f"UPDATE leads SET deleted = 1 WHERE lead_id IN ({chosen})",  # noqa: S608 - constants only
            ("UKI", since, upto, 2),
        )


# --------------------------------------------------------------------------------- plan and settings


def sample_plan(today: date) -> Plan:
    """Return the agreement of the sample company: the four regions of the worksheet's example."""
    from digest.sla import Plan, RevenueGoal, Terms

    first = first_month(today)
    months = [add_months(first, n) for n in range(12)]
    return Plan(
        currency="CHF",
        currencies=tuple((region.name, region.currency) for region in REGIONS),
        revenue_goals=tuple(
            RevenueGoal(region.name, month, Decimal(region.revenue_goal))
            for region in REGIONS
            for month in months
        ),
        terms=tuple(
            Terms(
                segment=region.name,
                valid_from=first,
                deal_size=Decimal(region.deal_size),
                marketing_share=_ratio(region.marketing_share),
                close_rate=_ratio(region.close_rate),
            )
            for region in REGIONS
        ),
        rates=(PlanRate("EUR", Decimal(EUR_RATE), first),),
    )


def first_month(today: date) -> date:
    """Return the first month of the sample plan: far enough back for a close and a look around."""
    return add_months(month_start(today), -8)


def _ratio(text: str) -> Fraction:
    return Fraction(text.rstrip("%")) / 100


SETTINGS = """\
# {marker}
# Written by `digest demo`. Try:  digest show {folder}/digest.toml
# The settings of your own digest: `digest init`; every setting explained: config/example.toml.

id = "demo"
title = "Example Ltd"
language = "{language}"
timezone = "Europe/Zurich"
segment_kind = "region"
lead_definition = {definition}

[sla]
worksheet = "sla.xlsx"

[calendar]
country = "CH"
subdivision = "ZH"

[connector]
type = "sql"
url = "sqlite:///crm.sqlite"
table = "leads"
segment = "region"
dates = ["qualified_at"]
stored_in = "UTC"
filters = [{{ column = "deleted", op = "=", value = 0 }}]
customer = "customer_on"

# Won and lost deals: `digest worksheet fill {folder}/digest.toml` measures close rates and deal sizes.
[connector.deals]
table = "deals"
closed = "closed_on"
segment = "region"
outcome = "outcome"
won = ["won"]
lost = ["lost"]
amount = "amount"
currency_column = "currency"

# What sales did with the leads, and what it promised: the digest's other half.
[connector.follow_up_columns]
clock_start = "qualified_at"
first_response = "first_call_at"
attempts = "calls"
outcome = "sales_status"
accepted = ["accepted"]
rejected = ["rejected"]
source = "source"
website = ["website"]

[follow_up]
respond_within = "24 h"
website_within = "1 h"
attempts = 5
within_workdays = 10

# The demo's inbox listens on this port only while `digest demo` runs.
[channels.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "Leads digest <digest@example.com>"
recipients = ["marketing@example.com", "sales@example.com"]

# `digest demo --serve` opens the edition in a browser; tests from there may go to this address alone.
[preview]
test_recipients = ["me@example.com"]
"""
MARKER = "sla-digest demo"
# What the worksheet and the public holidays know, with a year to spare.
FIRST_YEAR, LAST_YEAR = 2001, 2099
DEFINITIONS: Mapping[str, str] = {
    "en": "A lead counts on the day it became marketing qualified, in the region of its company.",
    "de": "Ein Lead zählt an dem Tag, an dem er marketing-qualifiziert wurde, in der Region der Firma.",
    "fr": "Un lead compte le jour où il est qualifié par le marketing, dans la région de l’entreprise.",
    "it": "Un lead conta nel giorno in cui è qualificato dal marketing, nella regione dell’azienda.",
}


# ------------------------------------------------------------------------------------ the local inbox


class Inbox:
    """Writes each mail it is given to a folder, as it came over the wire."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep one mail; the reply names its file, as a relay names its queue id."""
        del server, session
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        number = len(list(self.folder.glob("*.eml"))) + 1
        name = re.sub(r"[^A-Za-z0-9@._-]", "_", envelope.rcpt_tos[0])
        path = self.folder / f"{number:02}-{name}.eml"
        path.write_bytes(content)
        return f"250 2.0.0 queued as {path.name}"


@contextmanager
def open_inbox(folder: Path, port: int) -> Iterator[None]:
    """Run an SMTP server on loopback for as long as the block lasts."""
    from aiosmtpd.controller import Controller

    folder.mkdir(parents=True, exist_ok=True)
    controller = Controller(Inbox(folder), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ------------------------------------------------------------------------------------------- the run


def run(
    folder: Path,
    *,
    wanted: date,
    language: str = "en",
    colour: bool = False,
    command: str = "digest",
) -> str:
    """Build the sample company in a folder, send two editions, and return what to print.

    The edition of the workday before is sent first; then the CRM's past changes a little, so that the
    edition of `wanted` (or of the last workday before it) has something to bridge. `command` is how the
    person calls the program.

    Raises:
        ConfigError: the folder holds something that is not an earlier demo.
    """
    from digest.dispatch import edition_to_show, write_edition
    from digest.render import render_terminal
    from digest.settings import load
    from digest.workdays import Calendar
    from digest.worksheet import write_new

    if not FIRST_YEAR <= wanted.year <= LAST_YEAR:
        raise ConfigError(
            f"--date: {wanted} is too far away for the demo; "
            f"allowed are the years {FIRST_YEAR} to {LAST_YEAR}"
        )
    _empty(folder)
    calendar = Calendar("CH", "ZH")
    business_date = wanted if calendar.is_workday(wanted) else calendar.previous_workday(wanted)
    day_before = calendar.previous_workday(business_date)

    port = _free_port()
    crm, config, inbox = folder / "crm.sqlite", folder / "digest.toml", folder / "inbox"
    build_crm(crm, today=business_date)
    first = first_month(business_date)
    write_new(
        folder / "sla.xlsx",
        language=language,
        currency="CHF",
        year=first.year,
        start_month=first.month,
        plan=sample_plan(business_date),
        days=calendar.days(Period(first, add_months(first, 12))),
    )
    config.write_text(_settings(folder, language, port), encoding="utf-8")

    settings = load(config, environment={})
    with open_inbox(inbox, port):
        _send(settings, day_before)
        change_the_past(crm, today=business_date, already_counted=day_before - timedelta(days=1))
        sent = _send(settings, business_date)
    now = morning(business_date)
    edition = edition_to_show(settings, business_date, now)
    write_edition(settings, edition, folder / "edition", language=None, now=now)
    shown = render_terminal(edition, language=language, colour=colour)
    return f"{shown}\n{_where_to_look(folder, business_date, wanted, sent, command)}"


def serving(folder: Path) -> AbstractContextManager[None]:
    """Keep the local inbox of a demo open for as long as the block lasts, for tests of the preview."""
    import tomllib

    settings = tomllib.loads((folder / "digest.toml").read_text(encoding="utf-8"))
    return open_inbox(folder / "inbox", settings["channels"]["smtp"]["port"])


def morning(day: date) -> datetime:
    """Return 07:30 in Zurich: the demo's clock, so that one date always gives the same edition."""
    return datetime.combine(day, time(7, 30), tzinfo=ZONE).astimezone(UTC)


def _send(settings: Settings, business_date: date) -> tuple[str, ...]:
    from digest.dispatch import Now, send_digest

    now = Now(clock=lambda: morning(business_date), sleep=lambda _seconds: None)
    report = send_digest(settings, now)
    if report.exit_code:
        raise ConfigError(*(f"demo: {line}" for line in report.lines))
    return report.lines


def _settings(folder: Path, language: str, port: int) -> str:
    return SETTINGS.format(
        marker=MARKER,
        folder=folder,
        language=language,
        definition=json.dumps(DEFINITIONS[language.partition("-")[0]], ensure_ascii=False),
        port=port,
    )


def _empty(folder: Path) -> None:
    """Remove an earlier demo from the folder, and refuse to touch anything else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_the_demo(folder)
        # First of all files and last to go, so that a demo that was cut short is still known as one.
        (folder / "digest.toml").write_text(f"# {MARKER}, not finished\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{folder}: the folder cannot be written ({error.strerror or error}); "
            "name another folder, for example `digest demo my-demo`"
        ) from error


def _remove_the_demo(folder: Path) -> None:
    config = folder / "digest.toml"
    ours = config.is_file() and MARKER in config.read_text(encoding="utf-8", errors="replace")
    if any(folder.iterdir()) and not ours:
        raise ConfigError(
            f"{folder}: the folder holds something that is not a digest demo; "
            "name another folder, for example `digest demo my-demo`"
        )
    for child in folder.iterdir():
        if child == config:
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _where_to_look(
    folder: Path, business_date: date, wanted: date, sent: tuple[str, ...], command: str
) -> str:
    other_day = (
        f"{wanted} has no edition; this is the one of {business_date}.\n"
        if wanted != business_date
        else ""
    )
    delivered = "\n".join(f"  {line}" for line in sent)
    return f"""\
{other_day}Sent to the local inbox over SMTP:
{delivered}

Where to look:
  {folder}/edition/digest.html   the email (also .txt, .eml, waterfall.png, slack.json, scorecard.json)
  {folder}/inbox/                both editions as they arrived
  {folder}/sla.xlsx              the six-step worksheet behind the goals
  {folder}/digest.toml           the settings

Next:
  {command} preview {folder}/digest.toml   the same in a browser: every number, worksheet and what-if
  {command} show {folder}/digest.toml
  {command} worksheet fill {folder}/digest.toml
  {command} init my-digest"""
