"""From an Edition to a Message: one language, every channel, no recipient."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from digest.errors import ConfigError
from digest.model import Brief, Edition, Image, MailHeaders, Message, Recipient
from digest.render import slack, teams
from digest.render.locales import Locale, locale_for
from digest.render.scorecard import scorecard_json
from digest.render.text import render_terminal
from digest.render.view import CHART_CID, MOST_ROWS, View, view

__all__ = ["PACKERS", "render", "render_terminal", "scorecard_json"]

log = logging.getLogger(__name__)

FEWEST_ROWS = 5


def render(
    edition: Edition,
    *,
    language: str | None = None,
    segments_first: tuple[str, ...] = (),
    templates: Path | None = None,
    chart: bool = True,
) -> Message:
    """Render an edition in one language; the same edition gives the same message.

    Args:
        edition: what happened.
        language: of the reader; None for the digest's language.
        segments_first: names of the segments that lead the table.
        templates: the user's folder, which overrides the built-in templates file by file.
        chart: draw the waterfall.

    Raises:
        ConfigError: unknown language, or a user's template is at fault; names file and line.
    """
    from digest.render import email, lint, text

    locale = locale_for(language or edition.language)
    picture = _picture(edition, locale) if chart else None
    for rows in range(MOST_ROWS, FEWEST_ROWS - 1, -5):
        shown = view(
            edition,
            locale,
            segments_first=segments_first,
            chart=picture is not None,
            most_rows=rows,
        )
        html = email.html(shown, locale, templates)
        if lint.size(html) <= lint.LARGEST_HTML:
            break
    body = text.text(shown, locale, templates)
    _refuse(html, body, shown, templates)
    subject = text.subject(shown, locale, templates)
    return Message(
        digest=edition.digest,
        business_date=edition.business_date,
        language=locale.tag,
        subject=subject,
        preheader=shown.preheader,
        html=html,
        text=body,
        images=()
        if picture is None
        else (Image(CHART_CID, "waterfall.png", picture, shown.chart_alt),),
        brief=_brief(edition, shown, locale, title=subject, segments_first=segments_first),
    )


def _brief(
    edition: Edition, shown: View, locale: Locale, *, title: str, segments_first: tuple[str, ...]
) -> Brief:
    """Make the short form; unlike the mail it may name any of the segments, however many there are."""
    from digest.render.brief import brief

    if shown.table.more is not None:
        most_rows = len((edition.closed or edition).scorecard.segments)
        shown = view(edition, locale, segments_first=segments_first, most_rows=most_rows)
    return brief(shown, locale, title=title, segments_first=segments_first)


def _picture(edition: Edition, locale: Locale) -> bytes | None:
    """Draw the chart; it decorates numbers that stand in the table, so a mail goes out without it."""
    from digest.render import charts

    picture = charts.waterfall(edition)
    if not picture.new and picture.goal is None:
        return None
    try:
        return charts.png(picture, locale)
    except Exception:  # any fault of the drawing library, none of which may cost the mail
        log.warning("the chart could not be drawn; the mail goes out without it", exc_info=True)
        return None


def _refuse(html: str, body: str, shown: View, templates: Path | None) -> None:
    from digest.render import lint

    found = lint.findings(html, body, verbatim=lint.with_marks(_strings(shown)))
    if not found:
        return
    if templates is not None:
        raise ConfigError(*(f"{templates}: {sentence}" for sentence in found))
    raise RuntimeError("; ".join(found))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _strings(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _strings(getattr(value, field.name))


def _mime(
    message: Message,
    *,
    recipient: Recipient,
    headers: MailHeaders,
    key: str,
    sent_at: datetime,
    test: bool = False,
) -> bytes:
    from digest.render.mime import pack

    return pack(message, recipient=recipient, headers=headers, key=key, sent_at=sent_at, test=test)


PACKERS: Mapping[str, Callable[..., bytes]] = {
    "mime": _mime,
    "slack": slack.pack,
    "slack with chart": partial(slack.pack, chart=True),
    "teams": teams.pack,
}
