"""Thousands of digests on as many processes and hosts as there are; PostgreSQL says who works now.

The queue is never the truth: a job may run zero, one or many times, and the rows of the ledger decide
whether a message goes out. `roster` mirrors the settings into the schedule, `planner` puts what is due into
the queue, `worker` takes it out again, `supervisor` keeps the workers' processes, `status` and `summary`
say how it stands.
"""

from __future__ import annotations

from digest.errors import ConfigError

EXTRA = 'install it with pip install "sla-digest[fleet]"'


def refuse_without_extra() -> None:
    """Raise ConfigError where the packages of a fleet are not installed."""
    if missing := _missing():
        raise ConfigError(f"a fleet needs the package {missing[0]}; {EXTRA}")


def has_extra() -> bool:
    """Whether the packages of a fleet are installed."""
    return not _missing()


def _missing() -> list[str]:
    from importlib.util import find_spec

    return [name for name in ("procrastinate", "psycopg", "psycopg_pool") if not find_spec(name)]
