"""The short form as an Adaptive Card 1.5 for Microsoft Teams.

A TextBlock reads Markdown, and names come from the CRM; so every word stands in a TextRun, which does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from digest.model import Brief, MailHeaders, Message, Recipient
from digest.render.locales import ELLIPSIS, Locale, locale_for

Element = Mapping[str, Any]

LARGEST = 20_000  # bytes; 28 KB by the book, failures are reported from 21 KB
MOST_ROWS = 15
_COLOURS = {"good": "Good", "warning": "Warning", "bad": "Attention", "neutral": "Default"}
_MOST_WARNINGS, _MOST_CHANGES, _LONGEST_LINE = 4, 8, 300
_TEST = "[TEST]"


def pack(
    message: Message,
    *,
    recipient: Recipient,
    headers: MailHeaders | None = None,
    key: str,
    sent_at: datetime,
    test: bool = False,
) -> bytes:
    """Return the request's body: a message with one Adaptive Card, at most 20,000 bytes of ASCII.

    Raises:
        ValueError: the message has no short form.
    """
    del recipient, headers, key, sent_at
    if message.brief is None:
        raise ValueError("the message has no short form")
    brief, locale = message.brief, locale_for(message.language)
    for rows in range(min(MOST_ROWS, len(brief.rows)), -1, -1):
        packed = _envelope(brief, locale, _body(brief, locale, rows=rows, test=test))
        if len(packed) <= LARGEST:
            return packed
    return _envelope(brief, locale, _least(brief, test=test))


def _envelope(brief: Brief, locale: Locale, body: Sequence[Element]) -> bytes:
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "lang": locale.tag,
        "fallbackText": _cut(brief.summary),
        "msteams": {"width": "Full"},
        "body": list(body),
    }
    if brief.link:
        words, address = brief.link
        card["actions"] = [{"type": "Action.OpenUrl", "title": words, "url": address}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return json.dumps(
        {"type": "message", "attachments": [attachment]}, separators=(",", ":")
    ).encode()


def _body(brief: Brief, locale: Locale, *, rows: int, test: bool) -> list[Element]:
    body = [*_head(brief), *(_line(_run(f"! {one}")) for one in brief.warnings[:_MOST_WARNINGS])]
    body += [
        _line(
            _run(f"{figure.label} "),
            _run(figure.number, weight="Bolder"),
            _run(f" {' · '.join(figure.notes)}", isSubtle=True),
            spacing="Medium" if number == 0 else "None",
        )
        for number, figure in enumerate(brief.figures)
    ]
    for number, change in enumerate(brief.changes[:_MOST_CHANGES]):
        body.append(_line(_run(change), spacing="Medium" if number == 0 else "None"))
    if rows:
        body.append(_table(brief, rows))
    rest = len(brief.rows) - rows
    if rest:
        more = locale.ngettext("and %(n)s more segment", "and %(n)s more segments", rest)
        body.append(_line(_run(more)))
    return [*body, *_foot(brief, test=test)]


def _least(brief: Brief, *, test: bool) -> list[Element]:
    return [*_head(brief)[: 2 + min(1, len(brief.correction))], *_foot(brief, test=test)[:1]]


def _head(brief: Brief) -> list[Element]:
    word, sign, look = brief.status
    first, *others = brief.sentences
    return [
        _line(_run(brief.title, weight="Bolder", size="Large")),
        *_correction(brief),
        _line(_run(f"{sign} {word} ", weight="Bolder", color=_COLOURS[look]), _run(first)),
        *(_line(_run(sentence), spacing="None") for sentence in others),
    ]


def _correction(brief: Brief) -> list[Element]:
    return [
        _line(_run(line, weight="Bolder" if number == 0 else "Default"), spacing="None")
        for number, line in enumerate(brief.correction)
    ]


def _foot(brief: Brief, *, test: bool) -> list[Element]:
    facts = [f"{label}: {text}" for label, text in brief.facts]
    return [
        _line(_run(fact, size="Small", isSubtle=True), spacing="Medium" if number == 0 else "None")
        for number, fact in enumerate([_TEST, *facts] if test else facts)
    ]


def _table(brief: Brief, rows: int) -> Element:
    numbers = len(brief.columns) - 2
    lines = [
        _row(brief.columns, weight="Bolder"),
        *(_row(row) for row in brief.rows[:rows]),
        _row(brief.total, weight="Bolder"),
    ]
    right = {"width": 1, "horizontalCellContentAlignment": "Right"}
    return {
        "type": "Table",
        "firstRowAsHeaders": True,
        "showGridLines": False,
        "spacing": "Medium",
        "columns": [{"width": 3}, {"width": 2}, *[right] * numbers],
        "rows": lines,
    }


def _row(cells: Sequence[str], **look: str) -> Element:
    return {
        "type": "TableRow",
        "cells": [{"type": "TableCell", "items": [_line(_run(cell, **look))]} for cell in cells],
    }


def _line(*runs: Element, **look: str) -> Element:
    return {"type": "RichTextBlock", **look, "inlines": list(runs)}


def _run(text: str, **look: object) -> Element:
    return {"type": "TextRun", "text": _cut(text), **look}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1].rstrip() + ELLIPSIS
