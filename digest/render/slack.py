"""The short form as a Slack message: at most seven blocks that Slack's limits cannot refuse.

Slack says no to a whole message for one cell too many, and some of its limits are not documented, so the
size is a matter of construction here and `findings` looks again before anything is sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from digest.model import Brief, BriefFigure, MailHeaders, Message, Recipient
from digest.render.locales import ELLIPSIS, Locale, locale_for

Block = Mapping[str, Any]

EVENT = "digest_delivery"
LARGEST = (
    12_000  # characters of all blocks; refused from about 13,200 (bolt-js #2509), not documented
)
LONGEST_TEXT = 300
LONGEST_PLAIN = 3_900  # Slack folds longer texts away
MOST_ROWS = 15
EMPTY = "-"  # an empty cell is refused
_LONGEST_HEADER, _LONGEST_SECTION, _LONGEST_FIELD, _LONGEST_FACT = 150, 3_000, 2_000, 300
_MOST_WARNINGS, _MOST_CHANGES, _LONGEST_CORRECTED = 4, 8, 160
_TEST = "[TEST]"


def pack(
    message: Message,
    *,
    recipient: Recipient,
    headers: MailHeaders | None = None,
    key: str,
    sent_at: datetime,
    test: bool = False,
    chart: bool = False,
) -> bytes:
    """Return what the Slack channel posts, as JSON.

    `text`, `blocks`, `metadata` and the `unfurl_` switches are the message. The channel also finds here,
    under names that it takes out: `plain`, the one fallback when Slack refuses the blocks; `corrected`,
    the block that a later correction puts on top; in a correction `correction`, what its thread says; and
    with `chart` the picture for the thread.

    Raises:
        ValueError: the message has no short form, or breaks a limit of Slack, which is a bug.
    """
    del recipient, headers, sent_at
    if message.brief is None:
        raise ValueError("the message has no short form")
    locale = locale_for(message.language)
    mark = [_section(f"*{escaped(message.brief.corrected)}*")]
    blocks = _fitting(message.brief, locale, test=test, room=LARGEST - size(mark))
    found = findings([*mark, *blocks])
    if found:
        raise ValueError("; ".join(found))
    packed: dict[str, Any] = {
        "text": _cut(escaped(message.brief.summary), LONGEST_TEXT),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": EVENT, "event_payload": {"key": fingerprint(key)}},
        "plain": _plain(message.brief, locale, test=test),
        "corrected": mark[0],
    }
    if message.brief.correction:
        packed["correction"] = "\n".join(_corrected(message.brief))
    if chart and message.images:
        image = message.images[0]
        packed["chart"] = {
            "filename": image.filename,
            "alt": image.alt,
            "png": base64.b64encode(image.png).decode(),
        }
    return json.dumps(packed, ensure_ascii=False).encode()


def fingerprint(key: str) -> str:
    """Return what a post carries to be found again; unlike the delivery key it tells nobody anything."""
    return hashlib.sha256(key.encode()).hexdigest()


def escaped(text: str) -> str:
    """Return a text for mrkdwn: these three letters begin everything that links, calls or mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def size(blocks: Sequence[Block]) -> int:
    """Return the characters of blocks as the client sends them, letters outside ASCII as escapes."""
    return len(json.dumps(blocks))


# ------------------------------------------------------------------------------------- construction


def _fitting(brief: Brief, locale: Locale, *, test: bool, room: int) -> list[Block]:
    """Build the blocks, with fewer rows and at last without lesser blocks, until they fit."""
    for rows in range(min(MOST_ROWS, len(brief.rows)), -1, -1):
        blocks = _blocks(brief, locale, rows=rows, test=test)
        if size(blocks) <= room:
            return blocks
    return _least(brief, test=test)


def _blocks(brief: Brief, locale: Locale, *, rows: int, test: bool) -> list[Block]:
    blocks = [
        _header(brief),
        _section(
            *_corrected(brief),
            *_verdict(brief),
            *(f"! {escaped(one)}" for one in brief.warnings[:_MOST_WARNINGS]),
        ),
    ]
    if brief.figures:
        blocks.append({"type": "section", "fields": [_field(figure) for figure in brief.figures]})
    if brief.changes:
        blocks.append(_section(*map(escaped, _some(brief.changes, locale))))
    if rows:
        blocks.append(_table(brief, locale, rows))
    elif brief.rows:
        more = escaped(_more(locale, len(brief.rows)))
        blocks[1] = _section(*_corrected(brief), *_verdict(brief), more)
    if brief.link:
        words, address = brief.link
        blocks.append(_section(f"<{_target(address)}|{escaped(words)}>"))
    if facts := _facts(brief, test=test):
        blocks.append(_context(facts))
    return blocks


