"""The Adaptive Card: within Teams' size, and no name is read as Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from digest.model import Message, Recipient
from digest.render import PACKERS, render
from digest.render.lint import numbers, visible
from digest.render.teams import LARGEST
from tests.delivery.scene import START
from tests.fakes.teams import mistake
from tests.render.editions import SCENARIOS, edition
from tests.render.test_slack import COUNTS, LOCALES, short, with_segments


def packed(message: Message, *, test: bool = False) -> bytes:
    return PACKERS["teams"](
        message, recipient=Recipient("webhook"), headers=None, key="k", sent_at=START, test=test
    )


def body(message: Message, *, test: bool = False) -> list[dict[str, Any]]:
    card = json.loads(packed(message, test=test))["attachments"][0]["content"]
    return list(card["body"])


def words(element: Any) -> list[str]:  # noqa: ANN401 - any part of a card
    if isinstance(element, list):
        return [word for one in element for word in words(one)]
    if not isinstance(element, dict):
        return []
    own = [element["text"]] if element.get("type") == "TextRun" else []
    return own + [word for value in element.values() for word in words(value)]


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_fits_with_any_number_of_segments(scenario: str, language: str) -> None:
    for count in (None, *COUNTS):
        source = SCENARIOS[scenario]()
        content = packed(short(source if count is None else with_segments(source, count), language))

        assert len(content) <= LARGEST
        assert mistake(content) is None


@pytest.mark.parametrize("letter", ["日", "🚀", "\\", '"'])
def test_names_and_words_of_any_length_fit(letter: str) -> None:
    message = short(with_segments(edition(), 200, "{} " + letter * 500))
    assert message.brief is not None
    endless = letter * 5_000
    full = replace(
        message.brief,
        title=endless,
        sentences=(endless,) * 3,
        warnings=(endless,) * 9,
        changes=(endless,) * 50,
        facts=((endless, endless),) * 3,
    )

    for one in (message, replace(message, brief=full)):
        assert len(packed(one)) <= LARGEST
        assert mistake(packed(one)) is None


def test_no_word_stands_where_markdown_is_read() -> None:
    name = "[click](https://evil.example) **x** <at>all</at>"
    message = short(with_segments(edition(), 2, name + " {}"))

    assert '"TextBlock"' not in packed(message).decode()
    assert any(word.startswith(name) for word in words(body(message)))


def test_rows_that_do_not_fit_are_counted() -> None:
    said = words(body(short(with_segments(edition(), 200))))

    assert any(word.startswith("and 18") and word.endswith("more segments") for word in said)


def test_the_card_says_what_the_mail_says() -> None:
    message = render(edition(), chart=False)
    said = words(body(message))

    assert said[0] == message.subject
    assert "▲ At risk " in said
    assert numbers(" ".join(said)) <= numbers(visible(message.html) + message.subject)
    assert numbers(message.subject) <= numbers(" ".join(said))


def test_a_test_send_says_so() -> None:
    assert "[TEST]" in words(body(short(edition()), test=True))
    assert "[TEST]" not in words(body(short(edition())))


def test_a_message_without_a_short_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no short form"):
        packed(replace(short(edition()), brief=None))
