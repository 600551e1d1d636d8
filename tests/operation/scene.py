"""A digest with a relay for its readers, another one for the operator, and a dead-man's switch."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from digest.channels import Channel
from digest.corrections import correct
from digest.dispatch import Now
from digest.errors import ConnectorError, DigestError, Reason
from digest.journal import Journal, Redactor, secrets_in
from digest.model import LeadCounts, Period, Secret, Segment
from digest.operation import operate, operate_correction
from digest.settings import Settings, load
from digest.settings.values import Alerts
from tests.delivery.scene import PATIENT, a_relay
from tests.fakes.healthchecks import Checks
from tests.fakes.healthchecks import running as checking
from tests.fakes.smtp import SmtpServer
from tests.fakes.smtp import running as mailing
from tests.test_compose import CONFIG

MONDAY = date(2026, 6, 15)
TEAM = ("ana@team.example", "ben@team.example", "cleo@team.example")
OPERATOR = "ops@company.example"


def at(hour: int, minute: int = 0, *, day: date = MONDAY) -> datetime:
    """An instant of a summer day in Zurich, which is two hours ahead of UTC."""
    return datetime(day.year, day.month, day.day, hour - 2, minute, tzinfo=UTC)


@dataclass
class Refusing:
    """A source that fails as told, and counts with another one once it is told nothing."""

    settings: Settings
    error: DigestError | None
    meanwhile: Callable[[], None] = lambda: None

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        self.meanwhile()
        if self.error is not None:
            raise self.error
        return self.settings.connector.count_leads(period=period, segments=segments, now=now)


def source_error(reason: Reason, what: str = "the key was refused") -> ConnectorError:
    return ConnectorError("salesforce", reason, what, remedy="renew it")


@dataclass
class Stage:
    """Everything around one digest; `call` is what cron does."""

    settings: Settings
    relay: SmtpServer
    operator: SmtpServer
    checks: Checks
    now: datetime = field(default_factory=lambda: at(7, 31))
    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    redact: Callable[[str], str] | None = None

    def call(
        self,
        when: datetime | None = None,
        *,
        correction: bool = False,
        day: date | None = None,
        **changes: Any,  # noqa: ANN401 - any argument
    ) -> int:
        """Run the digest once, or correct its edition, and return the exit code."""
        self.now = when or self.now

        def sleep(seconds: float) -> None:
            self.now += timedelta(seconds=seconds)

        net = Redactor()
        net.learn(secrets_in(self.settings))
        journal = Journal(
            write=self.lines.append,
            clock=lambda: self.now,
            host="host-a",
            pid=1,
            steps=True,
            as_json=True,
            redact=self.redact or net,
        )
        now = Now(clock=lambda: self.now, sleep=sleep, tell=self.said.append)
        try:
            if correction:
                report = operate_correction(
                    self.settings,
                    now,
                    journal,
                    lambda now: correct(self.settings, now, day=day),
                    day=day,
                    **changes,
                )
            else:
                report = operate(self.settings, now, journal, day=day, **changes)
        except DigestError as error:
            self.printed.append(str(error))
            self.chains.append("".join(traceback.format_exception(error)))
            return error.exit_code
        self.printed += report.lines
        return report.exit_code

    def source(self, error: DigestError | None) -> Refusing:
        """Let the source fail from now on, or work again."""
        connector = self.settings.connector
        own = (
            replace(self.settings, connector=connector.settings.connector)
            if isinstance(connector, Refusing)
            else self.settings
        )
        refusing = Refusing(own, error)
        self.settings = replace(self.settings, connector=refusing)
        return refusing

    def tell(self, *ways: tuple[str, Channel | None]) -> None:
        """Change how the operator is told."""
        self.settings = replace(self.settings, alerts=replace(self.settings.alerts, **dict(ways)))

    @property
    def alerts(self) -> list[EmailMessage]:
        """What the operator has got."""
        return [
            message_from_bytes(one.content, policy=policy.default) for one in self.operator.accepted
        ]

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.alerts]

    def text(self, number: int = -1) -> str:
        return str(self.alerts[number].get_content()).replace("\r\n", "\n")

    @property
    def got(self) -> list[str]:
        """Who has got the edition."""
        return sorted(one.recipient for one in self.relay.accepted)


def a_source(folder: Path) -> None:
    """Six leads on every weekday of 2026."""
    days = [date(2026, 1, 1) + timedelta(n) for n in range(250)]
    rows = [(str(day), "DACH") for day in days if day.weekday() < 5 for _ in range(6)]
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
        crm.execute("CREATE TABLE leads (day DATE, region TEXT)")
        crm.executemany("INSERT INTO leads VALUES (?, ?)", rows)


@contextmanager
def a_stage(
    folder: Path,
    *,
    relay: Mapping[str, Any] | None = None,
    operator: Mapping[str, Any] | None = None,
    team: tuple[str, ...] = TEAM,
    answers: Sequence[int] = (200,),
) -> Iterator[Stage]:
    """Set everything up; `relay` and `operator` are arguments of the two SMTP servers."""
    a_source(folder)
    (folder / "digest.toml").write_text(CONFIG)
    settings = load(folder / "digest.toml", environment={})
    with ExitStack() as stack:
        readers = stack.enter_context(mailing(SmtpServer(**(relay or {}))))
        ops = stack.enter_context(mailing(SmtpServer(**(operator or {}))))
        checks = stack.enter_context(checking(Checks(answers=answers)))
        given: dict[str, Any] = {"username": "digest", "password": Secret("canary-smtp-1f")}
        login = given if readers.users else {}
        yield Stage(
            replace(
                settings,
                channels={"smtp": a_relay(readers.port, team, **login)},
                alerts=Alerts(mail=a_relay(ops.port, (OPERATOR,), timeouts=PATIENT)),
                heartbeat=Secret(f"{checks.url}?create=1"),
            ),
            readers,
            ops,
            checks,
        )
