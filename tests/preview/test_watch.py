"""Files behind the pages: a save is one version, a broken file keeps what it said, no source is asked."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from digest.preview.address import View
from digest.preview.app import application
from digest.preview.watch import Files, Versions, Watcher, events
from digest.worksheet import load_plan, write_new
from tests.preview.conftest import BASE, PORT
from tests.preview.workshop import change, copied, files_behind

TITLE = 'title = "Example Ltd"'


@pytest.fixture
def config(demo: Path, tmp_path: Path) -> Path:
    return copied(demo, tmp_path / "own")


@pytest.fixture
def files(config: Path) -> Files:
    return files_behind(config)


def title(files: Files) -> str:
    return files.desk.show("demo", View()).title


def subject(files: Files) -> str:
    return files.desk.mail(files.desk.show("demo", View())).subject


def later(path: Path, text: str) -> None:
    """Write a file as an editor does some time after the last save."""
    path.write_text(text, encoding="utf-8")
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))


def test_nothing_has_changed_until_something_has(files: Files, config: Path) -> None:
    assert not files.take()

    change(config, TITLE, 'title = "Example AG"')

    assert files.take()
    assert title(files) == "Example AG"
    assert not files.take()


def test_a_template_that_appears_changes_and_goes_is_seen_each_time(
    files: Files, config: Path
) -> None:
    own = config.parent / "templates" / "digest.subject.txt"
    first = subject(files)
    seen = []
    for text in ("one {{ title }}", "two {{ title }}"):
        later(own, text)
        assert files.take()
        seen.append(subject(files))
    own.unlink()
    assert files.take()

    assert seen == ["one Example Ltd", "two Example Ltd"]
    assert subject(files) == first


def test_a_changed_worksheet_changes_the_goals(files: Files, config: Path) -> None:
    sheet = config.parent / "sla.xlsx"
    before = files.desk.show("demo", View()).edition.scorecard.total.goal
    plan = load_plan(sheet)
    doubled = tuple(replace(goal, amount=2 * goal.amount) for goal in plan.revenue_goals)
    write_new(
        sheet,
        language="en",
        currency="CHF",
        year=2025,
        start_month=10,
        plan=replace(plan, revenue_goals=doubled),
        overwrite=True,
    )

    assert files.take()
    assert before == 651
    assert (
        files.desk.show("demo", View()).edition.scorecard.total.goal == 1301
    )  # not 1302: each is rounded up


def test_what_the_sources_answered_serves_after_a_reload(files: Files, config: Path) -> None:
    before = files.desk.show("demo", View())
    (config.parent / "crm.sqlite").unlink()  # whoever asks it again fails
    change(config, TITLE, 'title = "Example AG"')
    files.take()

    after = files.desk.show("demo", View())

    assert after.title == "Example AG"
    assert after.edition.counts == before.edition.counts
    assert not after.older


def test_a_changed_question_marks_the_view_and_asks_nothing(files: Files, config: Path) -> None:
    before = files.desk.show("demo", View())
    (config.parent / "crm.sqlite").unlink()
    change(config, 'op = "=", value = 0', 'op = "=", value = 1')
    files.take()

    after = files.desk.show("demo", View())

    assert after.older
    assert after.edition == before.edition

    change(config, 'op = "=", value = 1', 'op = "=", value = 0')
    files.take()

    assert not files.desk.show("demo", View()).older


def test_a_broken_file_keeps_what_it_said_and_is_told(files: Files, config: Path) -> None:
    change(config, TITLE, "title = ")
    files.take()

    assert title(files) == "Example Ltd"
    (error,) = files.desk.broken_of("demo")
    assert str(error).startswith(f"{config}, line 6, column 9: this is not TOML: invalid value;")

    change(config, "title = ", 'title = "Mended"')
    files.take()

    assert title(files) == "Mended"
    assert files.desk.broken_of("demo") == ()


def test_a_view_that_was_older_stays_so_while_the_file_is_broken(
    files: Files, config: Path
) -> None:
    files.desk.show("demo", View())
    change(config, 'op = "=", value = 0', 'op = "=", value = 1')
    files.take()
    change(config, TITLE, "title = ")
    files.take()

    assert files.desk.show("demo", View()).older


def test_a_file_broken_at_start_is_read_once_it_is_mended(config: Path) -> None:
    change(config, TITLE, "titel = 1")
    files = files_behind(config)
    assert files.desk.digests == ("samples",)
    assert "did you mean 'title'?" in str(files.desk.broken_of(None)[0])

    change(config, "titel = 1", TITLE)

    assert files.take()
    assert files.desk.digests == ("demo",)


def test_a_broken_worksheet_of_a_broken_start_is_watched(config: Path) -> None:
    sheet = config.parent / "sla.xlsx"
    good = sheet.read_bytes()
    sheet.write_bytes(b"no workbook")
    files = files_behind(config)
    assert "sla.xlsx" in str(files.desk.broken_of(None)[0])

    sheet.write_bytes(good)

    assert files.take()
    assert files.desk.broken_of(None) == ()


def test_a_broken_template_keeps_the_last_good_mail(files: Files, config: Path) -> None:
    own = config.parent / "templates" / "digest.subject.txt"
    good = subject(files)
    own.write_text("{{ unknown }}", encoding="utf-8")
    files.take()

    mail, trouble = files.desk.last_good(files.desk.show("demo", View()))

    assert mail.subject == good
    assert str(trouble).startswith(f"{own}, line 1: 'unknown' is undefined")


def test_a_file_that_joins_or_leaves_a_folder_is_seen(config: Path) -> None:
    files = files_behind(config.parent)
    other = config.with_name("other.toml")
    text = config.read_text(encoding="utf-8")
    other.write_text(text.replace('id = "demo"', 'id = "other"'), encoding="utf-8")

    assert files.take()
    assert set(files.desk.digests) == {"demo", "other"}

    other.unlink()

    assert files.take()
    assert files.desk.digests == ("demo",)


# ------------------------------------------------------------------------------- ways of writing


@pytest.fixture
def watched(files: Files) -> Iterator[Files]:
    files.desk.show("demo", View())
    with Watcher(files):
        time.sleep(0.3)  # the system's watch stands
        yield files


def written(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def renamed(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.swp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def deleted_and_recreated(path: Path, text: str) -> None:
    path.unlink()
    time.sleep(0.1)
    path.write_text(text, encoding="utf-8")


def saved_twice(path: Path, text: str) -> None:
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    time.sleep(0.03)
    path.write_text(text, encoding="utf-8")


def moved_aside(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "save", [written, renamed, deleted_and_recreated, saved_twice, moved_aside]
)
def test_however_an_editor_writes_it_is_one_version(
    watched: Files, config: Path, save: Callable[[Path, str], None]
) -> None:
    before = watched.versions()
    text = config.read_text(encoding="utf-8").replace("Example Ltd", "Example AG")

    began = time.monotonic()
    save(config, text)
    took = time.monotonic() - began

    ends = time.monotonic() + 5
    while title(watched) != "Example AG" and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.5)
    assert title(watched) == "Example AG"
    # On a busy machine the second save may come when the pause that makes two of them is over.
    late = save is saved_twice and took > 0.05
    assert watched.versions() - before in ((1, 2) if late else (1,))
    assert watched.desk.broken == ()


def test_the_ledger_beside_the_settings_is_no_reload(watched: Files, config: Path) -> None:
    before = watched.versions()

    (config.parent / "ledger.sqlite-shm").write_bytes(b"x")
    time.sleep(0.4)

    assert watched.versions() == before


# --------------------------------------------------------------------------------------- events


def test_open_pages_are_told_each_version(files: Files) -> None:
    versions = Versions()
    app, door = application(files.desk, port=PORT, version=versions, more=[events(versions)])
    ask = TestClient(app, base_url=BASE, follow_redirects=False)
    assert ask.get("/events").status_code == 401
    ask.get(door.address)
    assert ask.get("/events", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    first = versions()
    told: list[str] = []

    change_of_a_file = threading.Thread(target=versions.advance)
    versions.ended = lambda: len(told) == 2

    async def listen() -> None:
        async for event in versions.stream(seconds=60):
            told.append(event)
            if len(told) == 1:
                change_of_a_file.start()

    asyncio.run(listen())
    change_of_a_file.join()

    assert [event.splitlines()[-2] for event in told] == [f"data: {first}", f"data: {first + 1}"]
    assert versions._waiting == {}


def test_a_version_of_an_earlier_start_is_no_version_of_this_one() -> None:
    assert Versions()() != Versions()()
