"""How the connector reaches Salesforce, and what a test may replace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wire:
    """The network as the connector sees it.

    Attributes:
        adapter: makes the transport adapter of requests; None for its own.
        sleep, spread: wait, and draw a random number between two.
        connect_seconds, read_seconds: of one attempt. call_seconds: of one call with all its attempts.
        largest: bytes of one answer.
        heed: hears an account and for how many seconds it asks to be left alone, for others who call it.
    """

    adapter: Callable[[], Any] | None = None
    sleep: Callable[[float], None] = time.sleep
    spread: Callable[[float, float], float] = random.uniform
    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    call_seconds: float = 60.0
    largest: int = 50_000_000
    heed: Callable[[str, float], None] | None = None
