"""What the delivery tests share: a small edition, a clock that only moves when told, and a sender."""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from digest import delivery
from digest.channels import Channel
from digest.channels.smtp import Smtp, Timeouts
from digest.ledger import Claim, Owner, Place, Postgres, State, open_ledger
from digest.ledger.postgres import SCHEMA, PostgresBackend
from digest.ledger.store import Ledger
from digest.model import (
    Bridge,
    Brief,
    BriefFigure,
    Edition,
    Image,
    Kind,
    Message,
    Origin,
    Period,
    Recipient,
    Row,
    Scorecard,
    Status,
)
from digest.render import PACKERS
from tests.servers import Server

TODAY = date(2026, 4, 7)
START = datetime(2026, 4, 7, 5, 31, tzinfo=UTC)  # 07:31 in Zurich
TEAM = ("ana@team.example", "ben@team.example", "cleo@team.example")
PATIENT = Timeouts(connect=10, setup=10, command=10, body=10, transfer=10, reply=10)
# For a server that hangs; long enough for one that merely runs on a busy machine.
FAST = Timeouts(connect=5, setup=5, command=0.5, body=5, transfer=5, reply=0.5)
HERE = Owner("host-a", "boot", 1, "1")
THERE = Owner("host-b", "boot", 2, "2")


@dataclass
class Clock:
    """Both clocks of a run; sleeping moves them."""

    now: datetime = START
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def forward(self, **amount: float) -> None:
        self.now += timedelta(**amount)


def fork() -> int:
    """Fork like os.fork; newer Pythons warn of threads, which here stay with the parent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def an_edition(day: date = TODAY, *, actual: int = 23) -> Edition:
    period = Period(date(2026, 4, 1), date(2026, 5, 1))
    total = Row(segment=None, status=Status.ON_TRACK, actual=actual, goal=100)
    return Edition(
        digest="leads",
        title="Leads",
        business_date=day,
        kind=Kind.MONTH_TO_DATE,
        language="en",
        scorecard=Scorecard(
            period,
            day - timedelta(1),
            Fraction(20),
            Fraction(3),
            Fraction(17),
            total,
            (),
            None,
            None,
        ),
        bridge=Bridge(None, 0, (), (), actual),
        closed=None,
        covers=(day - timedelta(1),),
        days=(),
        calendar="CH-ZH",
        counts=(),
        as_of=START,
        origin=Origin("sql", "test"),
        reconciled=True,
        source_total=actual,
        lead_definition="leads",
        sla_version="1",
    )


def to_json(edition: Edition) -> str:
    return json.dumps(
        {"day": edition.business_date.isoformat(), "actual": edition.scorecard.total.actual}
    )


def from_json(text: str) -> Edition:
    facts = json.loads(text)
    return an_edition(date.fromisoformat(facts["day"]), actual=facts["actual"])


def a_brief(title: str) -> Brief:
    """The short form of a small edition; every name in it tries to break out."""
    row = ("<!channel> & Söhne", "■ Behind", "10", "18", "\u22128", "10%")
    return Brief(
        title=title,
        summary="Behind: 23 of 100. Largest gap: Zug, 8 behind plan",
        status=("Behind", "■", "bad"),
        sentences=("April stands at 23 of 100 leads.", "Behind: Zug."),
        warnings=(),
        figures=tuple(
            BriefFigure(one, "23", ("of 100",)) for one in ("Leads", "Gap", "Needed", "End")
        ),
        changes=("5 new leads since Thu 2 Apr.",),
        columns=("Segment", "Status", "Actual", "Expected", "Gap", "Of goal"),
        rows=(row,),
        total=("Total", *row[1:]),
        link=("Open", "https://digest.example/leads"),
        facts=(("Counted up to", "Monday"), ("Source", "test"), ("Calendar", "CH-ZH")),
        corrected="Corrected, see the thread",
    )


def render(edition: Edition, recipient: Recipient) -> Message:
    return Message(
        digest=edition.digest,
        business_date=edition.business_date,
        month=date(2026, 6, 1),
        thread_subject="Leads June 2026 - Leads",
        language=recipient.language or edition.language,
        subject=f"Leads: {edition.scorecard.total.actual} of 100 – à Genève",
        preheader="",
        html='<p>Grüezi</p><img src="cid:chart" alt="">',
        text=f"{edition.scorecard.total.actual} leads\n.dot\n",
        images=(Image("chart", "chart.png", b"\x89PNG\r\n", "chart"),),
        brief=a_brief(f"Leads: {edition.scorecard.total.actual} of 100"),
    )


class ToldTime(PostgresBackend):
    """PostgreSQL for tests that move the time: leases are compared with the test's clock."""

    def now(self, connection: Connection, clock: Callable[[], datetime]) -> datetime:
        del connection
        return clock()


