"""The documentation says what the program does: its commands run and their output is what is shown."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

from digest.channels import CHANNELS
from digest.connectors import CONNECTORS
from digest.settings.adapters import build
from digest.settings.mistakes import Mistakes
from digest.settings.references import Vault
from digest.sla import goals
from digest.worksheet import load_plan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))


def _console_blocks(text: str) -> list[list[tuple[str, str]]]:
    """Return the ```console blocks as lists of (command, shown output)."""
    blocks = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        parts = re.split(r"^\$ (.+)\n", block, flags=re.MULTILINE)[1:]
        blocks.append(list(zip(parts[::2], parts[1::2], strict=True)))
    return blocks


def test_the_page_of_commands_is_what_help_prints() -> None:
    spec = importlib.util.spec_from_file_location("commands_page", ROOT / ".ci/commands.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.page() == (ROOT / "docs/commands.md").read_text(encoding="utf-8"), (
        "run `make docs`"
    )


def test_the_plan_shown_as_csv_is_one_that_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/worksheet.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(segment;.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "sla.csv"
    path.write_text(shown, encoding="utf-8")

    plan = load_plan(path)

    assert [goal.goal for goal in goals(plan, date(2026, 2, 1))] == [320, 134]


@pytest.mark.e2e
def test_the_commands_of_the_readme_run_and_print_what_is_shown(tmp_path: Path) -> None:
    commands = [pair for block in _console_blocks(README) for pair in block]
    assert len(commands) >= 4
    for command, shown in commands:
        words = shlex.split(command)
        assert words[0] == "digest", command
        done = subprocess.run(  # noqa: S603 - commands of our own README
            [sys.executable, "-m", "digest", *words[1:]],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        expected = "".join(f"{re.escape(line)}\n" for line in shown.splitlines())
        pattern = expected.replace(re.escape("[…]") + "\n", "(?:.*\n)*?")
        assert re.fullmatch(pattern, _without_end_spaces(done.stdout)), f"{command}\n{done.stdout}"


def _without_end_spaces(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("name", [*CONNECTORS, *CHANNELS])
def test_every_connector_and_channel_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGES


def test_every_link_between_the_pages_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [
            *ROOT.glob("*.md"),
            *(ROOT / "docs").glob("*.md"),
            *ROOT.glob("benchmarks/*.md"),
        ]
        for target in re.findall(
            r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text(encoding="utf-8")
        )
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.failure("M8")
def test_the_page_of_relays_does_not_promise_what_happens_after_their_yes() -> None:
    page = (ROOT / "docs/email-relays.md").read_text(encoding="utf-8")

    assert "**accepted\nis not delivered**" in page
    assert "bounces hours later comes back to `bounce_address`" in page


def test_the_settings_on_the_page_of_relays_are_settings(tmp_path: Path) -> None:
    page = (ROOT / "docs/email-relays.md").read_text(encoding="utf-8")
    blocks = [
        block
        for block in re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        if block.startswith("[channels.")
    ]
    secrets = dict.fromkeys(("DIGEST_SMTP_PASSWORD", "DIGEST_APP_SECRET"), "planted")
    assert len(blocks) == 3
    for block in blocks:
        mistakes = Mistakes("page.toml")
        read = Vault(secrets, tmp_path).resolve(tomllib.loads(block), (), mistakes)
        assert isinstance(read, dict)
        for name, table in read["channels"].items():
            team = [{"address": one} for one in table.pop("recipients", ())]
            sender = {"sender": "digest@firm.example", "recipients": team}
            assert build(CHANNELS[name], {**sender, **table}, (name,), mistakes, folder=tmp_path)
        assert mistakes.found == []
