"""The shipped examples: each is parsed by what reads it, and calls often enough and with real commands."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from digest.cli import cli
from digest.due import Standing, due
from digest.schedule import GRACE, PATIENCE
from digest.settings import load
from tests.test_compose import CONFIG

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "config" / "deploy"
NODE_TOOLS = ROOT / ".ci" / "node"
NODE, SYSTEMD = shutil.which("node"), shutil.which("systemd-analyze")
PROGRAM = "/opt/digest/bin/digest"
CALL_SECONDS = PATIENCE + GRACE

needs_node = pytest.mark.skipif(
    NODE is None or not (NODE_TOOLS / "node_modules" / "js-yaml").exists(),
    reason="needs Node 20.19 or newer with npm; `make test` then installs the tools",
)
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="needs systemd-analyze")


def yaml(name: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a YAML file with the parser of another language's users."""
    program = (
        'import yaml from "js-yaml"; import {readFileSync} from "fs"; '
        "console.log(JSON.stringify(yaml.load(readFileSync(process.argv[1]).toString())))"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [NODE or "node", "--input-type=module", "-e", program, str(DEPLOY / name)],
        cwd=NODE_TOOLS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=True)
    found.optionxform = str  # type: ignore[assignment,method-assign] # as systemd, which minds capitals
    found.read(DEPLOY / name)
    return found


def assert_is_a_command(words: list[str]) -> None:
    """Parse a command line as the program would, without running it."""
    context = cli.make_context("digest", list(words), resilient_parsing=False)
    name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    assert name in ("send", "schedule", "history")
    assert isinstance(command, click.Command)
    command.make_context(name, list(rest), parent=context)


def slots(minutes: str, hours: str) -> list[time]:
    """Return the times of day of a cron expression's first two fields."""
    return [time(h, m) for h in _field(hours, 24) for m in _field(minutes, 60)]


def _field(text: str, size: int) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0", "-", str(size - 1)) if span == "*" else span.partition("-")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return sorted(found)


def assert_serves_a_day(calls: list[time], tmp_path: Path) -> None:
    """Every workday of a year has several calls while an edition may go out, and one after that."""
    (tmp_path / "digest.toml").write_text(CONFIG)
    settings = load(tmp_path / "digest.toml", environment={})
    zone = ZoneInfo(settings.timezone)
    for n in range(365):
        day = datetime(2026, 1, 1, tzinfo=UTC).date() + timedelta(n)
        instants = [datetime.combine(day, call, zone).astimezone(UTC) for call in calls]
        found = [due(settings, instant).standing for instant in instants]
        if settings.calendar.is_workday(day):
            assert found.count(Standing.OPEN) >= 10, day
            assert found[-1] is Standing.LATE, day
        else:
            assert set(found) == {Standing.SKIPPED}, day


def test_an_example_is_there_for_each_starter() -> None:
    assert {path.name for path in DEPLOY.iterdir()} >= {
        "compose.yaml",
        "digest-send@.service",
        "digest-send@.timer",
        "digest.cron",
        "github-actions.yml",
        "kubernetes.yaml",
    }


def test_cron_calls_every_quarter_of_an_hour_and_says_nothing_when_nothing_happens(
    tmp_path: Path,
) -> None:
    lines = (DEPLOY / "digest.cron").read_text().splitlines()
    jobs = [line for line in lines if line and not re.match(r"#|\w+=", line)]

    (job,) = jobs
    *when, user, command = re.split(r"\s+", job, maxsplit=6)
    assert (when, user) == (["*/15", "*", "*", "*", "*"], "digest")
    assert "%" not in command  # cron would take it for the end of the line
    program, *words = shlex.split(command)
    assert (program, words[0]) == ("digest", "--quiet")
    assert_is_a_command(words)
    assert_serves_a_day(slots(*when[:2]), tmp_path)


