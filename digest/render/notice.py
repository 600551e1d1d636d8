"""The one plain line that a team gets instead of silence while its edition is held."""

from __future__ import annotations

from datetime import date, datetime
from html import escape
from zoneinfo import ZoneInfo

from digest.model import Brief, Message, Status, month_start
from digest.render import words
from digest.render.locales import locale_for, shown
from digest.render.text import plain_spaces


def held_notice(
    *, digest: str, title: str, business_date: date, language: str, until: datetime, timezone: str
) -> Message:
    """Return the message in one language; it names no reason, which is the operator's business.

    Args:
        digest: id of the digest.
        title: its name for people.
        business_date: of the edition that is held.
        language: of the reader.
        until: UTC instant of `send_until`.
        timezone: of the digest.
    """
    locale = locale_for(language)
    what = locale.gettext("No digest yet: %(title)s", title=shown(title, 60))
    sentences = (
        locale.gettext(
            "There is no digest for %(day)s yet: its source gives no numbers that can be trusted.",
            day=locale.full_day(business_date),
        ),
        locale.gettext(
            "It comes by itself as soon as the numbers are right, until %(time)s; after that the next edition"
            " covers these days.",
            time=f"{until.astimezone(ZoneInfo(timezone)):%H:%M}",
        ),
    )
    said = " ".join(sentences)
    look = words.LOOKS[Status.NO_DATA]
    return Message(
        digest=digest,
        business_date=business_date,
        month=month_start(business_date),
        language=locale.tag,
        subject=plain_spaces(what),
        thread_subject=words.thread_subject(locale, title, month_start(business_date)),
        preheader=sentences[0],
        html=_PAGE.format(language=locale.tag, title=escape(what), said=escape(said)),
        text=plain_spaces(f"{said}\n"),
        brief=Brief(
            title=what,
            summary=f"{what}. {said}",
            status=(words.status_word(locale, Status.NO_DATA), words.SIGNS[look], look),
            sentences=sentences,
            warnings=(),
            figures=(),
            changes=(),
            columns=(),
            rows=(),
            total=(),
            link=None,
            facts=(),
            corrected=locale.gettext("Corrected, see the thread"),
        ),
    )


_PAGE = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="color-scheme" content="light dark"><title>{title}</title></head>'
    '<body style="font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;'
    'font-size:15px;line-height:22px"><p>{said}</p></body></html>\n'
)
