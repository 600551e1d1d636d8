"""Lock files, the container recipe and the repository's own cleanliness."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOSTS = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git as found
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_lock_files_match_pyproject() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, ROOT / ".ci/locks.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "lock files are up to date\n")


def _copy(target: Path) -> None:
    for name in (".ci", "requirements"):
        shutil.copytree(
            ROOT / name, target / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", target)


@pytest.mark.parametrize(
    ("file", "found", "planted", "expected"),
    [
        ("pyproject.toml", '"click>=8.2"', '"click>=8.3"', "run.lock is older than pyproject.toml"),
        (".ci/node/package.json", '"mjml": "5.4.1"', '"mjml": "5.4.0"', "lock.json is older than"),
        (".ci/node/package.json", '"mjml": "5.4.1"', '"mjml": "^5.4.1"', "one exact version"),
        (
            ".ci/node/package-lock.json",
            '"integrity":',
            '"resolved": "https://mirror.example/a.tgz", "integrity":',
            "an address does not belong here: resolved",
        ),
        (".ci/node/package-lock.json", "sha512-", "sha1-", "no sha512 hash"),
    ],
)
def test_a_lock_that_is_out_of_step_or_names_an_address_is_reported(
    tmp_path: Path, file: str, found: str, planted: str, expected: str
) -> None:
    _copy(tmp_path)
    text = (tmp_path / file).read_text()
    assert found in text
    (tmp_path / file).write_text(text.replace(found, planted, 1))

    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, tmp_path / ".ci/locks.py"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert expected in done.stdout


def test_no_file_names_a_package_registry() -> None:
    naming = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path != Path(__file__)
        and HOSTS.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert naming == []


def test_the_image_is_slim_locked_multi_stage_and_not_root() -> None:
    recipe = (ROOT / "Dockerfile").read_text()

    assert recipe.count("\nFROM ") == 2
    assert "slim" in recipe
    assert "--require-hashes --no-deps -r requirements/image.lock" in recipe
    assert "\nUSER 10001:10001\n" in recipe
    assert '\nENTRYPOINT ["digest"]\n' in recipe
    assert "\nHEALTHCHECK " in recipe
    assert not re.search(r"\bADD\b|--no-verify|curl|wget", recipe)
