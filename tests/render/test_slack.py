"""The Slack message keeps Slack's limits: by construction, by our validator, and by a fake with its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from digest.model import Edition, Message, Recipient
from digest.render import PACKERS, render
from digest.render.brief import brief
from digest.render.lint import numbers, visible
from digest.render.locales import languages, locale_for
from digest.render.slack import EMPTY, LARGEST, escaped, findings, fingerprint, size
from digest.render.text import subject
from digest.render.view import view
from tests.delivery.scene import START
from tests.fakes.slack import refusal
from tests.render.editions import SCENARIOS, edition, many_segments, month_close

LOCALES = ("de-CH", *languages())
COUNTS = (0, 1, 4, 15, 60, 200)
Json = dict[str, Any]


def packed(message: Message, *, form: str = "slack", test: bool = False, key: str = "k") -> Json:
    content = PACKERS[form](
        message, recipient=Recipient("C0"), headers=None, key=key, sent_at=START, test=test
    )
    return dict(json.loads(content))


def short(source: Edition, language: str | None = None) -> Message:
    """The message without its mail, which takes a hundred times as long to make."""
    locale = locale_for(language or source.language)
    shown = view(source, locale, most_rows=1_000)
    title = subject(shown, locale)
    made = brief(shown, locale, title=title)
    day = source.business_date
    return Message(source.digest, day, day, locale.tag, title, title, "", "", "", brief=made)


def posted(source: Edition, language: str | None = None, **how: Any) -> Json:  # noqa: ANN401 - of packed
    return packed(short(source, language), **how)


def test_the_short_way_of_these_tests_is_the_short_form_of_a_message() -> None:
    for source in (edition(), month_close(), many_segments()):
        assert render(source, chart=False).brief == short(source).brief


def with_segments(source: Edition, count: int, name: str = "Region {}") -> Edition:
    """The same edition with so many segments, all behind."""
    closed = source.closed
    card = closed.scorecard if closed else source.scorecard
    row = replace(card.segments[-1], status=many_segments(3).scorecard.segments[-1].status)
    rows = tuple(
        replace(row, segment=name.format(n), gap=-1_000_000 - n, actual=1_234_567)
        for n in range(count)
    )
    card = replace(card, segments=rows)
    if closed:
        return replace(source, closed=replace(closed, scorecard=card))
    return replace(source, scorecard=card)


def mrkdwn(message: Json) -> list[str]:
    """Every text in which Slack would read control sequences."""
    found = [message["text"], message["plain"]]
    for block in message["blocks"]:
        texts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        found += [text["text"] for text in texts if text and text["type"] == "mrkdwn"]
    return found


def cells(message: Json) -> list[list[str]]:
    (table,) = (block for block in message["blocks"] if block["type"] == "table")
    return [[cell["text"] for cell in row] for row in table["rows"]]


# --------------------------------------------------------------------------------- within the limits


@pytest.mark.failure("S3")
@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_fits_with_any_number_of_segments(scenario: str, language: str) -> None:
    for count in (None, *COUNTS):
        source = SCENARIOS[scenario]()
        message = posted(source if count is None else with_segments(source, count), language)

        marked = [message["corrected"], *message["blocks"]]
        assert findings(marked) == ()
        assert refusal({**message, "blocks": marked}) is None
        assert size(marked) <= LARGEST
        assert len(message["blocks"]) <= 7
        assert 0 < len(message["text"]) <= 300
        assert 0 < len(message["plain"]) <= 4_000


@pytest.mark.parametrize("letter", ["N", "é", "日", "🚀", "&", "<", "*", "_", "ⵣ"])
def test_names_of_500_letters_of_any_script_fit(letter: str) -> None:
    for count in (1, 15, 200):
        message = posted(with_segments(edition(), count, "{} " + letter * 500), "de")

        assert findings([message["corrected"], *message["blocks"]]) == ()
        assert refusal(message) is None
        assert len(message["text"]) <= 300


def test_words_of_any_length_fit() -> None:
    """Even where a user's template, warnings and the lead definition are endless and in escapes."""
    message = short(edition())
    assert message.brief is not None
    endless = "日" * 5_000
    full = replace(
        message.brief,
        title=endless,
        summary=endless,
        sentences=(endless, endless),
        warnings=(endless,) * 9,
        changes=(endless,) * 50,
        facts=((endless, endless),) * 3,
    )

    sent = packed(replace(message, brief=full), test=True)

    assert refusal(sent) is None
    assert [block["type"] for block in sent["blocks"]] == ["header", "section", "context"]
    assert sent["blocks"][-1]["elements"][0]["text"] == "[TEST]"