def _least(brief: Brief, *, test: bool) -> list[Block]:
    """Build what is left when names in far-off scripts fill everything: verdict, figures, origin."""
    cut = [_cut(fact, 80) for fact in _facts(brief, test=test)]
    first = _section(*_corrected(brief)[:1], _cut(_verdict(brief)[0], LONGEST_TEXT))
    return [_header(brief), first, *([_context(cut)] if cut else [])]


def _corrected(brief: Brief) -> list[str]:
    """Say what a correction corrects, why, and which figures moved."""
    lines = [_cut(escaped(line), _LONGEST_CORRECTED) for line in brief.correction]
    return [f"*{lines[0]}*", *lines[1:]] if lines else []


def _header(brief: Brief) -> Block:
    text = _cut(_flat(brief.title), _LONGEST_HEADER) or EMPTY
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _verdict(brief: Brief) -> list[str]:
    word, sign, _ = brief.status
    first, *others = brief.sentences
    return [f"*{sign} {escaped(word)}* {escaped(first)}", *map(escaped, others)]


def _section(*lines: str) -> Block:
    return {"type": "section", "text": _mrkdwn("\n".join(lines), _LONGEST_SECTION)}


def _field(figure: BriefFigure) -> Block:
    beside = " · ".join(map(escaped, figure.notes))
    number = f"*{escaped(figure.number)}*"
    return _mrkdwn(f"{escaped(figure.label)}\n{number} {beside}".rstrip(), _LONGEST_FIELD)


def _mrkdwn(text: str, longest: int) -> Block:
    # verbatim stops Slack from making links, channels and mentions out of bare words.
    return {"type": "mrkdwn", "text": _cut(text, longest) or EMPTY, "verbatim": True}


def _some(changes: Sequence[str], locale: Locale) -> list[str]:
    """Return the first changes; the rest is counted."""
    rest = len(changes) - _MOST_CHANGES
    more = [locale.ngettext("%(n)s more", "%(n)s more", rest)] if rest > 0 else []
    return [*changes[:_MOST_CHANGES], *more]


def _table(brief: Brief, locale: Locale, rows: int) -> Block:
    width = len(brief.columns)
    lines = [brief.columns, *brief.rows[:rows]]
    rest = len(brief.rows) - rows
    if rest:
        lines.append((_more(locale, rest), *[EMPTY] * (width - 1)))
    lines.append(brief.total)
    return {
        "type": "table",
        "column_settings": [
            {"is_wrapped": True},
            {"is_wrapped": False},
            *[{"align": "right"}] * (width - 2),
        ],
        "rows": [
            [{"type": "raw_text", "text": _flat(cell) or EMPTY} for cell in line] for line in lines
        ],
    }


def _more(locale: Locale, count: int) -> str:
    return locale.ngettext("and %(n)s more segment", "and %(n)s more segments", count)


def _context(texts: Sequence[str]) -> Block:
    return {
        "type": "context",
        "elements": [
            {
                "type": "plain_text",
                "text": _cut(_flat(text), _LONGEST_FACT) or EMPTY,
                "emoji": False,
            }
            for text in texts
        ],
    }


def _facts(brief: Brief, *, test: bool) -> list[str]:
    facts = [f"{label}: {text}" for label, text in brief.facts]
    return [_TEST, *facts] if test else facts


def _target(address: str) -> str:
    """Return an address that cannot end its own link."""
    return escaped(address.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))


def _flat(text: str) -> str:
    return " ".join(text.split())


_CUT_ENTITY = re.compile(r"&[a-z]{0,3}$")


def _cut(text: str, longest: int) -> str:
    """Cut a text, but never within what stands for one letter."""
    if len(text) <= longest:
        return text
    return _CUT_ENTITY.sub("", text[: longest - 1]).rstrip() + ELLIPSIS


def _plain(brief: Brief, locale: Locale, *, test: bool) -> str:
    """Write the message without blocks: whole lines, as many as people read."""
    lines = [
        *_corrected(brief),
        escaped(brief.summary),
        *(f"! {escaped(one)}" for one in brief.warnings[:_MOST_WARNINGS]),
        *(escaped(_figure_said(figure)) for figure in brief.figures),
        *map(escaped, _some(brief.changes, locale)),
        *(escaped(_said(brief, row)) for row in brief.rows[:MOST_ROWS]),
    ]
    if len(brief.rows) > MOST_ROWS:
        lines.append(escaped(_more(locale, len(brief.rows) - MOST_ROWS)))
    ends = [f"<{_target(brief.link[1])}|{escaped(brief.link[0])}>"] if brief.link else []
    ends += [_cut(escaped(fact), _LONGEST_FACT) for fact in _facts(brief, test=test)]
    room = LONGEST_PLAIN - len("\n".join(ends))
    kept: list[str] = []
    for line in lines:
        if len("\n".join((*kept, line))) >= room:
            break
        kept.append(line)
    return "\n".join((*kept, *ends))


