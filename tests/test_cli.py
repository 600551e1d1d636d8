"""The commands as a person types them, on the demo's folder and a clock that the test sets."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from digest.cli import World, cli, plain
from digest.demo import open_inbox, run
from digest.errors import ConfigError

MONDAY = date(2026, 6, 15)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One demo folder, built once; tests work on copies."""
    folder = tmp_path_factory.mktemp("demo") / "digest-demo"
    run(folder, wanted=MONDAY)
    return folder


@dataclass
class Terminal:
    """A folder, an environment and a time of day."""

    folder: Path
    now: datetime = datetime(2026, 6, 15, 6, 0, tzinfo=UTC)

    def digest(self, *arguments: str | Path, now: datetime | None = None) -> Result:
        world = World(clock=lambda: now or self.now, environment={})
        return CliRunner().invoke(cli, [str(one) for one in arguments], obj=world, input="")

    @property
    def config(self) -> Path:
        return self.folder / "digest.toml"

    @property
    def inbox(self) -> list[str]:
        mails = sorted((self.folder / "inbox").glob("*.eml"))
        return [
            str(message_from_bytes(mail.read_bytes(), policy=policy.default)["Subject"])
            for mail in mails
        ]

    def port(self) -> int:
        line = next(x for x in self.config.read_text().splitlines() if x.startswith("port"))
        return int(line.partition("=")[2])


@pytest.fixture
def terminal(built: Path, tmp_path: Path) -> Terminal:
    folder = tmp_path / "digest-demo"
    shutil.copytree(built, folder)
    return Terminal(folder)


@pytest.fixture
def unsent(terminal: Terminal) -> Terminal:
    """The demo's settings and CRM, before anything was sent."""
    shutil.rmtree(terminal.folder / "inbox")
    for path in [*terminal.folder.glob("ledger*"), *terminal.folder.glob(".ledger*")]:
        path.unlink()
    return terminal


# ----------------------------------------------------------------------------------------- looking


def test_show_prints_the_verdict_and_every_segment(terminal: Terminal) -> None:
    shown = terminal.digest("show", terminal.config)

    assert shown.exit_code == 0
    assert "of 651" in shown.stdout
    for segment in ("DACH", "Benelux", "UKI", "Nordics"):
        assert segment in shown.stdout


def test_show_as_json_adds_up(terminal: Terminal) -> None:
    card = json.loads(terminal.digest("show", terminal.config, "--format", "json").stdout)

    rows = [*card["segments"], card["unassigned"]]
    assert card["total"]["actual"] == sum(row["actual"] for row in rows)
    assert card["total"]["goal"] == 651
    bridge = card["bridge"]
    moved = sum(x["leads"] for x in [*bridge["new"], *bridge["corrections"]])
    assert bridge["previous_actual"] + moved == bridge["actual"] == card["total"]["actual"]
    assert [x["leads"] for x in bridge["corrections"]] == [3, -2]


def test_show_on_a_free_day_is_the_last_edition_and_says_so(terminal: Terminal) -> None:
    sunday = datetime(2026, 6, 21, 6, 0, tzinfo=UTC)
    shown = terminal.digest("show", terminal.config, "--format", "json", now=sunday)

    assert json.loads(shown.stdout)["date"] == "2026-06-19"
    assert "no edition today (2026-06-21)" in shown.stderr


def test_looking_creates_no_ledger_and_changes_none(unsent: Terminal, tmp_path: Path) -> None:
    for command in ("show", "history", "check"):
        unsent.digest(command, unsent.config)
    unsent.digest("render", unsent.config, "--out", tmp_path / "out")

    assert list(unsent.folder.glob("*ledger*")) == []


def test_a_day_in_the_future_is_refused(terminal: Terminal) -> None:
    shown = terminal.digest("show", terminal.config, "--date", "2026-06-16")

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "2026-06-16 has not come yet; today is 2026-06-15" in shown.stderr


