"""A warm process fills a user's templates in forks: the same mails, the same limits, no start of Python."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.model import Brand
from digest.render import confined
from digest.render.standby import Standby
from digest.render.writing import Wish, write
from tests.render.editions import edition

ECHO = "from digest.render.standby import serve; serve(lambda asked: asked[::-1])"
DEADLY = "import os; from digest.render.standby import serve; serve(lambda asked: os.abort())"
ENDLESS = """
import time
from digest.render.standby import serve
serve(lambda asked: time.sleep(60) or b"")
"""
TALKATIVE = """
import os
from digest.render.standby import serve
def answer(asked):
    os.write(1, b"x" * 64)
    return asked
serve(answer)
"""


def until_ready(standby: Standby, asked: bytes = b"abc") -> subprocess.CompletedProcess[bytes]:
    """Ask once in vain, which starts the process, and then in earnest."""
    with pytest.raises(ConnectionError):
        standby.run(asked, seconds=30)
    return standby.run(asked, seconds=30)


def test_each_question_is_answered_in_a_fork() -> None:
    with Standby(ECHO) as standby:
        assert until_ready(standby).stdout == b"cba"
        assert standby.run(b"x" * 300_000, seconds=30).stdout == b"x" * 300_000


def test_a_fork_that_crashes_is_told_and_the_next_one_answers() -> None:
    with Standby(DEADLY) as standby:
        assert until_ready(standby).returncode == -signal.SIGABRT
        assert standby.run(b"", seconds=30).returncode == -signal.SIGABRT


def test_a_fork_without_an_end_is_ended() -> None:
    with Standby(ENDLESS) as standby:
        with pytest.raises(ConnectionError):
            standby.run(b"", seconds=1)
        with pytest.raises(subprocess.TimeoutExpired):
            standby.run(b"", seconds=1)


def test_a_fork_cannot_write_into_the_answers_of_others() -> None:
    with Standby(TALKATIVE) as standby:
        assert until_ready(standby).stdout == b"abc"
        assert standby.run(b"def", seconds=30).stdout == b"def"


def test_a_process_that_is_gone_is_replaced() -> None:
    with Standby(ECHO) as standby:
        until_ready(standby)
        process = standby._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        assert until_ready(standby).stdout == b"cba"


def test_the_process_ends_with_the_block() -> None:
    with Standby(ECHO) as standby:
        until_ready(standby)
        process = standby._process
    assert process is not None
    assert process.returncode is not None


# ---------------------------------------------------------------------------------- with templates


@pytest.fixture(scope="module")
def warm() -> Iterator[None]:
    with confined.standing_by():
        yield


def wish(folder: Path) -> Wish:
    return Wish(edition(), "de-CH", (), Brand(), folder, chart=False)


def filled(folder: Path, body: str) -> Path:
    (folder / "digest.subject.txt").write_text(body, encoding="utf-8")
    return folder


@pytest.mark.usefixtures("warm")
def test_the_mail_is_the_same_as_without_it(tmp_path: Path) -> None:
    asked = wish(filled(tmp_path, "{{ title }}"))

    for _ in range(3):
        assert confined.write_confined(asked) == write(asked)


@pytest.mark.usefixtures("warm")
def test_a_saved_template_counts_in_the_next_mail(tmp_path: Path) -> None:
    confined.write_confined(wish(filled(tmp_path, "one")))

    assert confined.write_confined(wish(filled(tmp_path, "two"))).subject == "two"


@pytest.mark.usefixtures("warm")
def test_a_mistake_is_the_same_as_without_it(tmp_path: Path) -> None:
    asked = wish(filled(tmp_path, "\n{{ unknown }}"))
    confined.write_confined(wish(filled(tmp_path / "..", "warm")))

    with pytest.raises(
        ConfigError, match=r"digest\.subject\.txt, line 2: .*'unknown' is undefined"
    ):
        confined.write_confined(wish(filled(tmp_path, "\n{{ unknown }}")))
    assert asked.templates == tmp_path


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("greedy", "said"),
    [
        ("{% set x = 'a' * 10**10 %}", "needed more than 1 GB of memory"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "took longer than 1 seconds",
        ),
    ],
)
def test_the_limits_are_the_same_as_without_it(tmp_path: Path, greedy: str, said: str) -> None:
    asked = wish(filled(tmp_path, greedy))

    with pytest.raises(ConfigError, match=said):
        confined.write_confined(asked, seconds=1)
    with pytest.raises(ConfigError, match=said):
        confined.write_confined(asked, seconds=1)


@pytest.mark.usefixtures("warm")
def test_a_mail_takes_no_start_of_python(tmp_path: Path) -> None:
    asked = wish(filled(tmp_path, "{{ title }}"))
    for _ in range(2):
        confined.write_confined(asked)

    began = time.monotonic()
    confined.write_confined(asked)
    warm = time.monotonic() - began
    standing, confined._standing[:] = confined._standing[:], []
    began = time.monotonic()
    confined.write_confined(asked)
    cold = time.monotonic() - began
    confined._standing[:] = standing

    assert warm < cold / 2