def empty_postgres(server: Server) -> Postgres:
    """Return the server's database for ledgers, in which none is yet."""
    with suppress(ProgrammingError):  # it is there already
        server.run("CREATE DATABASE ledgers")
        # No test cuts the power, and waiting for a disk is most of what the server would do.
        server.run("ALTER SYSTEM SET fsync TO off", "SELECT pg_reload_conf()")
    place = Postgres(server.admin.replace("+psycopg", "").replace(":@/postgres", "@/ledgers"))
    run_in(place, f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return place


def run_in(place: Postgres, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as the owner of the database; return the rows of the last one."""
    with psycopg.connect(place.url, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def a_ledger(
    place: Place,
    clock: Callable[[], datetime],
    owner: Owner = HERE,
    *,
    kind: type[Ledger] = Ledger,
    gone: Callable[[Owner], bool] = lambda _: False,
    busy_seconds: float = 30,
) -> Ledger:
    opened = open_ledger(place, clock=clock, owner=owner, gone=gone, busy_seconds=busy_seconds)
    backend = opened._backend
    if isinstance(place, Postgres):
        backend = ToldTime(place, busy_seconds=busy_seconds)
    return kind(backend, clock=clock, owner=owner, gone=gone)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Be somebody for whom permissions count, if root runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for one in (folder, *folder.rglob("*")):
        os.chown(one, nobody, nobody)
    for parent in folder.parents:
        if stat.S_IMODE(parent.stat().st_mode) == 0o700:
            parent.chmod(0o711)
    os.setegid(nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def a_relay(port: int | None, team: tuple[str, ...] = TEAM, **settings: Any) -> Smtp:  # noqa: ANN401 - any setting
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "Leads <digest@sender.example>",
        "recipients": tuple(Recipient(address) for address in team),
        "timeouts": PATIENT,
    }
    return Smtp(**{**given, **settings})


@dataclass
class Sender:
    """Calls `send` the way the command does; each test changes what it is about."""

    ledger: Ledger
    clock: Clock
    channels: Mapping[str, Channel]
    actual: int = 23
    composed: list[Edition | None] = field(default_factory=list)

    def compose(self, previous: Edition | None) -> Edition:
        self.composed.append(previous)
        return an_edition(actual=self.actual)

    def send(self, **changes: Any) -> delivery.SendResult:  # noqa: ANN401 - any argument
        given: dict[str, Any] = {
            "digest_id": "leads",
            "business_date": TODAY,
            "channels": self.channels,
            "compose": self.compose,
            "render": render,
            "packers": PACKERS,
            "ledger": self.ledger,
            "clock": self.clock,
            "sleep": self.clock.sleep,
            "monotonic": self.clock.monotonic,
            "to_json": to_json,
            "from_json": from_json,
            "patience": timedelta(),
        }
        return delivery.send(**{**given, **changes})

    def states(self) -> dict[str, str]:
        return {row.recipient: str(row.state) for row in self.ledger.deliveries("leads", TODAY)}


def team_of(channel: Smtp, *addresses: str) -> Smtp:
    return replace(channel, recipients=tuple(Recipient(address) for address in addresses))


class Unfenced(Ledger):
    """What the product must not be: it sends without writing down beforehand that it will."""

    def commit(self, claim: Claim) -> bool:
        del claim
        return True

    def record(
        self, claim: Claim, state: State, note: str, *, next_at: datetime | None = None
    ) -> bool:
        if state is State.SENT:
            super().commit(claim)
        return super().record(claim, state, note, next_at=next_at)