def test_a_day_without_an_edition_says_why(terminal: Terminal) -> None:
    shown = terminal.digest("show", terminal.config, "--date", "2026-05-25")

    assert shown.exit_code == 2
    assert "no edition on 2026-05-25" in shown.stderr
    assert "Pentecost Monday" in shown.stderr


def test_render_writes_the_files_of_an_edition(terminal: Terminal, tmp_path: Path) -> None:
    done = terminal.digest("render", terminal.config, "--out", tmp_path / "out")

    assert done.exit_code == 0
    names = [
        *("digest.eml", "digest.html", "digest.txt"),
        *("scorecard.json", "slack.json", "waterfall.png", "waterfall.svg"),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert 'src="waterfall.png"' in (tmp_path / "out/digest.html").read_text()


def test_german_is_swiss(terminal: Terminal) -> None:
    shown = terminal.digest("show", terminal.config, "--language", "de-CH").stdout

    assert "ß" not in shown
    assert "CHF" in shown
    assert "Juni" in shown


# ----------------------------------------------------------------------------------------- sending


def test_sending_twice_sends_once(unsent: Terminal) -> None:
    with open_inbox(unsent.folder / "inbox", unsent.port()):
        first = unsent.digest("send", unsent.config)
        second = unsent.digest("send", unsent.config)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert len(unsent.inbox) == 2
    assert "queued as" in first.stdout
    assert second.stdout.count("already sent 08:00") == 2


def test_quiet_prints_nothing_when_nothing_happened(terminal: Terminal) -> None:
    assert terminal.digest("--quiet", "send", terminal.config).stdout == ""


def test_before_send_at_nothing_is_sent(unsent: Terminal) -> None:
    done = unsent.digest("send", unsent.config, now=datetime(2026, 6, 15, 5, 29, tzinfo=UTC))

    assert done.exit_code == 0
    assert "not due before 07:30 (CEST)" in done.stdout
    assert list(unsent.folder.glob("*ledger*")) == []


def test_after_send_until_the_run_expires_and_the_way_out_is_named(unsent: Terminal) -> None:
    late = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)
    done = unsent.digest("send", unsent.config, now=late)

    assert done.exit_code == 4
    assert "send it" in done.stdout.replace("send this one now", "send it")
    assert "--date 2026-06-15" in done.stdout
    with open_inbox(unsent.folder / "inbox", unsent.port()):
        named = unsent.digest("send", unsent.config, "--date", "2026-06-15", now=late)
    assert named.exit_code == 0
    assert len(unsent.inbox) == 2


def test_on_a_free_day_send_says_why_and_succeeds(unsent: Terminal) -> None:
    done = unsent.digest("send", unsent.config, now=datetime(2026, 6, 14, 6, 0, tzinfo=UTC))

    assert done.exit_code == 0
    assert "no edition on 2026-06-14: weekend" in done.stdout
    history = unsent.digest("history", unsent.config).stdout
    assert history == "2026-06-14  skipped    nobody (weekend)\n"


def test_a_test_send_is_marked_and_leaves_the_real_one_alone(unsent: Terminal) -> None:
    with open_inbox(unsent.folder / "inbox", unsent.port()):
        test = unsent.digest("send", unsent.config, "--to", "me@example.com")
        assert (test.exit_code, len(unsent.inbox)) == (0, 1)
        assert unsent.inbox[0].startswith("[TEST] ")
        assert list(unsent.folder.glob("*ledger*")) == []
        unsent.digest("send", unsent.config)

    assert len(unsent.inbox) == 3


def test_a_fall_of_the_month_is_held_until_it_is_accepted(terminal: Terminal) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(terminal.folder / "crm.sqlite")) as crm, crm:
        crm.execute("DELETE FROM leads WHERE region = 'Benelux' AND qualified_at >= '2026-06-01'")
    tuesday = datetime(2026, 6, 16, 6, 0, tzinfo=UTC)
    before = len(terminal.inbox)

    held = terminal.digest("send", terminal.config, now=tuesday)
    assert held.exit_code == 3
    assert "digest send digest.toml --accept-drop" in held.stderr
    assert len(terminal.inbox) == before

    with open_inbox(terminal.folder / "inbox", terminal.port()):
        sent = terminal.digest("send", terminal.config, "--accept-drop", now=tuesday)
    assert sent.exit_code == 0
    assert len(terminal.inbox) == before + 2