def _figure_said(figure: BriefFigure) -> str:
    beside = f" ({', '.join(figure.notes)})" if figure.notes else ""
    return f"{figure.label}: {figure.number}{beside}"


def _said(brief: Brief, row: Sequence[str]) -> str:
    name, status, *numbers = row
    said = ", ".join(
        f"{label} {number}" for label, number in zip(brief.columns[2:], numbers, strict=True)
    )
    return f"{name}: {status}, {said}"


# --------------------------------------------------------------------------------------- the limits


def findings(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return what Slack would refuse, each with its place; nothing when the blocks may be sent.

    Knows the blocks that are built here and refuses every other.
    """
    found = [
        *_within("/blocks", "blocks", len(blocks), 1, 50),
        *_within("/blocks", "characters in all", size(blocks), 0, LARGEST),
    ]
    tables = 0
    names: set[str] = set()
    for number, block in enumerate(blocks):
        at = f"/blocks/{number}"
        kind = block.get("type")
        tables += kind == "table"
        name = block.get("block_id")
        if name is not None and name in names:
            found.append(f"{at}/block_id: {name!r} is there twice")
        names.add(str(name))
        found += _CHECKS.get(str(kind), _unknown)(at, block)
    found += _within("/blocks", "tables", tables, 0, 1)
    return tuple(found)


def _within(at: str, what: str, count: int, least: int, most: int) -> Iterator[str]:
    if not least <= count <= most:
        yield f"{at}: {count} {what}, allowed are {least} to {most}"


def _unknown(at: str, block: Block) -> Iterator[str]:
    yield f"{at}/type: {block.get('type')!r} is not among the blocks that are sent"


def _check_text(at: str, text: object, longest: int, kinds: Sequence[str]) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") not in kinds:
        yield f"{at}: allowed is a text of type {' or '.join(kinds)}"
        return
    written = text.get("text")
    if not isinstance(written, str):
        yield f"{at}/text: is missing"
        return
    yield from _within(f"{at}/text", "characters", len(written), 1, longest)
    if text["type"] == "mrkdwn" and text.get("verbatim") is not True:
        yield f"{at}/verbatim: must be true, or bare words turn into links and mentions"


def _check_header(at: str, block: Block) -> Iterator[str]:
    yield from _check_text(f"{at}/text", block.get("text"), _LONGEST_HEADER, ["plain_text"])


def _check_section(at: str, block: Block) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield f"{at}: has neither text nor fields"
    if "text" in block:
        yield from _check_text(f"{at}/text", block["text"], _LONGEST_SECTION, _BOTH)
    if "fields" in block:
        yield from _within(f"{at}/fields", "fields", len(block["fields"]), 1, 10)
        for number, field in enumerate(block["fields"]):
            yield from _check_text(f"{at}/fields/{number}", field, _LONGEST_FIELD, _BOTH)


def _check_context(at: str, block: Block) -> Iterator[str]:
    elements = block.get("elements", ())
    yield from _within(f"{at}/elements", "elements", len(elements), 1, 10)
    for number, element in enumerate(elements):
        yield from _check_text(f"{at}/elements/{number}", element, _LONGEST_SECTION, _BOTH)


def _check_table(at: str, block: Block) -> Iterator[str]:
    rows = block.get("rows", ())
    yield from _within(f"{at}/rows", "rows", len(rows), 1, 100)
    yield from _within(
        f"{at}/column_settings", "columns", len(block.get("column_settings", ())), 0, 20
    )
    letters = 0
    for number, row in enumerate(rows):
        yield from _within(f"{at}/rows/{number}", "cells", len(row), 1, 20)
        for column, cell in enumerate(row):
            place = f"{at}/rows/{number}/{column}"
            if cell.get("type") != "raw_text" or not isinstance(cell.get("text"), str):
                yield f"{place}: allowed is a raw_text"
                continue
            letters += len(cell["text"])
            yield from _within(place, "characters", len(cell["text"]), 1, 10_000)
    yield from _within(at, "characters in its cells", letters, 0, 10_000)


_BOTH = ("plain_text", "mrkdwn")
_CHECKS: Mapping[str, Callable[[str, Block], Iterator[str]]] = {
    "header": _check_header,
    "section": _check_section,
    "context": _check_context,
    "table": _check_table,
}
