"""`make mutants` finds the change that no test notices, and believes no excuse that is untrue."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGER = "def larger(a: int, b: int) -> int:\n    return a if a >= b else b\n"
TEST = """\
from digest.tiny import larger

def test_the_larger_one_is_found():
    assert (larger(2, 1), larger(1, 2)) == (2, 2)
"""
PARTS = '[parts.tiny]\nfiles = ["digest/tiny.py"]\ntests = ["tests/test_tiny.py"]\n'
SAME = """
[[tiny]]
in = "tiny.larger"
was = "return a if a >= b else b"
becomes = "return a if a > b else b"
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project of one function, with a test that notices two of its three changes."""
    for name in (".ci", "digest", "tests", "templates", "config"):
        (tmp_path / name).mkdir()
    for name in ("mutants.py", "scratch"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / ".ci")
    (tmp_path / ".ci/mutants.toml").write_text(PARTS)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (tmp_path / "digest/__init__.py").write_text("")
    (tmp_path / "digest/tiny.py").write_text(LARGER)
    (tmp_path / "tests/test_tiny.py").write_text(TEST)
    return tmp_path


def mutants(place: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, place / ".ci/mutants.py", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_change_that_no_test_notices_fails_unless_its_reason_is_given(tiny: Path) -> None:
    known = tiny / ".ci/mutants.toml"
    reason = 'why = "of two equal numbers either is the larger one"\n'
    known.write_text(PARTS + SAME.replace("a > b", "a < b") + reason)
    code, said = mutants(tiny, "--least", "50")
    assert code == 1
    assert SAME in said
    assert "noticed or gone, take it out" in said
    assert said.splitlines()[-1].split() == ["tiny", "3", "2", "0", "0", "1", "66.7", "%"]

    known.write_text(PARTS + SAME + reason)
    code, said = mutants(tiny, "tiny", "--again")
    assert (code, said.splitlines()[-1].split()) == (
        0,
        ["tiny", "3", "2", "0", "1", "0", "100.0", "%"],
    )


def test_an_excuse_without_a_reason_is_refused(tiny: Path) -> None:
    (tiny / ".ci/mutants.toml").write_text(PARTS + SAME)
    code, said = mutants(tiny)
    assert code == 1
    assert "tiny.larger: an equivalent mutant needs its reason" in said
