"""The edition's own page: the bytes that are sent, every way to see them, and what an address may say."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from digest.demo import morning
from digest.ledger import read_ledger
from digest.preview.frame import as_dark_author, as_dark_forced, with_pictures, without_pictures
from digest.render.locales import languages
from digest.resources import templates_folder
from digest.scenarios import SCENARIOS
from digest.settings import load
from tests.preview.conftest import BUSINESS_DATE, Stage, clock, staged
from tests.preview.workshop import copied, day_after

FAR = 'href="/d/demo?date='


def sent(config: Path) -> bytes:
    settings = load(config, environment={})
    reader = read_ledger(settings.ledger)
    assert reader is not None
    mine = reader.deliveries(settings.id, BUSINESS_DATE)[0]
    return reader.message(mine)


def part(content: bytes, kind: str) -> str:
    parsed: Any = BytesParser(policy=default).parsebytes(content)
    text: str = parsed.get_body((kind,)).get_content()
    return text.replace("\r\n", "\n")


HOSTILE = "{{ ('a' * 1200000000)|length }}"  # more memory than a template may have


def test_the_source_of_a_hostile_template_ends_in_the_overlay(demo: Path, tmp_path: Path) -> None:
    config = copied(demo, tmp_path / "own")
    stage = staged(config, now=day_after)
    own = config.parent / "templates" / "parts" / "verdict.mjml"
    own.parent.mkdir()
    built_in = (templates_folder() / "parts" / "verdict.mjml").read_text(encoding="utf-8")
    own.write_text(f"<!-- Words of before -->{built_in}", encoding="utf-8")
    assert "Words of before" in stage.ask.get("/d/demo?tab=source").text

    own.write_text(f"<!-- Words of after -->{HOSTILE}{built_in}", encoding="utf-8")
    stage.desk.forget_messages()
    answer = stage.ask.get("/d/demo?tab=source")

    assert answer.status_code == 200
    assert "needed more than 1 GB of memory" in answer.text
    assert "Words of before" in answer.text  # the last good one stays
    assert "Words of after" not in answer.text


def test_the_source_is_that_of_the_mail_with_its_picture(stage: Stage) -> None:
    shown = html.unescape(stage.ask.get("/d/demo?tab=source").text)
    before, after = shown.split("<mjml", 1)

    assert "<!doctype html>" in before
    assert 'src="cid:waterfall@digest"' in after
    assert "{{" not in after


def test_the_frame_of_a_sent_edition_holds_the_very_bytes(stage: Stage, demo: Path) -> None:
    shown = stage.ask.get("/d/demo/frame").text
    pictures = re.findall(r"data:image/png;base64,[A-Za-z0-9+/=]+", shown)
    plain = shown
    for picture in pictures:
        plain = plain.replace(picture, "cid:waterfall@digest")

    assert len(pictures) == 1
    assert plain == part(sent(demo), "html")


def test_the_download_is_what_was_sent(stage: Stage, demo: Path) -> None:
    answer = stage.ask.get("/d/demo/message.eml")

    assert answer.content == sent(demo)
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == f'attachment; filename="{BUSINESS_DATE}.eml"'


def test_the_text_tab_shows_the_text_part(stage: Stage, demo: Path) -> None:
    page = stage.ask.get("/d/demo?tab=text").text
    found = re.search(r'<pre class="mono"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found is not None
    shown = html.unescape(re.sub(r"<[^>]*>", "", found[1]))

    assert shown.split() == part(sent(demo), "plain").split()


@pytest.mark.parametrize("language", languages())
def test_another_language_is_rendered_from_the_same_edition(stage: Stage, language: str) -> None:
    frame = stage.ask.get(f"/d/demo/frame?locale={language}").text

    assert f'lang="{language}"' in frame


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_shown_in_every_form(stage: Stage, scenario: str) -> None:
    for tab in ("email", "text", "slack", "teams", "headers", "source"):
        answer = stage.ask.get(f"/d/demo?scenario={scenario}&tab={tab}")
        assert answer.status_code == 200, (tab, answer.text[:300])
        assert "{{" not in answer.text or scenario == "hostile-names"
        # Only what nobody has drawn yet stands there as it travels.
        drawn = answer.text.partition('<div class="chat">')[2].partition("<details>")[0]
        assert "<pre" not in drawn
        assert bool(drawn) == (tab in ("slack", "teams"))
    assert stage.ask.get(f"/d/demo/frame?scenario={scenario}").status_code == 200


def test_a_day_when_all_sources_failed_shows_the_last_edition_and_why(stage: Stage) -> None:
    page = html.unescape(stage.ask.get("/d/demo?scenario=all-failed").text)

    assert "no answer to the count within 30 s" in page
    assert "Below is the last edition that was sent" in page


def test_a_sent_edition_says_when_and_to_how_many(stage: Stage) -> None:
    assert "Sent Tue\N{NO-BREAK SPACE}16\N{NO-BREAK SPACE}Jun, 07:30 to 2 of 2" in html.unescape(
        stage.ask.get("/d/demo").text
    )


def test_a_free_day_says_why_and_offers_the_neighbours(stage: Stage) -> None:
    page = stage.ask.get("/d/demo?date=2026-06-20").text

    assert "Reason: weekend" in page
    assert FAR + "2026-06-19" in page
    assert FAR + "2026-06-22" in page
    assert "Ascension Day" in stage.ask.get("/d/demo?date=2026-05-14").text


def test_a_day_to_come_is_shown_with_the_leads_so_far(stage: Stage) -> None:
    answer = stage.ask.get("/d/demo?date=2026-06-19")

    assert answer.status_code == 200
    assert "is still to come" in answer.text


def test_a_day_that_was_never_sent_is_recounted(stage: Stage) -> None:
    assert "recounted" in stage.ask.get("/d/demo?date=2026-06-10").text


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("/d/demo?date=yesterday", "a date like 2026-06-15"),
        ("/d/demo?locale=rm", "en, de, de-CH, fr, it"),
        ("/d/demo?scenario=x", "on-track"),
        ("/d/demo?tab=pdf", "email, text, slack, teams, headers, source"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_allowed(
    stage: Stage, address: str, allowed: str
) -> None:
    answer = stage.ask.get(address)

    assert answer.status_code == 422
    assert allowed in html.unescape(answer.text)


def test_what_is_not_there_is_answered_with_what_is(stage: Stage) -> None:
    assert "demo" in stage.ask.get("/d/other").text
    assert stage.ask.get("/d/other").status_code == 404
    assert stage.ask.get("/d/demo?recipient=3").status_code == 404


def test_a_page_that_is_not_there_links_to_those_there_are(stage: Stage) -> None:
    nowhere = stage.ask.get("/nothing")
    of_a_digest = stage.ask.get("/d/demo/sla?ui=de")
    of_nobody = stage.ask.get("/d/other/sla")

    assert {one.status_code for one in (nowhere, of_a_digest, of_nobody)} == {404}
    assert '<li><a href="/d/demo">demo</a></li>' in nowhere.text
    assert '<li><a href="/d/demo/worksheet">Arbeitsblatt</a></li>' in of_a_digest.text
    assert "„/d/demo/sla“" in of_a_digest.text
    assert '<li><a href="/d/demo">demo</a></li>' in of_nobody.text
    assert "/d/other/month" not in of_nobody.text + stage.ask.get("/d/other").text


def test_a_wrong_method_says_which_is_right(stage: Stage) -> None:
    answer = stage.ask.request("DELETE", "/d/demo", headers={"origin": "http://127.0.0.1:8765"})

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def test_recipients_are_masked_unless_asked(stage: Stage) -> None:
    hidden = stage.ask.get("/d/demo?tab=headers").text
    shown = stage.ask.get("/d/demo?tab=headers&masked=0").text

    assert "marketing@example.com" not in hidden
    assert "marketing@example.com" in shown


def test_slack_counts_its_blocks_and_shows_its_own_json(stage: Stage) -> None:
    page = html.unescape(stage.ask.get("/d/demo?tab=slack").text)
    found = re.search(r"<pre[^>]*>(\{.*?\})</pre>", page, re.DOTALL)
    assert found is not None
    blocks = len(json.loads(found[1])["blocks"])

    assert f"{blocks} of 50 blocks" in page


def test_hostile_words_stay_words(stage: Stage) -> None:
    for tab in ("email", "text", "slack", "teams", "headers", "source"):
        page = stage.ask.get(f"/d/demo?scenario=hostile-names&tab={tab}").text
        assert "<x>" not in page
        assert "<script" not in page.replace('<script src="/static/preview.js" defer></script>', "")


# ------------------------------------------------------------------------------------- side by side


def frames(page: str) -> list[str]:
    return [
        html.unescape(src) for src in re.findall(r'<iframe id="[^"]*"[^>]* src="([^"]*)"', page)
    ]


def test_two_languages_and_two_dates_stand_side_by_side(stage: Stage) -> None:
    languages = stage.ask.get("/d/demo?compare=locale:fr&dark=author").text
    dates = stage.ask.get("/d/demo?compare=date:2026-06-15").text

    assert frames(languages) == [
        "/d/demo/frame?dark=author",
        "/d/demo/frame?locale=fr&dark=author",
    ]
    assert frames(dates) == ["/d/demo/frame", "/d/demo/frame?date=2026-06-15"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", dates) == [
        "Tuesday, 16 June 2026 · en",
        "Monday, 15 June 2026 · en",
    ]
    assert '<option value="locale:fr" selected>' in languages
    assert frames(stage.ask.get("/d/demo?compare=").text) == ["/d/demo/frame"]


def test_a_comparison_with_a_day_without_an_edition_says_why(stage: Stage) -> None:
    page = html.unescape(stage.ask.get("/d/demo?compare=date:2026-06-14").text)

    assert frames(page) == ["/d/demo/frame"]
    assert "No edition on Sunday, 14 June 2026: weekend" in page


def test_a_comparison_that_there_is_not_says_what_there_is(stage: Stage) -> None:
    answer = stage.ask.get("/d/demo?compare=locale:es")

    assert answer.status_code == 422
    assert "de-CH" in answer.text
    assert stage.ask.get("/d/demo?compare=correction:4").status_code == 404


# ------------------------------------------------------------------------------------ ways to see it

MAIL = (
    '<html><head><meta name="color-scheme" content="light dark"><style>:root{color-scheme:light dark}'
    "@media (prefers-color-scheme: dark){body{color:#fff}}</style></head>"
    '<body><img src="cid:a@b" alt="A chart"><img alt="L" src="cid:l@b"></body></html>'
)


def test_dark_as_the_author_means_it_needs_no_setting_of_the_browser() -> None:
    dark = as_dark_author(MAIL)

    assert "prefers-color-scheme" not in dark
    assert "@media all{body{color:#fff}}" in dark
    assert 'content="dark"' in dark
    assert "color-scheme:dark" in dark


def test_dark_by_force_inverts_the_page_and_leaves_the_pictures() -> None:
    assert "filter:invert(1)" in as_dark_forced(MAIL)
    assert as_dark_forced(MAIL).replace(as_dark_forced("</head>")[:-7], "") == MAIL


def test_without_pictures_their_words_are_left() -> None:
    bare = without_pictures(MAIL)

    assert "cid:" not in bare
    assert bare.count('src=""') == 2
    assert 'alt="A chart"' in bare


def test_a_picture_that_is_not_attached_stays_as_it_is() -> None:
    assert with_pictures(MAIL, ()) == MAIL


# ------------------------------------------------------------------------------------------- sources


def test_a_source_that_fails_shows_the_last_edition_with_its_age_and_the_error(
    demo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in demo.parent.iterdir():
        if path.is_file() and path.name != "crm.sqlite":
            (folder / path.name).write_bytes(path.read_bytes())
    next_day = BUSINESS_DATE + timedelta(days=1)
    broken = staged(folder / demo.name, now=lambda: morning(next_day).astimezone(UTC))

    page = html.unescape(broken.ask.get("/d/demo").text)

    assert "crm.sqlite" in page
    assert "Below is the last edition that was sent, counted Tue" in page
    assert broken.ask.get("/d/demo/frame").status_code == 200


def test_without_any_edition_the_error_has_a_page(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for name in ("digest.toml", "sla.xlsx"):
        (folder / name).write_bytes((demo.parent / name).read_bytes())
    broken = staged(folder / "digest.toml")

    answer = broken.ask.get("/d/demo")

    assert answer.status_code == 503
    assert "crm.sqlite" in answer.text


def test_offline_asks_nobody(demo: Path) -> None:
    stage = staged(demo)
    stage.desk.offline = True
    stage.desk.put([load(demo, environment={})])

    def later() -> datetime:
        return clock() + timedelta(days=1)

    stage.desk.clock = later
    fresh = staged(demo, now=later)
    fresh.desk._subjects["demo"].answers.offline = True

    assert "runs offline" in fresh.ask.get("/d/demo").text
