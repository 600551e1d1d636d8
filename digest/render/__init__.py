"""From an Edition to a Message: one language, every channel, no recipient."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from digest.model import Brand, Brief, Edition, Image, MailHeaders, Message, Recipient
from digest.render import slack, teams
from digest.render.locales import Locale, locale_for
from digest.render.scorecard import scorecard_json
from digest.render.text import render_terminal
from digest.render.view import CHART_CID, View

if TYPE_CHECKING:
    from digest.figures import Figures
    from digest.render.writing import Wish, Written

__all__ = ["PACKERS", "explain", "render", "render_terminal", "scorecard_json", "source"]

log = logging.getLogger(__name__)

PLAIN = Brand()


def render(
    edition: Edition,
    *,
    language: str | None = None,
    segments_first: tuple[str, ...] = (),
    templates: Path | None = None,
    brand: Brand = PLAIN,
    chart: bool = True,
) -> Message:
    """Render an edition in one language; the same edition gives the same message.

    Args:
        edition: what happened.
        language: of the reader; None for the digest's language.
        segments_first: names of the segments that lead the table.
        brand: logo and accent colour.
        templates: the user's folder, which overrides the built-in templates file by file.
        chart: draw the waterfall.

    Raises:
        ConfigError: unknown language, or a user's template is at fault; names file and line.
    """
    from digest.render import words
    from digest.render.writing import Wish

    locale = locale_for(language or edition.language)
    picture = _picture(edition, locale) if chart else None
    wish = Wish(edition, locale.tag, segments_first, brand, templates, picture is not None)
    shown = wish.view()
    month = edition.judged.period.start
    written = _written(wish, shown)
    return Message(
        digest=edition.digest,
        business_date=edition.business_date,
        month=month,
        language=locale.tag,
        subject=written.subject,
        thread_subject=words.thread_subject(locale, edition.title, month),
        preheader=shown.preheader,
        html=written.html,
        text=written.text,
        images=tuple(_images(shown, picture, brand)),
        brief=_brief(wish, shown, locale, title=written.subject),
    )


def explain(
    edition: Edition,
    figures: Figures,
    *,
    language: str | None = None,
    segments_first: tuple[str, ...] = (),
    templates: Path | None = None,
    brand: Brand = PLAIN,
    chart: bool = True,
) -> str:
    """Return the HTML of `render` in which every number leads to where it comes from; nobody is sent it.

    Args:
        edition: what happened.
        figures: the records of its numbers.
        language: as for `render`.
        segments_first: likewise.
        templates: likewise.
        brand: likewise.
        chart: the mail has a picture.

    Raises:
        ConfigError: as `render`.
    """
    from digest.render.writing import Wish

    tag = locale_for(language or edition.language).tag
    return _written(Wish(edition, tag, segments_first, brand, templates, chart, figures)).html


def source(
    edition: Edition,
    *,
    language: str | None = None,
    segments_first: tuple[str, ...] = (),
    templates: Path | None = None,
    brand: Brand = PLAIN,
    chart: bool = True,
) -> str:
    """Return the MJML that the HTML of `render` is made of, every value filled in.

    Args and errors are those of `explain`.
    """
    from digest.render.writing import Wish

    tag = locale_for(language or edition.language).tag
    wish = Wish(edition, tag, segments_first, brand, templates, chart, source=True)
    return _written(wish).mjml


def _written(wish: Wish, shown: View | None = None) -> Written:
    """Write the parts of a mail; what a user's templates do is done elsewhere, within limits."""
    if wish.templates is None:
        from digest.render.writing import write

        return write(wish, shown)
    from digest.render.confined import write_confined

    return write_confined(wish)


def _images(shown: View, picture: bytes | None, brand: Brand) -> Iterator[Image]:
    if brand.logo is not None:
        yield Image(shown.brand.logo_cid, "logo.png", brand.logo.png, shown.title)
    if picture is not None:
        yield Image(CHART_CID, "waterfall.png", picture, shown.chart_alt)


def _brief(wish: Wish, shown: View, locale: Locale, *, title: str) -> Brief:
    """Make the short form; unlike the mail it may name any of the segments, however many there are."""
    from digest.render.brief import brief

    if shown.table.rest is not None:
        shown = wish.view(len(wish.edition.judged.segments))
    return brief(shown, locale, title=title, segments_first=wish.segments_first)


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