def test_a_correction_tells_first_what_it_will_say_and_then_marks_every_mail(
    terminal: Terminal,
) -> None:
    same = terminal.digest("send", terminal.config, "--correct")
    assert (same.exit_code, len(terminal.inbox)) == (0, 4)
    assert "nothing has changed since the edition of 2026-06-15" in same.stdout
    with closing(sqlite3.connect(terminal.folder / "crm.sqlite")) as crm, crm:
        crm.execute("DELETE FROM leads WHERE region = 'Benelux' AND qualified_at >= '2026-06-10'")

    with open_inbox(terminal.folder / "inbox", terminal.port()):
        sent = terminal.digest(
            "send", terminal.config, "--correct", "--reason", "  Two forms\nwere counted twice. "
        )
        again = terminal.digest("--quiet", "send", terminal.config, "--correct")

    assert (sent.exit_code, again.exit_code, again.output) == (0, 0, "")
    assert "correction 1 of the edition of 2026-06-15, to 2 of its recipients: total, leads" in (
        sent.stderr
    )
    assert sent.stderr.rstrip().endswith("why: Two forms were counted twice.")
    marked = [one for one in terminal.inbox if one.startswith(("Correction: ", "Korrektur: "))]
    assert (len(marked), len(terminal.inbox)) == (2, 6)
    shown = terminal.digest("show", terminal.config, "--date", "2026-06-15").stdout
    assert "! Correction of the edition of Monday, 15 June 2026, sent at" in shown
    history = terminal.digest("history", terminal.config).stdout
    assert "correction 1" in history


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--correct", "--to", "me@firm.example"), "goes with --date and --reason only"),
        (("--correct", "--accept-drop"), "goes with --date and --reason only"),
        (("--reason", "late"), "it needs --correct"),
    ],
)
def test_options_that_contradict_a_correction_are_refused(
    terminal: Terminal, options: tuple[str, ...], said: str
) -> None:
    refused = terminal.digest("send", terminal.config, *options)

    assert refused.exit_code == 2
    assert said in refused.stderr
    assert len(terminal.inbox) == 4


def test_a_file_that_is_no_database_sends_nothing(terminal: Terminal) -> None:
    (terminal.folder / "crm.sqlite").write_bytes(b"this is no database, not at all\n" * 100)
    before = len(terminal.inbox)
    done = terminal.digest("send", terminal.config, now=datetime(2026, 6, 16, 6, 0, tzinfo=UTC))

    assert done.exit_code == 2
    assert "crm.sqlite" in done.stderr
    assert "Traceback" not in done.output
    assert len(terminal.inbox) == before


def test_one_broken_config_does_not_stop_the_others(terminal: Terminal) -> None:
    (terminal.folder / "broken.toml").write_text("id = 3\n")
    done = terminal.digest("send", terminal.folder)

    assert done.exit_code == 2
    assert "broken.toml" in done.stderr
    assert "already sent" in done.stdout


# --------------------------------------------------------------------------- history and settling


def test_history_lists_both_editions_with_masked_recipients(terminal: Terminal) -> None:
    shown = terminal.digest("history", terminal.config).stdout

    assert [line[:10] for line in shown.splitlines()] == ["2026-06-15", "2026-06-12"]
    assert "2 sent" in shown
    assert (
        "marketing@" not in terminal.digest("history", terminal.config, "--format", "json").stdout
    )