def test_the_size_is_the_one_that_the_design_expects() -> None:
    sizes = {
        count: size(posted(with_segments(edition(), count))["blocks"]) for count in (4, 15, 200)
    }

    assert sizes[4] < 4_000
    assert sizes[15] < 8_000
    assert sizes[200] < 8_200


# --------------------------------------------------------------------------- what breaks the limits


def header(text: str) -> Json:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def section(text: str, **more: Any) -> Json:  # noqa: ANN401 - fields of a block
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}, **more}


def fields(count: int, letters: int = 1) -> Json:
    one = {"type": "mrkdwn", "text": "x" * letters, "verbatim": True}
    return {"type": "section", "fields": [one] * count}


def table(rows: int = 2, columns: int = 2, text: str = "x") -> Json:
    cell = {"type": "raw_text", "text": text}
    return {"type": "table", "rows": [[cell] * columns] * rows}


VIOLATIONS: dict[str, tuple[list[Json], str]] = {
    "51 blocks": ([section("x")] * 51, "invalid_blocks"),
    "a section of 3,001 letters": ([section("x" * 3_001)], "invalid_blocks"),
    "an empty section": ([section("")], "invalid_blocks"),
    "11 fields": ([fields(11)], "invalid_blocks"),
    "a field of 2,001 letters": ([fields(1, 2_001)], "invalid_blocks"),
    "a header of 151 letters": ([header("x" * 151)], "invalid_blocks"),
    "101 rows": ([table(rows=101)], "invalid_blocks"),
    "21 columns": ([table(columns=21)], "invalid_blocks"),
    "two tables": ([table(), table()], "invalid_attachments"),
    "an empty cell": ([table(text="")], "invalid_blocks"),
    "10,001 letters in a table": ([table(1, 1, "x" * 10_001)], "invalid_blocks"),
    "2 x 7,000 letters of markdown": (
        [{"type": "markdown", "text": "x" * 7_000}] * 2,
        "msg_blocks_too_long",
    ),
    "three charts": ([{"type": "data_visualization", "title": "x"}] * 3, "invalid_blocks"),
    "a block_id twice": ([section("x", block_id="a")] * 2, "invalid_blocks"),
    "an unknown file": (
        [{"type": "image", "alt_text": "x", "slack_file": {"id": "nope"}}],
        "invalid_blocks",
    ),
    "13,500 letters in all": ([section("x" * 2_700)] * 5, "msg_blocks_too_long"),
}


@pytest.mark.failure("S3")
@pytest.mark.parametrize("violation", VIOLATIONS)
def test_what_slack_refuses_is_refused_before(violation: str) -> None:
    blocks, error = VIOLATIONS[violation]

    assert findings(blocks) != ()
    assert (refusal({"text": "x", "blocks": blocks}) or ("taken",))[0] == error


@pytest.mark.parametrize(
    "blocks",
    [
        [section("x" * 3_000)],
        [fields(10)],
        [fields(5, 2_000)],
        [header("x" * 150)],
        [table(rows=100, columns=1)],
        [table(columns=20)],
        [section("x", block_id="a"), section("x", block_id="b")],
    ],
)
def test_what_just_keeps_the_limits_is_let_through(blocks: list[Json]) -> None:
    assert findings(blocks) == ()
    assert refusal({"text": "x", "blocks": blocks}) is None


