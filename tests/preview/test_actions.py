"""Refresh and test send: own forms only, an allow-list, a few in ten minutes, and no trace in the ledger."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.ledger import State
from digest.preview.trial import MOST, WITHIN, Allowance
from digest.settings import load
from digest.settings.values import Trials
from tests.fakes.slack import CHANNEL, SlackServer
from tests.fakes.slack import running as slack_running
from tests.fakes.smtp import Fault, SmtpServer, running
from tests.preview.conftest import BASE, Stage, clock, staged

OWN = {"origin": BASE, "sec-fetch-site": "same-origin"}


@contextmanager
def with_relay(
    demo: Path, tmp_path: Path, *faults: Fault
) -> Iterator[tuple[Stage, SmtpServer, Path]]:
    """A copy of the demo whose mail goes to a relay that misbehaves as told."""
    folder = tmp_path / "relayed"
    shutil.copytree(demo.parent, folder)
    with running(SmtpServer(faults=faults)) as relay:
        config = folder / demo.name
        config.write_text(re.sub(r"port = \d+", f"port = {relay.port}", config.read_text()))
        yield staged(config), relay, folder


def token(stage: Stage) -> str:
    found = re.search(r'name="token" value="([^"]+)"', stage.ask.get("/d/demo/test").text)
    assert found is not None
    return found[1]


def send(stage: Stage, **fields: str | list[str]) -> tuple[int, str]:
    answer = stage.ask.post(
        "/d/demo/test-send", headers=OWN, data={"token": token(stage), **fields}
    )
    return answer.status_code, answer.text


def ledger_hash(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if "ledger" in path.name)
    assert files
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_a_test_goes_to_the_allow_list_alone_and_leaves_the_ledger_as_it_was(
    demo: Path, tmp_path: Path
) -> None:
    with with_relay(demo, tmp_path) as (stage, relay, folder):
        before = ledger_hash(folder)
        status, page = send(stage, to="me@example.com", language=["de-CH", "fr"])

        assert status == 200
        assert page.count("test sent") == 2
        assert [mail.recipient for mail in relay.accepted] == ["me@example.com"] * 2
        subjects = [
            message_from_bytes(mail.content, policy=default)["Subject"] for mail in relay.accepted
        ]
        assert all("[TEST]" in subject for subject in subjects)
        assert len(set(subjects)) == 2
        assert ledger_hash(folder) == before


@pytest.mark.parametrize("to", ["marketing@example.com", "", "other@evil.test", "ME@example.com"])
def test_nobody_else_can_get_a_test(demo: Path, tmp_path: Path, to: str) -> None:
    with with_relay(demo, tmp_path) as (stage, relay, _):
        status, page = send(stage, to=to)

        assert status == 422
        assert "me@example.com" in page
        assert relay.accepted == []


@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        (Fault("RCPT", "550 5.1.1 no such user"), State.REFUSED, "no such user"),
        (Fault("RCPT", "450 4.2.0 try later"), State.DEFERRED, "try later"),
        (Fault("reply", "drop"), State.UNKNOWN, ""),
    ],
)
def test_what_the_relay_says_is_shown(
    demo: Path, tmp_path: Path, fault: Fault, state: State, words: str
) -> None:
    with with_relay(demo, tmp_path, fault) as (stage, _, folder):
        before = ledger_hash(folder)
        _, page = send(stage, to="me@example.com")

        assert f"test {state}" in page
        assert words in page
        assert ledger_hash(folder) == before


def test_more_than_five_in_ten_minutes_have_to_wait(demo: Path, tmp_path: Path) -> None:
    with with_relay(demo, tmp_path) as (stage, relay, _):
        languages = ["en", "de", "de-CH", "fr", "it"]
        assert send(stage, to="me@example.com", language=languages)[0] == 200
        status, page = send(stage, to="me@example.com")

        assert status == 429
        assert "600 seconds" in page
        assert len(relay.accepted) == MOST


def test_the_allowance_comes_back() -> None:
    now = [clock()]
    allowance = Allowance(lambda: now[0])

    assert [allowance.take(1) for _ in range(MOST)] == [None] * MOST
    now[0] += timedelta(minutes=4)
    assert allowance.take(1) == WITHIN - timedelta(minutes=4)
    now[0] += timedelta(minutes=6)
    assert allowance.take(1) is None
    assert Allowance(clock).take(MOST + 1) == WITHIN


def test_a_form_of_another_start_does_nothing(demo: Path, tmp_path: Path) -> None:
    with with_relay(demo, tmp_path) as (stage, relay, _):
        answer = stage.ask.post(
            "/d/demo/test-send", headers=OWN, data={"token": "old", "to": "me@example.com"}
        )

        assert answer.status_code == 403
        assert relay.accepted == []


def test_what_is_no_form_is_refused(stage: Stage) -> None:
    answer = stage.ask.post("/d/demo/refresh", headers=OWN, json={"token": "x"})

    assert answer.status_code == 415


def test_without_an_allow_list_the_page_says_what_to_write(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(demo.parent, folder)
    config = folder / demo.name
    config.write_text(config.read_text().partition("# `digest demo --serve`")[0])
    stage = staged(config)

    assert "test_recipients" in stage.ask.get("/d/demo/test").text


def test_the_source_is_asked_again_at_most_once_a_minute(demo: Path) -> None:
    now = [clock()]

    def ticking() -> datetime:
        return now[0]

    stage = staged(demo, now=ticking)
    fields = {"token": token(stage)}
    first = stage.desk._subjects["demo"]

    early = stage.ask.post("/d/demo/refresh", headers=OWN, data=fields)
    now[0] += timedelta(seconds=61)
    late = stage.ask.post("/d/demo/refresh?tab=text", headers=OWN, data=fields)

    assert early.status_code == 429
    assert "60 seconds" in early.text
    assert late.status_code == 303
    assert late.headers["location"] == "/d/demo?tab=text"
    assert stage.desk._subjects["demo"] is not first


def test_a_test_is_posted_to_the_channel_for_tests(demo: Path) -> None:
    with slack_running(SlackServer()) as workspace:
        stage = staged(demo)
        settings = load(demo, environment={})
        stage.desk.put([replace(settings, trials=Trials(slack=workspace.bot()))])

        status, page = send(stage, to=CHANNEL)

        assert status == 200
        assert "test sent" in page
        assert [post.channel for post in workspace.posts] == [CHANNEL]
        assert "[TEST]" in str(workspace.posts[0].message)


SLACK = """
[channels.slack]
token = { env = "TOKEN" }
channel = "C0LEADS0001"
"""


@pytest.mark.parametrize(
    ("channels", "written", "said"),
    [
        (SLACK, 'slack_channel = "C0TESTS0001"', None),
        (SLACK, 'slack_channel = "C0LEADS0001"', "channel of the readers"),
        (SLACK, 'slack_channel = "tests"', "allowed: an id such as"),
        ("", 'slack_channel = "C0TESTS0001"', "needs [channels.slack] with a token"),
        ("", 'test_recipients = "me"', "me"),
        ("", "test_recipient = []", "did you mean 'test_recipients'"),
    ],
)
def test_whom_tests_may_reach_is_checked_when_the_settings_are_read(
    demo: Path, tmp_path: Path, channels: str, written: str, said: str | None
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(demo.parent, folder)
    config = folder / demo.name
    text = config.read_text().partition("# `digest demo --serve`")[0]
    config.write_text(f"{text}{channels}\n[preview]\n{written}\n")
    environment = {"TOKEN": "xoxb-1-2-planted"}

    if said is None:
        assert load(config, environment=environment).trials.slack is not None
        return
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        load(config, environment=environment)
    assert "preview" in str(refused.value)
    assert "line " in str(refused.value)