def test_history_says_what_is_needed_to_settle_an_open_outcome(terminal: Terminal) -> None:
    key = "demo/2026-06-15/smtp/marketing@example.com"
    ledger = sqlite3.connect(terminal.folder / "ledger.sqlite")
    changed = ledger.execute(
        "UPDATE deliveries SET state = 'unknown', note = 'relay:25 had it, then no answer'"
        " WHERE key = ?",
        (key,),
    )
    assert changed.rowcount == 1
    ledger.commit()
    ledger.close()
    mails = [path.read_bytes() for path in (terminal.folder / "inbox").glob("*.eml")]

    shown = terminal.digest("history", terminal.config).stdout
    facts = json.loads(terminal.digest("history", terminal.config, "--format", "json").stdout)

    (open_one,) = facts["unknown"]
    assert open_one["message_id"] in [message_from_bytes(mail)["Message-ID"] for mail in mails]
    assert shown.startswith(f"outcome unknown: {key}\n")
    for needed in (open_one["message_id"], open_one["since"], "relay:25 had it, then no answer"):
        assert needed in shown


def test_history_without_a_ledger_says_so(unsent: Terminal) -> None:
    assert "nothing sent yet" in unsent.digest("history", unsent.config).stdout


def test_history_says_whether_a_digest_had_success_lately(terminal: Terminal) -> None:
    def asked(age: str, *more: str) -> tuple[int, str]:
        done = terminal.digest(*more, "history", terminal.folder, "--max-age", age)
        return done.exit_code, done.stdout

    fresh, old = asked("26h"), asked("1m")

    assert fresh[0] == 0
    assert re.fullmatch(r"demo: last success 2026-06-15T[0-9:+]+\n", fresh[1])
    assert old == (4, fresh[1])
    assert asked("26h", "--quiet") == (0, "")
    assert asked("1m", "--quiet") == old


def test_a_digest_that_never_had_success_is_as_silent_as_one_that_stopped(unsent: Terminal) -> None:
    done = unsent.digest("history", unsent.config, "--max-age", "9999h")

    assert (done.exit_code, done.stdout) == (4, "demo: no success yet\n")


def test_a_ledger_that_cannot_be_read_has_no_age(terminal: Terminal) -> None:
    (terminal.folder / "ledger.sqlite").write_bytes(b"")

    done = terminal.digest("history", terminal.config, "--max-age", "26h")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "is empty (0 bytes)" in done.stderr


@pytest.mark.parametrize("age", ["26", "0h", "1d", "-1h", "h", "26 hours"])
def test_an_age_is_hours_or_minutes(terminal: Terminal, age: str) -> None:
    done = terminal.digest("history", terminal.config, f"--max-age={age}")

    assert done.exit_code == 2
    assert "is not a length of time like 26h or 90m" in done.stderr


def test_resolve_refuses_what_is_not_open(terminal: Terminal) -> None:
    done = terminal.digest(
        "resolve",
        "demo/2026-06-15/smtp/marketing@example.com",
        "--sent",
        "--config",
        terminal.config,
    )

    assert done.exit_code == 2
    assert "Traceback" not in done.output


# -------------------------------------------------------------------------------------- the rest


def test_check_says_that_a_send_would_work_except_for_the_closed_inbox(terminal: Terminal) -> None:
    done = terminal.digest("check", terminal.config)

    assert "Traceback" not in done.output
    assert "✗" in done.stdout  # the inbox listens only while the demo runs
    with open_inbox(terminal.folder / "inbox", terminal.port()):
        good = terminal.digest("check", terminal.config)
    assert good.exit_code == 0, good.stdout


def test_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    done = Terminal(tmp_path).digest("demo", tmp_path)

    assert done.exit_code == 2
    assert "not a digest demo" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_the_same_date_gives_the_same_demo(built: Path, tmp_path: Path) -> None:
    run(tmp_path / "digest-demo", wanted=MONDAY)

    for name in ("edition/scorecard.json", "edition/digest.txt", "edition/waterfall.png"):
        assert (built / name).read_bytes() == (tmp_path / "digest-demo" / name).read_bytes()


