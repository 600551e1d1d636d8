"""`digest check` says who would be told when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from digest.check import run
from digest.model import Secret
from digest.settings import Settings
from digest.settings.values import Alerts
from tests.delivery.scene import a_relay
from tests.fakes.smtp import SmtpServer, running
from tests.test_check import NOW, settings_of


def _told(settings: Settings) -> list[tuple[str, str, str]]:
    found = run(settings, now=NOW, business_date=NOW.date())
    return [(one.level, one.subject, one.text) for one in found if one.subject.startswith("alerts")]


def test_that_nobody_would_be_told_is_a_warning(tmp_path: Path) -> None:
    ((level, _, text),) = _told(settings_of(tmp_path))

    assert level == "warning"
    assert text.startswith("nobody would be told when something is wrong; write [alerts]")


def test_the_ways_to_the_operator_are_tried_and_none_of_them_stops_a_send(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path)
    with running(SmtpServer()) as relay:
        ways = Alerts(mail=a_relay(relay.port, ("ops@company.example",)))
        told = _told(
            replace(settings, alerts=ways, heartbeat=Secret("https://ping.example/planted"))
        )
        broken = _told(replace(settings, alerts=Alerts(mail=a_relay(1, ("ops@company.example",)))))

    assert [(level, subject) for level, subject, _ in told] == [
        ("ok", "alerts"),
        ("ok", "alerts by mail"),
        ("ok", "alerts by mail"),
        ("ok", "alerts"),
    ]
    assert "planted" not in str(told)
    assert [level for level, _, _ in broken] == ["ok", "warning", "warning"]
    assert "nobody notices that this host is dead" in broken[-1][2]