def test_mrkdwn_without_verbatim_and_texts_of_other_kinds_are_refused() -> None:
    loose = {"type": "section", "text": {"type": "mrkdwn", "text": "see #general"}}
    number = {"type": "table", "rows": [[{"type": "raw_number", "value": 1}]]}

    assert "verbatim" in findings([loose])[0]
    assert "raw_text" in findings([number])[0]
    assert "neither" in findings([{"type": "section"}])[0]
    assert "is missing" in findings([{"type": "header", "text": {"type": "plain_text"}}])[0]
    assert findings([{"type": "context", "elements": []}]) != ()
    assert findings([{"type": "header", "text": "x"}]) != ()


# ------------------------------------------------------------------------------------- hostile names

HOSTILE = (
    "<!channel>",
    "<@U012AB3CD>",
    "<https://evil.example|click here>",
    "&amp;",
    ":boom:",
    "\u202eDLOG\u202c",
    "A\x00\x07\r\nB",
)
CONTROL = re.compile(r"<(?!https://digest\.example/)[^>]*>|<[@#!]")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_a_mention_a_link_or_a_command(name: str) -> None:
    source = with_segments(edition(), 3, name + " {}")
    source = replace(source, title=name, lead_definition=name, calendar=name)

    message = posted(source)

    for text in mrkdwn(message):
        assert not CONTROL.search(text), text
        assert not re.search(r"&(?!amp;|lt;|gt;)", text), text
        assert all(letter.isprintable() or letter in "\n\u00a0\u202f" for letter in text)
    readable = "".join(letter for letter in name if letter.isprintable() and ord(letter) < 0x2000)
    assert "".join(readable.split()) in cells(message)[1][0].replace(" ", "")


def test_a_name_of_nothing_is_still_a_cell() -> None:
    message = posted(with_segments(edition(), 2, "\x00\u202e"))

    assert cells(message)[1][0] == EMPTY


def test_an_address_cannot_end_its_own_link() -> None:
    source = replace(edition(), link="https://digest.example/?a=1&b=<x>|y")

    (link,) = (text for text in mrkdwn(posted(source)) if text.startswith("<"))

    assert link == "<https://digest.example/?a=1&amp;b=%3Cx%3E%7Cy|See all the figures>"


def test_what_stands_for_one_letter_is_never_cut_in_two() -> None:
    whole = short(edition())
    assert whole.brief is not None
    for length in range(285, 305):
        long = replace(whole.brief, summary="x" * length + "&" * 9)
        message = packed(replace(whole, brief=long))

        assert re.fullmatch(r"x+(&amp;)*…?", message["text"])
        assert len(message["text"]) <= 300


def test_only_three_letters_are_escaped() -> None:
    assert escaped("R&D <b> \"x\" 'y' *_~`") == "R&amp;D &lt;b&gt; \"x\" 'y' *_~`"


# --------------------------------------------------------------------------------------- what it says


def test_the_reference_case_reads_as_designed() -> None:
    message = posted(edition())
    kinds = [block["type"] for block in message["blocks"]]
    texts = mrkdwn(message)

    assert kinds == ["header", "section", "section", "section", "table", "section", "context"]
    assert message["blocks"][0]["text"] == {
        "type": "plain_text",
        "text": "Leads June: 55 of 140 - 9 behind plan, 7.1 per workday needed",
        "emoji": False,
    }
    assert message["text"].replace("\u00a0", " ") == (
        "At risk: June stands at 55 of 140 leads, 9 behind plan. "
        "Largest gap: Benelux, 8 behind plan · data as of Mon 15 Jun, 06:02"
    )
    assert "Leads\n*55* of 140 · 39% of the goal" in texts
    assert "Forecast\n*123* 107–141 · chance of goal 11%" in texts
    assert cells(message)[0] == ["Segment", "Status", "Actual", "Expected", "Gap", "Of goal"]
    assert [row[0] for row in cells(message)[1:]] == ["Benelux", "Nordics", "Total"]
    assert message["unfurl_links"] is message["unfurl_media"] is False
    assert not {"link_names", "parse"} & message.keys()