@pytest.mark.parametrize("day", ["2026-05-04", "2026-01-02", "2026-04-07", "2026-12-31"])
def test_the_demo_works_on_month_closes_and_after_holidays(tmp_path: Path, day: str) -> None:
    run(tmp_path / "demo", wanted=date.fromisoformat(day))

    card = json.loads((tmp_path / "demo/edition/scorecard.json").read_text())
    assert (card["date"], card["closed"] is not None) == (day, day in ("2026-05-04", "2026-01-02"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tmp_path: Path, shell: str) -> None:
    done = Terminal(tmp_path).digest("completion", shell)

    assert done.exit_code == 0
    assert "_DIGEST_COMPLETE" in done.stdout


@pytest.mark.parametrize("command", sorted(set(cli.commands) - {"worksheet"}))
def test_every_command_shows_examples(tmp_path: Path, command: str) -> None:
    shown = Terminal(tmp_path).digest(command, "--help").stdout

    assert "Examples:" in shown
    assert f"digest {command}" in shown


def _run(*arguments: str, environment: Mapping[str, str], stdout: int) -> tuple[int, bytes]:
    """Run the program as a process of its own; return its exit code and stderr."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "digest", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        stderr=subprocess.PIPE,
        check=False,
        stdout=stdout,
    )
    return done.returncode, done.stderr


def test_an_output_without_the_signs_of_the_digest_gets_a_question_mark_for_them(
    terminal: Terminal, tmp_path: Path
) -> None:
    with (tmp_path / "checked").open("wb") as file:
        code, said = _run(
            *("check", str(terminal.config)),
            environment={"PYTHONIOENCODING": "latin-1"},
            stdout=file.fileno(),
        )

    assert (code, said) == (2, b"")  # the demo's inbox is closed
    assert (tmp_path / "checked").read_bytes().startswith(b"? config:")


def test_json_for_an_output_that_is_not_utf8_loses_no_letter(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.config.write_text(terminal.config.read_text().replace("Example Ltd", "Müller"))
    with (tmp_path / "card.json").open("wb") as file:
        _run(
            *("show", str(terminal.config), "--date", "2026-06-11", "--format", "json"),
            environment={"PYTHONIOENCODING": "latin-1"},
            stdout=file.fileno(),
        )

    assert json.loads((tmp_path / "card.json").read_bytes())["title"] == "Müller"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the full disk of Linux")
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_full_disk_under_the_output_is_no_bug(environment: Mapping[str, str]) -> None:
    with Path("/dev/full").open("wb") as full:
        code, said = _run("--help", environment=environment, stdout=full.fileno())

    assert code == 2
    assert said.decode().startswith("error: the output cannot be written ([Errno 28]")
    assert said.count(b"\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="closes a descriptor as a shell does")
def test_a_closed_output_is_no_bug(terminal: Terminal) -> None:
    shell = f'exec "{sys.executable}" -m digest show "{terminal.config}" --date 2026-06-15 >&- <&-'
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=False)  # noqa: S603 - our own program

    assert (done.returncode, done.stderr) == (0, b"")


def test_no_color_and_a_dumb_terminal_get_none() -> None:
    assert plain(World(environment={"NO_COLOR": "1"}))
    assert plain(World(environment={"TERM": "dumb"}))
    assert not plain(World(environment={"TERM": "xterm", "NO_COLOR": ""}))


@pytest.mark.parametrize("date_", ["20260615", "2026-W25-1", "15.06.2026", "2026-02-29"])
def test_a_date_has_one_form(terminal: Terminal, date_: str) -> None:
    shown = terminal.digest("show", terminal.config, "--date", date_)

    assert shown.exit_code == 2
    assert f"'{date_}' is not a date like 2026-06-15" in shown.stderr


def test_history_of_less_than_one_edition_is_refused(terminal: Terminal) -> None:
    assert terminal.digest("history", terminal.config, "--last", "-1").exit_code == 2


def test_files_that_cannot_be_written_are_a_plain_error(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shown = terminal.digest("render", terminal.config, "--out", tmp_path / "file" / "out")

    assert shown.exit_code == 2
    assert "--out: " in shown.stderr
    assert "cannot be written (Not a directory); name another folder" in shown.stderr


@pytest.mark.parametrize("date_", ["0001-01-01", "1850-01-02", "2100-12-31", "9999-12-31"])
def test_the_demo_refuses_a_year_nobody_knows_and_writes_nothing(
    terminal: Terminal, tmp_path: Path, date_: str
) -> None:
    shown = terminal.digest("demo", tmp_path / "demo", "--date", date_)

    assert shown.exit_code == 2
    assert "allowed are the years 2001 to 2099" in shown.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("date_", ["2001-01-02", "2099-12-31"])
def test_the_demo_knows_every_year_it_says(terminal: Terminal, tmp_path: Path, date_: str) -> None:
    assert terminal.digest("demo", tmp_path / "demo", "--date", date_).exit_code == 0


def test_the_demo_in_a_folder_that_cannot_be_is_a_plain_error(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    shown = terminal.digest("demo", tmp_path / "file" / "demo")

    assert shown.exit_code == 2
    assert "the folder cannot be written (Not a directory); name another folder" in shown.stderr


def test_a_demo_that_was_cut_short_can_be_run_again(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with pytest.raises(ConfigError):
        run(folder, wanted=MONDAY, language="no such language")
    (folder / "crm.sqlite").touch()

    assert terminal.digest("demo", folder).exit_code == 0


def test_the_demo_takes_a_link_away_and_not_what_it_points_to(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plan.txt").write_text("keep me")
    (terminal.folder / "mine").symlink_to(tmp_path / "mine")

    assert terminal.digest("demo", terminal.folder).exit_code == 0
    assert not (terminal.folder / "mine").exists()
    assert (tmp_path / "mine" / "plan.txt").read_text() == "keep me"


def test_a_mistake_in_the_templates_beside_the_settings_stops_the_send(unsent: Terminal) -> None:
    (unsent.folder / "templates").mkdir()
    (unsent.folder / "templates" / "digest.txt").write_text("{% if %}")
    with open_inbox(unsent.folder / "inbox", unsent.port()):
        sent = unsent.digest("send", unsent.config, "--date", "2026-06-15")

    assert (sent.exit_code, unsent.inbox) == (2, [])
    assert "digest.txt, line 1" in sent.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
def test_ctrl_c_ends_a_send_after_the_message_on_its_way(unsent: Terminal) -> None:
    def interrupting() -> datetime:
        # The clock is read between any two steps: the person is impatient at one of them.
        reads.append(1)
        if len(reads) == 20:
            signal.raise_signal(signal.SIGINT)
        return unsent.now

    reads: list[int] = []
    # A test run in the background of a shell inherits "ignore", which the command respects.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = ["send", str(unsent.config), "--date", "2026-06-15"]
    try:
        with open_inbox(unsent.folder / "inbox", unsent.port()):
            world = World(clock=interrupting, environment={})
            stopped = CliRunner().invoke(cli, arguments, obj=world)
            left_behind = signal.getsignal(signal.SIGINT)
            again = unsent.digest(*arguments)
    finally:
        signal.signal(signal.SIGINT, inherited)

    assert "stopping after the message on its way" in stopped.stderr
    assert (stopped.exit_code, again.exit_code) == (4, 0)
    assert "unknown" not in stopped.stdout + again.stdout
    assert len(unsent.inbox) == 2
    assert left_behind is signal.default_int_handler


@pytest.mark.parametrize("address", ["nobody", "a\nb@c.example", "", "ä@firm.example"])
def test_a_test_send_to_no_mail_address_is_a_plain_error(terminal: Terminal, address: str) -> None:
    sent = terminal.digest("send", terminal.config, "--to", "me@firm.example", "--to", address)

    assert (sent.exit_code, sent.stdout) == (2, "")
    assert sent.stderr.startswith("error: --to: ")


def test_a_bug_leaves_a_report_and_no_traceback() -> None:
    from digest.bug import report

    said = report(RuntimeError("boom"))

    path = Path(next(word for word in said.split() if "digest-bug-" in word).rstrip(";"))
    assert "Traceback" not in said
    assert "RuntimeError: boom" in path.read_text()
    path.unlink()


# --------------------------------------------------------------------------------- words for mistakes


def test_a_mistake_that_the_source_finds_names_file_line_and_key(unsent: Terminal) -> None:
    lines = unsent.config.read_text().replace('table = "leads"', 'table = "laeds"').splitlines()
    unsent.config.write_text("\n".join(lines))
    line = lines.index('table = "laeds"') + 1
    place = f"digest.toml, line {line}, connector.table: "

    for command in ("show", "send", ("worksheet", "fill")):
        words = (command,) if isinstance(command, str) else command
        done = unsent.digest(*words, unsent.config, now=datetime(2026, 6, 15, 6, 30, tzinfo=UTC))
        assert done.exit_code == 2
        assert place in done.stderr


def test_a_global_option_after_the_command_is_told_its_place(terminal: Terminal) -> None:
    done = terminal.digest("send", "--quiet", terminal.config)

    assert done.exit_code == 2
    assert "It goes before the command: digest --quiet ..." in done.stderr


def test_a_source_that_cannot_be_reached_is_named_once_and_with_a_remedy(
    terminal: Terminal,
) -> None:
    shown = terminal.digest("check", terminal.config).stdout

    assert f"✗ channel smtp: 127.0.0.1:{terminal.port()} cannot be reached (" in shown
    assert "); check host, port and firewall" in shown


def test_a_worksheet_by_another_name_than_a_workbooks_is_refused(
    terminal: Terminal, tmp_path: Path
) -> None:
    done = terminal.digest("worksheet", "new", tmp_path / "sla.csv")

    assert done.exit_code == 2
    assert done.stderr == (
        "error: sla.csv: a worksheet is an Excel workbook, which Excel knows by its ending; "
        "name it sla.xlsx\n"
    )
    assert not (tmp_path / "sla.csv").exists()


@pytest.mark.parametrize("segment", ["", " ", "=EUR"])
def test_a_segment_without_a_name_is_refused(
    terminal: Terminal, tmp_path: Path, segment: str
) -> None:
    done = terminal.digest("worksheet", "new", tmp_path / "sla.xlsx", "--segment", segment)

    assert (done.exit_code, (tmp_path / "sla.xlsx").exists()) == (2, False)
    assert f"--segment: found {segment!r}; allowed: NAME or NAME=CURRENCY" in done.stderr


def test_a_currency_may_be_written_small_and_a_year_0_is_a_mistake(
    terminal: Terminal, tmp_path: Path
) -> None:
    written = terminal.digest(
        *("worksheet", "new", tmp_path / "sla.xlsx", "--currency", "chf", "--segment", "UKI=eur")
    )
    refused = terminal.digest("worksheet", "new", tmp_path / "old.xlsx", "--year", "0")

    assert (written.exit_code, refused.exit_code) == (0, 2)
    assert "year 0 must lie from 2000" in refused.stderr


def test_a_worksheet_is_not_filled_from_the_future(terminal: Terminal) -> None:
    before = (terminal.folder / "sla.xlsx").read_bytes()
    done = terminal.digest("worksheet", "fill", terminal.config, "--date", "2026-06-16")

    assert (done.exit_code, (terminal.folder / "sla.xlsx").read_bytes()) == (2, before)
    assert "--date: 2026-06-16 has not come yet; today is 2026-06-15" in done.stderr


def test_questions_without_anybody_to_answer_say_so_and_write_nothing(tmp_path: Path) -> None:
    done = Terminal(tmp_path).digest("init", tmp_path / "new")

    assert (done.exit_code, (tmp_path / "new").exists()) == (2, False)
    assert "the input ended before the last question, so nothing was written" in done.stderr


def test_ctrl_c_while_the_program_is_still_being_loaded_is_one_word() -> None:
    program = (
        "import _thread, signal, sys\n"
        # Whoever runs the tests in the background has told them to ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Impatient:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': _thread.interrupt_main()\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from digest.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, "Aborted!\n")
