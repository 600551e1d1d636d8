"""What a connector keeps from one question to the next: its client, with token, connection and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digest.connectors.salesforce.client import Client


class Kept:
    """Lives and ends with the connector, so that a long process keeps no connection of old settings."""

    def __init__(self) -> None:
        self.client: Client | None = None
