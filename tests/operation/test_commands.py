"""The command line around it: logs on stderr, figures on stdout, and alerts of a real call."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from digest.cli import World, cli
from digest.journal import EVENTS
from tests.fakes.healthchecks import Checks
from tests.fakes.healthchecks import running as checking
from tests.fakes.smtp import Fault, SmtpServer, running
from tests.operation.scene import OPERATOR, TEAM, a_source, at
from tests.operation.test_metrics import parsed, value
from tests.test_compose import CONFIG

ALERTS = """
[channels.smtp]
host = "127.0.0.1"
port = {relay}
security = "none"
sender = "digest@sender.example"
recipients = ["{reader}"]
[alerts]
email = "{operator}"
[alerts.smtp]
host = "127.0.0.1"
port = {ops}
security = "none"
sender = "alerts@sender.example"
[heartbeat]
url = {{ env = "PING" }}
"""


def digest(folder: Path, *arguments: str, ping: str = "", hour: int = 8) -> Result:
    world = World(
        clock=lambda: at(hour), environment={"PING": ping or "http://127.0.0.1:1/canary-url"}
    )
    return CliRunner().invoke(cli, [*arguments, str(folder / "digest.toml")], obj=world)


def a_folder(folder: Path, relay: SmtpServer, ops: SmtpServer) -> None:
    a_source(folder)
    text = ALERTS.format(relay=relay.port, ops=ops.port, reader=TEAM[0], operator=OPERATOR)
    (folder / "digest.toml").write_text(CONFIG + text)


@pytest.mark.parametrize("option", ["--json-logs", "--verbose", "--quiet"])
def test_steps_go_to_stderr_and_results_to_stdout(tmp_path: Path, option: str) -> None:
    with running(SmtpServer()) as relay, running(SmtpServer()) as ops, checking(Checks()) as checks:
        a_folder(tmp_path, relay, ops)
        done = digest(tmp_path, option, "send", ping=checks.url)

    assert done.exit_code == 0
    assert "sent 08:00" in done.stdout
    lines = done.stderr.splitlines()
    if option == "--json-logs":
        found = [json.loads(line) for line in lines]
        assert {one["event"] for one in found} <= set(EVENTS)
        assert [one["event"] for one in found].count("sent") == 2  # the mail and the file
        assert {one["digest"] for one in found} == {"leads"}
    elif option == "--verbose":
        assert any(" sent       leads 2026-06-15 smtp " in line for line in lines)
    else:
        assert lines == []


def test_with_json_logs_errors_and_warnings_are_lines_of_json_too(tmp_path: Path) -> None:
    with running(SmtpServer()) as relay, running(SmtpServer()) as ops:
        a_folder(tmp_path, relay, ops)
        with closing(sqlite3.connect(tmp_path / "crm.sqlite")) as crm:
            crm.execute("DROP TABLE leads")
        done = digest(tmp_path, "--json-logs", "send")

    assert done.exit_code == 2
    found = [json.loads(line) for line in done.stderr.splitlines()]
    said = {one["level"]: one["text"] for one in found if one["event"] == "message"}
    assert set(said) == {"info", "warning", "error"}
    assert "the heartbeat cannot be reached" in said["warning"]
    assert "told the operator by email" in said["info"]
    assert "connector.table" in said["error"]
    assert "canary" not in done.output
    assert len(ops.accepted) == 1


def test_a_broken_file_of_several_stops_only_its_own_digest(tmp_path: Path) -> None:
    with running(SmtpServer()) as relay, running(SmtpServer()) as ops:
        a_folder(tmp_path, relay, ops)
        (tmp_path / "broken.toml").write_text("id = ")
        world = World(clock=lambda: at(8), environment={"PING": "http://127.0.0.1:1/x"})
        done = CliRunner().invoke(cli, ["--json-logs", "send", str(tmp_path)], obj=world)

    assert done.exit_code == 2
    assert "sent 08:00" in done.stdout
    assert any(
        "broken.toml" in json.loads(line).get("text", "") for line in done.stderr.splitlines()
    )


def test_history_prints_the_figures_of_the_ledger(tmp_path: Path) -> None:
    with (
        running(SmtpServer(faults=(Fault("RCPT", "550 no"),))) as relay,
        running(SmtpServer()) as ops,
    ):
        a_folder(tmp_path, relay, ops)
        # Before the first send there is nothing to count, and a sentence would be no figure.
        assert digest(tmp_path, "history", "--format", "prometheus").stdout == ""
        digest(tmp_path, "send")
        shown = digest(tmp_path, "history", "--format", "prometheus")

    found = parsed(shown.stdout)
    assert value(found, "digest_deliveries_total", channel="smtp", state="refused") == 1
    assert value(found, "digest_deliveries_total", channel="file", state="sent") == 1


def test_settling_an_outcome_is_a_line_of_the_journal(tmp_path: Path) -> None:
    with (
        running(SmtpServer(faults=(Fault("reply", "drop"),))) as relay,
        running(SmtpServer()) as ops,
    ):
        a_folder(tmp_path, relay, ops)
        assert digest(tmp_path, "send").exit_code == 5
    key = f"leads/2026-06-15/smtp/{TEAM[0]}"
    done = digest(tmp_path, "--json-logs", "resolve", key, "--sent", "--config")

    line = json.loads(done.stderr.splitlines()[-1])
    assert (line["event"], line["state"], line["channel"]) == ("resolved", "sent", "smtp")


def test_a_global_option_behind_the_command_says_where_it_goes(tmp_path: Path) -> None:
    said = digest(tmp_path, "send", "--json-logs")

    assert said.exit_code == 2
    assert "It goes before the command" in said.stderr
