"""The fleet on a page of the preview: what `digest fleet status` says, in a browser, and nothing changed."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from digest.cli import World, cli
from digest.ledger import Postgres
from tests.fleet.scene import jobs_of, utc_now
from tests.fleet.stage import OPEN_ALL_DAY
from tests.fleet.test_fleet import EVERY_DAY
from tests.preview.conftest import Stage, staged
from tests.test_compose import CONFIG


def a_folder(path: Path, pg: Postgres, *clients: str) -> Path:
    path.mkdir()
    body = CONFIG.partition("\n")[2].replace('subdivision = "ZH"\n', EVERY_DAY)
    (path / "defaults.toml").write_text(f'ledger = "{pg.url}"\n{OPEN_ALL_DAY}{body}')
    for name in clients:
        (path / f"{name}.toml").write_text(f'id = "{name}"\n')
    return path


def opened(path: Path) -> Stage:
    return staged(path, now=utc_now)


def test_the_page_lists_the_clients_by_how_they_stand(tmp_path: Path, pg: Postgres) -> None:
    path = a_folder(tmp_path / "clients", pg, "anna", "bert")
    (path / "zoe.toml").write_text("id = zoe")
    CliRunner().invoke(cli, ["enqueue", str(path)], obj=World(environment={}))
    before = jobs_of(pg)
    stage = opened(path)

    urgent = stage.ask.get("/fleet").text
    due = stage.ask.get("/fleet?state=due").text

    assert "2 clients" in urgent
    assert "zoe.toml, line 1" in urgent
    assert "No client needs a look" in urgent
    assert "in the queue or at work" in due
    assert 'href="/d/anna/history"' in due
    assert 'href="/d/bert/history"' in due
    assert jobs_of(pg) == before


def test_a_state_that_is_none_is_answered_with_those_there_are(
    tmp_path: Path, pg: Postgres
) -> None:
    stage = opened(a_folder(tmp_path / "clients", pg, "anna"))

    answer = stage.ask.get("/fleet?state=lost")

    assert answer.status_code == 422
    assert "unknown, late, broken, held" in answer.text


def test_before_the_first_plan_the_page_says_what_makes_a_fleet(
    tmp_path: Path, pg: Postgres
) -> None:
    stage = opened(a_folder(tmp_path / "clients", pg, "anna"))

    assert "digest enqueue" in stage.ask.get("/fleet").text


def test_digests_of_one_host_have_no_fleet(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(CONFIG)

    assert "are no fleet" in opened(tmp_path / "one.toml").ask.get("/fleet").text
