"""The record of every number on the screen, and the mail in which each number leads to its own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from digest.compose import NOTHING_SENT, due_on, facts_of
from digest.dispatch import memory_of
from digest.editions import counting_plan
from digest.errors import DigestError
from digest.ledger import read_ledger

if TYPE_CHECKING:
    from digest.figures import Figures
    from digest.model import Edition, LeadCounts
    from digest.preview.desk import Mail, Showing
    from digest.settings import Settings


def records(showing: Showing, history: LeadCounts | None) -> Figures:
    """Return the records of an edition's numbers."""
    from digest.figures import ScenarioPlaces, figures_of
    from digest.settings.places import SettingsPlaces

    settings, name = showing.settings, showing.view.scenario or ""
    return figures_of(
        showing.edition,
        showing.facts,
        ScenarioPlaces(name) if settings is None else SettingsPlaces(settings),
        showing.previous,
        history=history,
    )


def known_history(settings: Settings, edition: Edition, asked_at: datetime) -> LeadCounts | None:
    """Return the counts of the months before an edition, if they are known; nothing is asked for them.

    Args:
        settings: with sources that only repeat what they have answered.
        edition: the one on the screen.
        asked_at: the instant of those answers.
    """
    day = edition.business_date
    memory = memory_of(settings, day) if read_ledger(settings.ledger) else NOTHING_SENT
    try:
        due = due_on(settings, day, previous=memory.previous)
        wanted = counting_plan(due, months=facts_of(settings).months).history
        if wanted is None:
            return None
        return memory.history(
            due,
            wanted,
            lambda: settings.connector.count_leads(
                period=wanted, segments=settings.segments, now=asked_at
            ),
        )
    except DigestError:
        return None


def source_of(showing: Showing, mail: Mail) -> str:
    """Return the MJML of a mail, every value filled in, with the rows that its HTML has.

    Raises:
        ConfigError: a user's template is at fault, or needs more than `render.confined` allows.
    """
    from digest.render import source

    return source(showing.edition, **_as_rendered(showing, mail))


def explained(showing: Showing, mail: Mail, figures: Figures) -> str:
    """Return the mail with its numbers as links and their records in the page.

    Raises:
        ConfigError: a user's template is at fault.
    """
    from digest.render import explain

    return explain(showing.edition, figures, **_as_rendered(showing, mail))


def _as_rendered(showing: Showing, mail: Mail) -> dict[str, Any]:
    """Return what the mail was rendered with."""
    from digest.render import PLAIN
    from digest.render.view import CHART_CID

    settings = showing.settings
    return {
        "language": showing.language,
        "segments_first": showing.reader.recipient.segments,
        "templates": settings.templates if settings is not None else None,
        "brand": settings.brand if settings is not None else PLAIN,
        "chart": any(image.cid == CHART_CID for image in mail.images),
    }
