"""How many examples a test tries: few while somebody works, many before a change lands."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

EVERYTHING = os.environ.get("DIGEST_TEST_ALL") == "1"  # noqa: TID251 - the test run is an entry point


T = TypeVar("T")


def effort(few: T, many: T) -> T:
    """Return how many examples, or which, this run tries; `.ci/run` tries many."""
    return many if EVERYTHING else few


def every(few: int) -> int:
    """Return a step: this run looks at every so manieth place, `.ci/run` at each."""
    return effort(few, 1)


# Steps between the bytes at which an answer is cut: at every byte in `make long`.
CUTS = (effort(7, 3), pytest.param(1, marks=pytest.mark.long))