def test_the_systemd_units_fit_each_other() -> None:
    service, timer = unit("digest-send@.service"), unit("digest-send@.timer")

    program, *words = shlex.split(service["Service"]["ExecStart"])
    assert program == PROGRAM
    assert_is_a_command(words)
    assert words[-1] == "/etc/digest/%i.toml"
    assert timer["Timer"]["Persistent"] == "true"
    assert service["Service"]["TimeoutStartSec"] == "25min"
    assert CALL_SECONDS < 25 * 60
    assert float(service["Service"]["TimeoutStopSec"]) >= GRACE


@pytest.mark.tool
@needs_systemd
def test_systemd_itself_accepts_the_units(tmp_path: Path) -> None:
    program = tmp_path / "digest"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("digest-send@.service", "digest-send@.timer"):
        text = (DEPLOY / name).read_text().replace(PROGRAM, str(program))
        (tmp_path / name).write_text(text)

    def verify() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - as found
            [SYSTEMD or "", "verify", "--recursive-errors=no", *map(str, tmp_path.glob("*@.*"))],
            capture_output=True,
            text=True,
            check=False,
        )

    done = verify()
    assert (done.returncode, done.stderr) == (0, "")
    # It does bite.
    service = tmp_path / "digest-send@.service"
    service.write_text(service.read_text().replace("TimeoutStopSec=60", "TimeoutStopSec=soon"))
    assert "Failed to parse time value" in verify().stderr


@pytest.mark.tool
@needs_systemd
def test_systemd_reads_the_calendar_as_every_quarter_of_an_hour() -> None:
    when = unit("digest-send@.timer")["Timer"]["OnCalendar"]
    done = subprocess.run(  # noqa: S603 - as found
        [SYSTEMD or "", "calendar", "--iterations=5", when],
        capture_output=True,
        text=True,
        check=True,
    )

    times = re.findall(r"\d\d:(\d\d):00 ", done.stdout)
    assert len(times) == 5
    assert {*times} == {"00", "15", "30", "45"}


@pytest.mark.tool
@needs_node
def test_the_cron_job_of_kubernetes_never_retries_by_itself_and_covers_the_window(
    tmp_path: Path,
) -> None:
    job = yaml("kubernetes.yaml")
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert (spec["timeZone"], spec["concurrencyPolicy"]) == ("Europe/Zurich", "Forbid")
    assert spec["startingDeadlineSeconds"] >= 10  # a shorter one may never start
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > CALL_SECONDS
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 60)
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod["volumes"]
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert_is_a_command(container["args"])
    assert_serves_a_day(slots(*spec["schedule"].split()[:2]), tmp_path)


@pytest.mark.tool
@needs_node
def test_the_workflow_runs_one_at_a_time_and_covers_the_window(tmp_path: Path) -> None:
    workflow = yaml("github-actions.yml")
    (when,) = workflow["on"]["schedule"]
    job = workflow["jobs"]["send"]

    assert when["timezone"] == "Europe/Zurich"
    assert workflow["on"]["workflow_dispatch"] == {}
    assert workflow["concurrency"] == {"group": "digest", "cancel-in-progress": False}
    assert workflow["permissions"] == {"contents": "read"}
    assert job["timeout-minutes"] * 60 > CALL_SECONDS
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert "postgres" in commands[0]
    assert_is_a_command(shlex.split(commands[-1])[1:])
    assert_serves_a_day(slots(*when["cron"].split()[:2]), tmp_path)


def test_the_container_is_asked_with_a_command_that_there_is() -> None:
    recipe = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    (asked,) = re.findall(r"(?m)^HEALTHCHECK .*CMD digest (.+) \|\| exit 1$", recipe)

    assert_is_a_command(asked.split())


@pytest.mark.tool
@needs_node
def test_the_container_that_keeps_running_has_a_minute_to_end_and_keeps_its_ledger() -> None:
    composed = yaml("compose.yaml")
    service = composed["services"]["digest"]

    assert_is_a_command(service["command"])
    assert float(service["stop_grace_period"].removesuffix("s")) > GRACE
    assert service["read_only"] is True
    assert "data:/data" in service["volumes"]
    assert set(composed["volumes"]) == {"data"}
    assert set(service["secrets"]) == set(composed["secrets"])
    assert (DEPLOY / service["build"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
