"""Figures for Prometheus as a textfile: how many, how late, how long ago; never which digest or whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from digest.channels import CHANNELS
from digest.ledger import RunState, State

if TYPE_CHECKING:
    from digest.channels import Channel
    from digest.ledger.figures import Figures

# What a channel is called that stands in the ledger and no longer in the settings.
OTHER = "other"
# Of a run: read the source and compose; draw, write and freeze the messages; hand them over.
STAGES = ("collect", "render", "deliver")
_HELP = {
    "digest_runs_total": ("counter", "Editions by state."),
    "digest_deliveries_total": ("counter", "Deliveries by kind of channel and state."),
    "digest_stage_seconds": ("gauge", "How long each stage of the last run took."),
    "digest_due_lag_seconds": (
        "gauge",
        "Age of the oldest edition that is neither out nor given up.",
    ),
    "digest_unknown_open": ("gauge", "Deliveries whose outcome a person has to settle."),
    "digest_held_open": ("gauge", "Editions that are held now."),
    "digest_last_success_timestamp": (
        "gauge",
        "When the last message was taken or a free day noted, in seconds since 1970.",
    ),
}


def exposition(figures: Figures, channels: Mapping[str, Channel], now: datetime) -> str:
    """Write the figures in the text format of Prometheus (version 0.0.4).

    Every label value is from a closed list: states, and kinds of channels. A name that somebody gave a
    channel could say whom it reaches.
    """
    return "".join(f"{line}\n" for line in _lines(figures, channels, now))


def _lines(figures: Figures, channels: Mapping[str, Channel], now: datetime) -> Iterator[str]:
    by_kind: Counter[tuple[str, State]] = Counter()
    for (name, state), count in figures.deliveries.items():
        by_kind[kind_of(name, channels), state] += count
    lag = (now - figures.open_since).total_seconds() if figures.open_since else 0.0
    unknown = sum(n for (_, state), n in by_kind.items() if state is State.UNKNOWN)
    yield from _family(
        "digest_runs_total",
        {f'state="{state}"': figures.runs.get(state, 0) for state in RunState},
    )
    yield from _family(
        "digest_deliveries_total",
        {
            f'channel="{kind}",state="{state}"': by_kind[kind, state]
            for kind in (*sorted(CHANNELS), OTHER)
            for state in State
        },
    )
    stages = {f'stage="{one}"': figures.stages[one] for one in STAGES if one in figures.stages}
    if stages:  # before the first run there are none
        yield from _family("digest_stage_seconds", stages)
    yield from _family("digest_due_lag_seconds", {"": round(max(lag, 0.0), 3)})
    yield from _family("digest_unknown_open", {"": unknown})
    yield from _family("digest_held_open", {"": figures.runs.get(RunState.HELD, 0)})
    if figures.last_success is not None:  # before the first one there is no such moment
        stamp = round(figures.last_success.timestamp(), 3)
        yield from _family("digest_last_success_timestamp", {"": stamp})


def _family(name: str, values: Mapping[str, float]) -> Iterator[str]:
    kind, words = _HELP[name]
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def kind_of(name: str, channels: Mapping[str, Channel]) -> str:
    """Return the kind of a channel by its name in the settings."""
    kinds = {cls: kind for kind, cls in CHANNELS.items()}
    found = kinds.get(type(channels[name])) if name in channels else None
    return found or (name if name in CHANNELS else OTHER)


def write_textfile(path: Path, text: str) -> None:
    """Put the text in place whole: a collector reads the old figures or the new ones, never half.

    Raises:
        OSError: the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        draft.write_text(text, encoding="utf-8")
        # The collector runs as another user.
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
