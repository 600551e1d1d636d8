"""The page of checks, and `digest check`: the same remarks, each with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

from starlette.testclient import TestClient

from digest import check
from digest.preview.app import application
from digest.resources import templates_folder
from digest.settings import load
from tests.preview.conftest import BASE, PORT, Stage
from tests.preview.workshop import DAY_AFTER, change, copied, day_after, files_behind


def browser(config: Path) -> TestClient:
    files = files_behind(config)
    app, door = application(files.desk, port=PORT, files=files.files)
    ask = TestClient(app, base_url=BASE, follow_redirects=False)
    ask.get(door.address)
    return ask


def with_piece(demo: Path, folder: Path, piece: str) -> Path:
    """Copy the demo with a template of its own that says one thing more."""
    config = copied(demo, folder)
    own = config.parent / "templates" / "parts"
    own.mkdir()
    verdict = own / "verdict.mjml"
    shutil.copy(templates_folder() / "parts" / "verdict.mjml", verdict)
    change(verdict, "</mj-column>", f"{piece}</mj-column>")
    return config


def spoiled(demo: Path, folder: Path) -> Path:
    piece = '<mj-text color="#cccccc">Pale, <a href="https://a.example">here</a></mj-text>'
    return with_piece(demo, folder, piece)


def test_our_own_mail_has_nothing_but_notes(stage: Stage) -> None:
    text = stage.ask.get("/d/demo/lint").text

    assert "0 errors" in text
    assert "0 warnings" in text
    assert "bytes of HTML" in text


def test_a_remark_leads_to_its_line(demo: Path, tmp_path: Path) -> None:
    ask = browser(spoiled(demo, tmp_path / "own"))
    text = ask.get("/d/demo/lint").text

    assert "the link says &#39;here&#39;" in text
    assert "#cccccc on #ffffff has a contrast of 1.6" in text
    anchor = text.split('href="/d/demo?tab=source#', 1)[1].split('"', 1)[0]
    assert f'id="{anchor}"' in ask.get("/d/demo?tab=source").text


def test_only_a_known_mail_program_can_be_asked_about(stage: Stage) -> None:
    assert stage.ask.get("/d/demo/lint?client=Gmail").status_code == 200
    answer = stage.ask.get("/d/demo/lint?client=Lotus")

    assert answer.status_code == 422
    assert "Gmail, Outlook for Windows, Apple Mail" in answer.text


def test_a_mail_that_is_refused_says_why(demo: Path, tmp_path: Path) -> None:
    piece = '<mj-text><a href="/relative">The leads</a></mj-text>'
    config = with_piece(demo, tmp_path / "own", piece)

    text = browser(config).get("/d/demo/lint").text

    assert "href is neither https nor mailto: /relative" in text
    assert "1 error" in text


def test_a_number_without_a_figure_is_an_error_here_and_in_digest_check(
    demo: Path, tmp_path: Path
) -> None:
    config = with_piece(demo, tmp_path / "own", "<mj-text>We owe 4711 leads.</mj-text>")
    text = browser(config).get("/d/demo/lint").text
    findings = check.run(load(config, environment={}), now=day_after(), business_date=DAY_AFTER)

    assert "no figure stands behind the number 4711" in text
    assert "1 error" in text
    errors = [one.text for one in findings if one.level == "error" and one.subject == "templates"]
    assert len(errors) == 1
    assert "no figure stands behind the number 4711" in errors[0]


def test_digest_check_says_the_same_of_the_users_templates(demo: Path, tmp_path: Path) -> None:
    settings = load(spoiled(demo, tmp_path / "own"), environment={})

    found = [
        finding
        for finding in check.run(settings, now=day_after(), business_date=DAY_AFTER)
        if finding.subject == "templates" and finding.level != "ok"
    ]

    assert {finding.level for finding in found} == {"warning"}
    assert any("has a contrast of 1.6" in finding.text for finding in found)
    assert any("the link says 'here'" in finding.text for finding in found)
