"""The built wheel, with its own dependencies and nothing else, in an empty folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def _needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """Yield what an installer would install with `name` when no extra is asked for."""
    found = distribution(name)
    for line in found.requires or []:
        requirement = Requirement(line)
        if requirement.name.lower() in seen:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            seen.add(requirement.name.lower())
            yield distribution(requirement.name)
            yield from _needed(requirement.name, seen)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel and links to its dependencies alone."""
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    for dependency in _needed("sla-digest", {"sla-digest"}):
        for file in dependency.files or []:
            top = file.parts[0]
            if top != ".." and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(dependency.locate_file(top))))
    return folder


def _digest(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -S leaves out the environment's own packages: only what stands in `site` can be imported.
    return subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-S", "-m", "digest", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": "", "HOME": str(folder), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.e2e
def test_the_wheel_alone_runs_the_demo_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    done = _digest(site, tmp_path, "demo", "--date", "2026-06-15")

    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "digest-demo"
    assert sorted(path.name for path in (folder / "edition").iterdir()) == [
        "digest.eml",
        "digest.html",
        "digest.txt",
        "scorecard.json",
        "slack.json",
        "waterfall.png",
        "waterfall.svg",
    ]
    assert len(list((folder / "inbox").glob("*.eml"))) == 4
    assert "Where to look" in done.stdout


@pytest.mark.e2e
def test_the_wheel_carries_no_test_and_no_development_file(site: Path) -> None:
    inside = {path.name for path in site.iterdir() if not path.is_symlink()}

    assert {name.partition("-")[0] for name in inside} - {"__pycache__"} == {"digest", "sla_digest"}
    assert (site / "digest/_data/config/example.toml").is_file()
    assert (site / "digest/_data/templates/digest.mjml").is_file()
