from __future__ import annotations

import pytest

from digest.render import render
from digest.render.lint import findings, mjml_findings, visible
from tests.render.editions import SCENARIOS, edition

CLEAN = render(edition(), chart=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_our_own_mails_are_clean(scenario: str) -> None:
    message = render(SCENARIOS[scenario](), chart=False)  # render refuses a mail with findings

    assert "<script" not in message.html.lower()


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ("<script>alert(1)</script>", "script"),
        ("<SCRIPT src='x'>", "script"),
        ('<p onclick="x()">p</p>', "event attribute"),
        ("<p/onmouseover=x>p</p>", "event attribute"),
        ('<a href="javascript:alert(1)">a</a>', "neither https nor mailto"),
        ('<a href="java&#115;cript:alert(1)">a</a>', "neither https nor mailto"),
        ('<a href="http://a.example">a</a>', "neither https nor mailto"),
        ("<form></form>", "form"),
        ("<iframe></iframe>", "iframe"),
        ("<object></object>", "object"),
        ("<embed>", "embed"),
        ('<meta http-equiv="refresh" content="0;url=https://a.example">', "refresh"),
        ("<svg></svg>", "svg"),
        ('<link rel="stylesheet" href="https://a.example/x.css">', "has a link"),
        ("<style>@import 'x';</style>", "@import"),
        ('<p style="background:url(https://a.example/x.png)">p</p>', "a style loads"),
        ("<style>p{background:url('//a.example/x.png')}</style>", "a style loads"),
        ('<img src="https://a.example/pixel.png" alt="">', "not attached by cid"),
        ('<img src="data:image/png;base64,AA" alt="">', "not attached by cid"),
        ("<p>{{ goal }}</p>", "was not filled"),
        ("<p>{% if %}</p>", "was not filled"),
        ('<table><tr><td class="c num">NaN</td></tr></table>', "a figure reads NaN"),
        ('<table><tr><td class="num">-0</td></tr></table>', "a figure reads -0"),
        ('<table><tr><td class="num">None</td></tr></table>', "a figure reads None"),
        ('<p>x="<script>1</script>"</p>', "script"),
        ("<mj-foo>x</mj-foo>", "engine did not know"),
    ],
)
def test_lint_bites(planted: str, expected: str) -> None:
    spoiled = CLEAN.html.replace("</body>", f"{planted}</body>")

    found = findings(spoiled, CLEAN.text)

    assert any(expected in sentence for sentence in found), found


@pytest.mark.parametrize(
    "harmless",
    [
        "<p>&lt;script&gt; and javascript: and url(http://x) and @import</p>",
        '<p title="onclick=x">only talks of onclick=x</p>',
        '<a href="https://a.example/?a=1&amp;b=2">a</a>',
        '<a href="mailto:a@b.example">a</a>',
        '<table><tr><td class="num">\u22120.5</td></tr></table>',
        '<p title="</mj-text><script>">only looks like a tag</p>',
        "<p>None of these is a figure, nan</p>",
    ],
)
def test_lint_leaves_alone_what_only_looks_bad(harmless: str) -> None:
    assert findings(CLEAN.html.replace("</body>", f"{harmless}</body>"), CLEAN.text) == ()


def test_a_number_that_only_the_text_part_knows_is_found() -> None:
    assert findings(CLEAN.html, CLEAN.text + "\n4711 leads\n") == (
        "the text part has numbers that the HTML lacks: 4711",
    )


def test_names_from_the_source_may_hold_template_marks() -> None:
    named = CLEAN.html.replace("</body>", "<p>{{ 7*7 }}</p></body>")

    assert findings(named, CLEAN.text) != ()
    assert findings(named, CLEAN.text, verbatim=("{{ 7*7 }}",)) == ()


def test_a_mail_that_gmail_would_clip_is_refused() -> None:
    found = findings(CLEAN.html + " x" * 30_000, CLEAN.text)

    assert any("Gmail would clip it" in sentence for sentence in found)


def test_single_quoted_attributes_are_refused_before_the_engine_breaks_them() -> None:
    assert mjml_findings("<mj-image alt='say \"hi\"' />") != ()
    assert mjml_findings("<mj-text font-family=\"'Segoe UI'\">it's</mj-text>") == ()


def test_visible_text_holds_neither_styles_nor_tags() -> None:
    assert visible("<style>p{}</style><p title='>'>a &amp; b</p><!-- c -->").split() == [
        "a",
        "&",
        "b",
    ]
