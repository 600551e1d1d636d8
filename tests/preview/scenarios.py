"""A desk that shows the scenarios alone, and one that shows them beside a digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from starlette.testclient import TestClient

from digest.preview import desk_of
from digest.preview.app import application
from digest.preview.desk import Sample
from digest.scenarios import SCENARIOS
from tests.preview.conftest import BASE, PORT, Stage, wanted


def samples() -> Mapping[str, Callable[[], Sample]]:
    """Every scenario by its name."""
    return {name: partial(_sample, name) for name in SCENARIOS}


def _sample(name: str) -> Sample:
    one = SCENARIOS[name]()
    return Sample(name, one.facts, one.edition, one.previous)


def staged_with_scenarios(*config: Path) -> Stage:
    """Return a preview in process that knows the scenarios."""
    desk = desk_of(wanted(*config))
    desk.samples = samples()
    app, door = application(desk, port=PORT)
    ask = TestClient(app, base_url=BASE, follow_redirects=False)
    ask.get(door.address)
    stranger = TestClient(app, base_url=BASE, follow_redirects=False)
    return Stage(desk, door, ask, stranger)
