"""`python -m digest` and the `digest` command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

STOPPED, UNWRITABLE = 1, 2


def main() -> None:
    """Run the command line; a failure nobody foresaw becomes a report instead of a traceback."""
    _open_streams()
    try:
        from digest.cli import cli

        cli.main()
    except KeyboardInterrupt:  # before click is there to say it
        _tell("Aborted!\n")
        sys.exit(STOPPED)
    except Exception as error:  # noqa: BLE001 - the last net: whatever arrives here is our bug
        if isinstance(error, OSError) and _output_is_lost():
            _tell(f"error: the output cannot be written ({error}); make room or write elsewhere\n")
            sys.exit(UNWRITABLE)
        from digest.bug import report

        _tell(report(error))
        sys.exit(70)


def _open_streams() -> None:
    """Make printing safe: a stream closed by `>&-` is None, and latin-1 or ASCII has no "▲"."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # Left open as long as the process, as any standard stream.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _output_is_lost() -> bool:
    """Whether what is printed cannot be written; asked with a line feed, as there may be no buffer."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        # Else the interpreter tries again when it ends, and complains in its own words.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        return True
    return False


def _tell(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text)


if __name__ == "__main__":
    main()