def test_nobody_behind_is_no_table() -> None:
    assert [block["type"] for block in posted(SCENARIOS["on_track"]())["blocks"]].count(
        "table"
    ) == 0


def test_fifteen_rows_are_shown_and_the_rest_is_counted() -> None:
    rows = cells(posted(with_segments(edition(), 27)))

    assert len(rows) == 1 + 15 + 1 + 1
    assert rows[-2][0] == "and 12 more segments"
    assert rows[-1][0] == "Total"


def test_the_segments_that_are_behind_come_before_those_at_risk_and_own_ones_before_both() -> None:
    plain = cells(posted(SCENARIOS["behind"]()))
    mine = packed(render(SCENARIOS["behind"](), segments_first=("Nordics",), chart=False))
    on_track = packed(render(edition(), segments_first=("DACH",), chart=False))

    assert [row[0] for row in plain[1:]] == ["DACH", "Benelux", "UK & Ireland", "Nordics", "Total"]
    assert [row[0] for row in cells(mine)[1:]] == [
        "Nordics",
        "DACH",
        "Benelux",
        "UK & Ireland",
        "Total",
    ]
    assert [row[0] for row in cells(on_track)[1:]] == ["DACH", "Benelux", "Nordics", "Total"]


def test_a_month_close_opens_the_new_month_and_measures_against_the_goal() -> None:
    message = posted(month_close())

    assert cells(message)[0] == ["Segment", "Status", "Actual", "Goal", "Gap", "Of goal"]
    assert any("June 2026 begins: Goal 140" in text for text in mrkdwn(message))


def test_a_test_send_says_so_and_a_real_one_does_not() -> None:
    message = short(edition())
    context = packed(message, test=True)["blocks"][-1]

    assert context["elements"][0]["text"] == "[TEST]"
    assert "[TEST]" in packed(message, test=True)["plain"]
    assert "[TEST]" not in json.dumps(packed(message))


def test_a_post_carries_the_hash_of_its_delivery_and_not_the_delivery() -> None:
    message = posted(edition(), key="leads/2026-06-15/slack/C0LEADS0001")

    assert message["metadata"] == {
        "event_type": "digest_delivery",
        "event_payload": {"key": fingerprint("leads/2026-06-15/slack/C0LEADS0001")},
    }
    assert "C0LEADS0001" not in json.dumps(message)


def test_the_picture_travels_only_where_it_will_be_posted() -> None:
    message = render(edition())

    assert "chart" not in packed(message)
    assert packed(message, form="slack with chart")["chart"]["alt"] == message.images[0].alt
    assert "chart" not in packed(replace(message, images=()), form="slack with chart")


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize(
    "scenario", [name for name in SCENARIOS if name not in ("hostile", "many_segments")]
)
def test_every_number_is_one_of_the_mail(scenario: str, language: str) -> None:
    message = render(SCENARIOS[scenario](), language=language, chart=False)
    chat = packed(message)
    said = [*mrkdwn(chat), *(one["text"] for one in chat["blocks"][-1]["elements"])]
    said += [cell for row in cells(chat) for cell in row] if "table" in json.dumps(chat) else []
    without_links = [re.sub(r"<https[^|]*\|", "", text) for text in said]

    assert numbers(" ".join(without_links)) <= numbers(visible(message.html) + message.subject)
    assert numbers(message.subject) <= numbers(" ".join(said))


def test_a_message_without_a_short_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no short form"):
        packed(replace(short(edition()), brief=None))
