"""HubSpot's stage of the contract test of all connectors."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from digest.connectors.hubspot import Hubspot
from tests.fakes.hubspot import Definition, Fault, Portal, moment_text
from tests.hubspot.scene import MQL, entered, scene

_serving = ExitStack()  # until the test process ends
_portals: dict[Path, Portal] = {}


def hubspot(folder: Path, leads: Iterable[tuple[str | None, datetime]]) -> Hubspot:
    """Serve a portal of contacts with a text property as the segment."""
    portal = Portal()
    portal.define("contacts", Definition("region", "string", "Region"))
    rows = [{"region": value, entered(MQL): moment_text(moment)} for value, moment in leads]
    portal.add_all("contacts", rows)
    _portals[folder] = portal
    return _serving.enter_context(scene(portal)).hubspot(stages=(MQL,))


def torn(folder: Path) -> None:
    """Answer the definitions and three pages, and then nothing but 502."""
    _portals[folder].faults.extend([None] * 4 + [Fault(502, b"<html>")] * 8)
