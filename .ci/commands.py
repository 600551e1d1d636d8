"""Write docs/commands.md from the commands' own help; `make docs` calls it, a test compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from digest.cli import cli

PAGE = Path(__file__).parents[1] / "docs/commands.md"
HEAD = """# Commands

Written by `make docs` from `digest COMMAND --help`.

| exit code | means |
|---|---|
| 0 | sent, already sent, or no edition that day (it says which) |
| 1 | stopped by Ctrl-C, or the reader of the output went away |
| 2 | a mistake in the settings, the worksheet or the command line |
| 3 | held: the source could not give trustworthy numbers |
| 4 | not every recipient was served |
| 5 | a delivery's outcome is unknown |
| 70 | a bug in digest |
"""


def _helps(command: click.Command, name: str) -> Iterator[str]:
    # The context of a real call: without its settings the page would lack `-h`, or have it only when
    # click had kept the option of an earlier call.
    context = click.Context(command, info_name=name, terminal_width=100, **cli.context_settings)
    yield f"\n## {name}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from _helps(command.commands[child], f"{name} {child}")


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_helps(cli, "digest"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
