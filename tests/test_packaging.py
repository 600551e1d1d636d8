"""Lock files, the container recipe and the repository's own cleanliness."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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


def test_a_lock_that_is_out_of_step_is_reported(tmp_path: Path) -> None:
    for name in (".ci", "requirements"):
        (tmp_path / name).mkdir()
        for file in (ROOT / name).iterdir():
            if file.is_file():
                (tmp_path / name / file.name).write_bytes(file.read_bytes())
    changed = (ROOT / "pyproject.toml").read_text().replace('"click>=8.2"', '"click>=8.3"')
    (tmp_path / "pyproject.toml").write_text(changed)

    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, tmp_path / ".ci/locks.py"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "run.lock is older than pyproject.toml" in done.stdout


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
    assert "--require-hashes --no-deps -r requirements/run.lock" in recipe
    assert "\nUSER 10001:10001\n" in recipe
    assert '\nENTRYPOINT ["digest"]\n' in recipe
    assert not re.search(r"\bADD\b|--no-verify|curl|wget", recipe)
