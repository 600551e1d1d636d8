"""Connectors that reach a fake org instead of Salesforce."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, ClassVar

from digest.connectors.salesforce import Salesforce
from digest.connectors.salesforce.wire import Wire
from digest.model import Period, Secret, Segment
from tests.fakes.salesforce import Org, ToLoopback

NOW = datetime(2026, 11, 2, 6, tzinfo=UTC)
JUNE = Period(date(2026, 6, 1), date(2026, 7, 1))
NOON = datetime(2026, 6, 3, 10, tzinfo=UTC)
SEGMENTS = (Segment("DACH"), Segment("Romandie"))


def given_to(source: object) -> dict[str, Any]:
    """Return the settings of a connector, to make another one with them."""
    return {item.name: getattr(source, item.name) for item in fields(source) if item.init}  # type: ignore[arg-type] # connectors are dataclasses


def connector(org: Org, *, waits: list[float] | None = None, **settings: Any) -> Salesforce:  # noqa: ANN401 - any setting
    """Return a connector to the org; `waits` collects how long it would have slept."""
    slept = [] if waits is None else waits

    class ToFake(Salesforce):
        wire: ClassVar[Wire] = Wire(
            adapter=partial(ToLoopback, org),
            sleep=slept.append,
            spread=lambda low, high: high - low,
        )

    login: dict[str, Any] = {
        "domain": "acme.my",
        "consumer_key": "key",
        "consumer_secret": Secret("consumer-secret"),
        "dates": ("CreatedDate",),
        "segment": "Region__c",
    }
    return ToFake(**(login | settings))
