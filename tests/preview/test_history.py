"""The history: what was sent as it was sent, what is open and how to settle it; looking changes nothing."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from email.parser import BytesParser
from email.policy import default
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from digest.cli import World, cli
from digest.ledger import Planned, RunState, State, delivery_key, open_ledger, read_ledger
from digest.ledger.store import Ledger
from digest.model import Corrects
from digest.preview import desk_of
from digest.preview.address import View
from digest.preview.app import application
from digest.preview.guard import FRAME_POLICY
from digest.settings import Settings, load
from digest.snapshot import edition_from_json, edition_to_json
from tests.preview.conftest import BASE, BUSINESS_DATE, PORT, Stage, clock, staged, wanted

HERE = "/d/demo/history"
DAY = BUSINESS_DATE
HELD, FREE = date(2026, 6, 12), date(2026, 6, 13)
LATER = clock() + timedelta(hours=2)
CORRECTED = "sales@example.com"
WHO = "ana.o'neil@firm.example"
MAIL = (
    b"From: digest@firm.example\r\nTo: ana@firm.example\r\nSubject: Leads June\r\n"
    b"Message-ID: <open-1@firm.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: text/html; charset="utf-8"\r\n\r\n<html><head></head><body><p>55 &amp; 1</p>'
    b"<script>parent.document.title='out'</script></body></html>\r\n"
)
CARD = b'{"text": "Leads <June>", "blocks": []}'


@dataclass(frozen=True)
class Scene:
    """A demo with a past of its own: sent, corrected, held, skipped, and one delivery that is open."""

    config: Path
    settings: Settings
    stage: Stage

    @property
    def ledger(self) -> Path:
        assert isinstance(self.settings.ledger, Path)
        return self.settings.ledger


@pytest.fixture(scope="module")
def scene(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("history") / "it's a demo"
    shutil.copytree(demo.parent, folder)
    config = folder / "digest.toml"
    settings = load(config, environment={})
    _past(open_ledger(settings.ledger, clock=lambda: LATER), settings)
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
        crm.execute(
            "INSERT INTO leads (region, source, qualified_at) VALUES (?, ?, ?)",
            ("DACH", "website", "2026-06-10 09:00:00"),
        )
    return Scene(config, settings, staged(config))


def _past(ledger: Ledger, settings: Settings) -> None:
    ledger.open_run(settings.id, HELD)
    ledger.mark_run(settings.id, HELD, RunState.HELD, "the source gave no numbers")
    ledger.open_run(settings.id, FREE)
    ledger.mark_run(settings.id, FREE, RunState.SKIPPED, "weekend")
    day = date(2026, 6, 11)
    ledger.open_run(settings.id, day)
    keys = {
        (channel, who): delivery_key(settings.id, day, channel, who)
        for channel, who in (("smtp", WHO), ("slack", "C0LEADS"), ("smtp", "bo@firm.example"))
    }
    contents = {"smtp": MAIL, "slack": CARD}
    ledger.plan(
        settings.id, day, [Planned(key, *who, contents[who[0]]) for who, key in keys.items()]
    )
    ends = {
        ("smtp", WHO): (State.UNKNOWN, "no answer after the end of the message"),
        ("slack", "C0LEADS"): (State.SENT, "ok"),
        ("smtp", "bo@firm.example"): (State.REFUSED, "550 5.1.1 no <such> user"),
    }
    for who, (state, words) in ends.items():
        claim = ledger.claim(keys[who])
        assert claim is not None
        assert ledger.commit(claim)
        assert ledger.record(claim, state, words)
    _correction(ledger, settings)


def _correction(ledger: Ledger, settings: Settings) -> None:
    """The edition of the day once more, with one lead fewer than people had read."""
    text = ledger.edition(settings.id, DAY)
    edition = edition_from_json(text or "")
    total = edition.scorecard.total
    card = replace(edition.scorecard, total=replace(total, actual=(total.actual or 0) - 1))
    corrected = replace(edition, scorecard=card, corrects=Corrects(1, LATER, "counted twice", ()))
    ledger.open_run(settings.id, DAY, correction=1)
    ledger.freeze_edition(settings.id, DAY, edition_to_json(corrected), correction=1)
    key = delivery_key(settings.id, DAY, "smtp", CORRECTED, 1)
    ledger.plan(settings.id, DAY, [Planned(key, "smtp", CORRECTED, MAIL)], correction=1)
    claim = ledger.claim(key)
    assert claim is not None
    assert ledger.commit(claim)
    assert ledger.record(claim, State.SENT, "250 ok")
    ledger.mark_run(settings.id, DAY, RunState.DONE, correction=1)


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ").split())


def lines(html: str, name: str) -> list[str]:
    (found,) = re.findall(rf'<table class="{name}[^"]*">(.*?)</table>', html, re.DOTALL)
    return [text_of(row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", found, re.DOTALL)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------ the list


def test_runs_are_listed_with_state_reason_recipients_and_snapshot(scene: Scene) -> None:
    head, *shown = lines(scene.stage.ask.get(HERE).text, "runs")
    reader = read_ledger(scene.ledger)
    assert reader is not None
    snapshot = hashlib.sha256((reader.edition("demo", DAY) or "").encode()).hexdigest()

    assert head == "Edition of State Recipients Changed Sending took Snapshot"
    correction, edition, monday, free, held, opened = shown
    assert correction.startswith("Tue 16 Jun correction 1 done sent: 1 Tue 16 Jun, 09:30")
    assert edition.startswith("Tue 16 Jun done sent: 2 Tue 16 Jun, 07:30")
    assert edition.endswith(snapshot[:12])
    assert monday.startswith("Mon 15 Jun done sent: 2")
    assert free == "Sat 13 Jun no edition weekend nobody Tue 16 Jun, 09:30 – –"
    assert held.startswith("Fri 12 Jun held the source gave no numbers nobody")
    assert opened.startswith("Thu 11 Jun sending refused: 1, sent: 1, unknown: 1")


def test_what_is_open_comes_first_with_commands_that_settle_it(scene: Scene) -> None:
    html = scene.stage.ask.get(HERE).text
    commands = [unescape(one) for one in re.findall(r"command\"[^>]*>([^<]*)</pre>", html)]

    assert html.index("Nobody knows whether these arrived") < html.index('class="runs"')
    assert "no answer after the end of the message" in html
    assert "<open-1@firm.example>" in unescape(html)
    assert [re.findall(r" --(sent|resend|cancel) ", one) for one in commands] == [
        ["sent"],
        ["resend"],
        ["cancel"],
    ]


def test_such_a_command_really_settles_it(scene: Scene, tmp_path: Path) -> None:
    copied = tmp_path / "it's a demo"
    shutil.copytree(scene.config.parent, copied)
    config = copied / "digest.toml"
    html = staged(config).ask.get(HERE).text
    command = unescape(re.findall(r"command\"[^>]*>([^<]*)</pre>", html)[2])

    program, *arguments = shlex.split(command)
    result = CliRunner().invoke(cli, arguments, obj=World(clock=lambda: LATER, environment={}))

    assert program == "digest"
    assert result.exit_code == 0, result.output
    assert "Nobody knows" not in staged(config).ask.get(HERE).text


def test_the_record_of_the_printed_ranges_is_told(scene: Scene) -> None:
    assert "No month has closed yet whose range was printed" in scene.stage.ask.get(HERE).text


# -------------------------------------------------------------------------------------------- one run


def test_one_date_shows_each_delivery_attempt_and_reply(scene: Scene) -> None:
    html = scene.stage.ask.get(f"{HERE}/2026-06-11").text
    _, slack, ana, bo = lines(html, "sent")

    assert "no answer after the end of the message" in ana
    assert "<open-1@firm.example>" in ana
    assert "refused" in bo
    assert "550 5.1.1 no <such> user" in bo
    assert re.search(r"09:30:00–09:30:00 on \S+ · sent ok", slack)
    table = html[html.index('class="sent') :]
    assert WHO not in unescape(table)
    assert "bo@firm.example" not in table


def test_a_date_shows_its_corrections_too(scene: Scene) -> None:
    html = scene.stage.ask.get(f"{HERE}/{DAY}").text

    assert html.index("Correction 1") < html.index("The edition of the day")
    assert "Nobody knows" not in html  # what is open is of another date


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("2026-06-10", "2026-06-11"),
        ("soon", "2026-06-11"),
        ("2026-06-11/1/1", "0"),
        ("2026-06-11/0/9", "1, 2, 3"),
        ("2026-06-11/0/0", "1, 2, 3"),
        ("2026-06-11/0/%20", "1, 2, 3"),
    ],
)
def test_what_is_not_there_answers_with_what_is(scene: Scene, path: str, known: str) -> None:
    answer = scene.stage.ask.get(f"{HERE}/{path}")

    assert answer.status_code == 404
    for one in known.split(", "):
        assert f"<li>{one}</li>" in answer.text


# ------------------------------------------------------------------------------------- what was sent


def numbered(scene: Scene, day: date, correction: int = 0) -> Iterator[tuple[int, bytes]]:
    reader = read_ledger(scene.ledger)
    assert reader is not None
    for n, one in enumerate(reader.deliveries("demo", day, correction=correction), start=1):
        yield n, reader.message(one)


def test_the_frame_shows_the_stored_mail_and_the_download_is_its_bytes(scene: Scene) -> None:
    for n, content in numbered(scene, DAY):
        frame = scene.stage.ask.get(f"{HERE}/{DAY}/0/{n}/frame")
        html = BytesParser(policy=default).parsebytes(content).get_body(("html",))
        assert html is not None
        bare = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "PICTURE", frame.text)
        sent = re.sub(r"cid:[^\"')\s]+", "PICTURE", html.get_content().replace("\r\n", "\n"))

        assert bare == sent
        assert "PICTURE" in bare
        assert frame.headers["content-security-policy"] == FRAME_POLICY
        assert scene.stage.ask.get(f"{HERE}/{DAY}/0/{n}/message").content == content


def test_a_correction_has_bytes_of_its_own(scene: Scene) -> None:
    ((n, content),) = numbered(scene, DAY, correction=1)
    page = scene.stage.ask.get(f"{HERE}/{DAY}/1/{n}")

    assert content == MAIL
    assert "Leads June" in page.text
    assert "55 &amp; 1" in scene.stage.ask.get(f"{HERE}/{DAY}/1/{n}/frame").text
    assert f'src="{HERE}/{DAY}/1/{n}/frame"' in page.text


def test_a_date_with_a_correction_shows_either_by_its_address(scene: Scene) -> None:
    of_date = scene.stage.ask.get(f"{HERE}/{DAY}").text
    first, corrected = (f"/d/demo?date={DAY}{more}" for more in ("", "&amp;correction=1"))
    assert f'href="{first}"' in of_date
    assert f'href="{corrected}"' in of_date
    pages = [scene.stage.ask.get(unescape(address)).text for address in (first, corrected)]
    reader = read_ledger(scene.ledger)
    assert reader is not None
    texts = [reader.edition("demo", DAY, correction=n) or "" for n in (0, 1)]
    actual = [edition_from_json(text).scorecard.total.actual for text in texts]
    told = [
        scene.stage.ask.get(f"/api/d/demo/edition?date={DAY}&correction={n}").json() for n in (0, 1)
    ]

    assert actual[0] != actual[1]
    assert [one["total"]["actual"] for one in told] == actual
    assert "These numbers were corrected later: correction 1." in pages[0]
    assert "Correction sent" in pages[1]
    assert "corrected later" not in pages[1]
    assert '<option value="1" selected>correction 1</option>' in pages[1]
    assert '<option value="1">correction 1</option>' in pages[0]
    # The way to another date leaves the correction behind.
    assert 'rel="prev" href="/d/demo?date=2026-06-15"' in pages[1]


def test_the_frame_of_a_correction_is_what_its_reader_got(scene: Scene) -> None:
    readers = scene.stage.desk.show("demo", View(date=DAY)).readers
    n = next(n for n, one in enumerate(readers, 1) if one.recipient.address == CORRECTED)
    frame = f"/d/demo/frame?date={DAY}&recipient={n}"

    assert "55 &amp; 1" in scene.stage.ask.get(f"{frame}&correction=1").text
    assert "55 &amp; 1" not in scene.stage.ask.get(frame).text


def test_a_correction_that_is_not_there_says_which_are(scene: Scene) -> None:
    answer = scene.stage.ask.get(f"/d/demo?date={DAY}&correction=2")

    assert answer.status_code == 404
    assert "<li>0</li>" in answer.text
    assert "<li>1</li>" in answer.text
    assert scene.stage.ask.get("/d/demo?date=2026-06-15&correction=1").status_code == 404


def test_what_a_chat_got_is_shown_as_text(scene: Scene) -> None:
    page = scene.stage.ask.get(f"{HERE}/2026-06-11/0/1").text

    assert "Leads &lt;June&gt;" in page
    assert "<iframe" not in page


def test_bytes_that_were_purged_leave_their_hash(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.config.parent, tmp_path / "demo")
    config = tmp_path / "demo" / "digest.toml"
    settings = load(config, environment={})
    ledger = open_ledger(settings.ledger, clock=lambda: LATER)
    ledger.purge("demo", messages_before=date(2026, 6, 16), editions_before=date(2026, 1, 1))
    stage = staged(config)

    page = stage.ask.get(f"{HERE}/2026-06-15/0/1")
    assert "its hash is all that is left" in page.text
    assert stage.ask.get(f"{HERE}/2026-06-15/0/1/frame").status_code == 503
    assert stage.ask.get(f"{HERE}/2026-06-15").status_code == 200


# ------------------------------------------------------------------------------------ counted again


def test_counting_again_names_what_came_later_and_each_number_that_moved(scene: Scene) -> None:
    html = scene.stage.ask.get(f"{HERE}/2026-06-15?recompose=1").text
    text = text_of(html)
    reader = read_ledger(scene.ledger)
    assert reader is not None
    before = edition_from_json(
        reader.edition("demo", date(2026, 6, 15)) or ""
    ).scorecard.total.actual

    # The demo changes its past after Monday's edition; the tenth of June got one more lead since.
    assert "Wed 10 Jun, DACH +1" in text
    now = scene.stage.desk.recounted("demo", date(2026, 6, 15)).scorecard.total.actual
    assert now != before
    assert f"Total Actual {before} {now}" in text
    assert re.search(r"\d+ of \d+ figures differ", text)


def test_the_newest_correction_is_what_a_count_of_now_is_held_against(scene: Scene) -> None:
    text = text_of(scene.stage.ask.get(f"{HERE}/{DAY}?recompose=1").text)
    now = scene.stage.desk.recounted("demo", DAY).scorecard.total.actual or 0

    # One lead entered since, and one fewer in the correction than in the edition.
    assert f"Total Actual {now - 2} {now}" in text
    assert "Wed 10 Jun, DACH +1" in text


def test_a_date_without_a_frozen_edition_cannot_be_compared(scene: Scene) -> None:
    html = scene.stage.ask.get(f"{HERE}/{HELD}?recompose=1").text

    assert "nothing was frozen for this date" in html


# ------------------------------------------------------------------------------- only looking


def test_nothing_here_changes_the_ledger(scene: Scene) -> None:
    before = sha256(scene.ledger)
    seen, waiting = set[str](), [HERE]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = scene.stage.ask.get(path)
        assert answer.status_code == 200, path
        for target in re.findall(rf'(?:href|src)="({HERE}[^"#]*)', answer.text):
            target = unescape(target)  # noqa: PLW2901 - the same address, as a browser reads it
            if target not in seen:
                waiting.append(target)
    assert len(seen) > 20
    assert any("recompose=1" in path for path in seen)
    assert sha256(scene.ledger) == before


def test_no_page_of_it_has_a_form_that_acts(scene: Scene) -> None:
    for path in (HERE, f"{HERE}/2026-06-11", f"{HERE}/2026-06-11/0/1"):
        html = scene.stage.ask.get(path).text
        assert set(re.findall(r"<form[^>]*method=\"(\w+)\"", html)) <= {"get"}
        answer = scene.stage.ask.post(path, headers={"origin": BASE})
        assert answer.status_code == 405
    assert not re.search(r"<button[^>]*>(?!Show)", scene.stage.ask.get(HERE).text)


def test_without_a_ledger_or_settings_it_says_what_is_not_there(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo.parent, tmp_path / "demo")
    for file in (tmp_path / "demo").glob("*ledger*"):
        file.unlink()
    fresh = staged(tmp_path / "demo" / "digest.toml")

    assert "there is no ledger at" in fresh.ask.get(HERE).text
    assert "never sent" in staged().ask.get("/d/samples/history").text
    assert "never sent" in fresh.ask.get(f"{HERE}/2026-06-11?scenario=behind").text
    assert fresh.ask.get(f"{HERE}/2026-06-11/0/1/frame").status_code == 404


def test_where_recipients_are_left_out_nothing_names_them(scene: Scene) -> None:
    desk = desk_of(wanted(scene.config), anonymous=True)
    app, door = application(desk, port=PORT)
    ask = TestClient(app, base_url=BASE)
    ask.get(door.address)

    for path in (HERE, f"{HERE}/2026-06-11", f"{HERE}/2026-06-11/0/2?masked=0"):
        html = unescape(ask.get(path).text)
        assert "ana.o" not in html
        assert "digest resolve" not in html
    assert "Nobody knows whether these arrived" in ask.get(HERE).text
    assert ask.get(f"{HERE}/2026-06-11/0/2/message").status_code == 404
    assert ask.get(f"{HERE}/2026-06-11/0/2/frame").status_code == 200


@pytest.mark.parametrize("query", ["recompose=yes", "recompose=1&recompose=0"])
def test_a_wish_that_is_none_is_refused(scene: Scene, query: str) -> None:
    answer = scene.stage.ask.get(f"{HERE}/{DAY}?{query}")

    assert answer.status_code == 422
    assert "0, 1" in answer.text


def test_a_ledger_that_is_damaged_is_told_not_shown(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo.parent, tmp_path / "demo")
    config = tmp_path / "demo" / "digest.toml"
    ledger = load(config, environment={}).ledger
    assert isinstance(ledger, Path)
    stage = staged(config)
    ledger.write_bytes(b"not a ledger" * 500)

    answer = stage.ask.get(HERE)
    assert answer.status_code == 503
    assert ledger.name in answer.text


def test_the_printed_ranges_of_closed_months_are_listed(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo.parent, tmp_path / "demo")
    config = tmp_path / "demo" / "digest.toml"
    settings = load(config, environment={})
    stage = staged(config)
    ledger = open_ledger(settings.ledger, clock=lambda: LATER)
    for day in (date(2026, 5, 18), date(2026, 5, 19), date(2026, 6, 1)):
        edition = stage.desk.recounted("demo", day)
        if edition.closed:
            edition = replace(edition, closed=replace(edition.closed, forecast_held=True))
        _send(ledger, day, edition_to_json(edition))

    text = text_of(staged(config).ask.get(HERE).text)
    end = stage.desk.recounted("demo", date(2026, 6, 1)).closed
    assert end is not None
    assert re.search(rf"May 2026 \d+ \d+–\d+ {end.bridge.actual} yes", text)


def _send(ledger: Ledger, day: date, text: str) -> None:
    ledger.open_run("demo", day)
    ledger.freeze_edition("demo", day, text)
    key = delivery_key("demo", day, "smtp", "bo@firm.example")
    ledger.plan("demo", day, [Planned(key, "smtp", "bo@firm.example", MAIL)])
    claim = ledger.claim(key)
    assert claim is not None
    assert ledger.commit(claim)
    assert ledger.record(claim, State.SENT, "250 ok")
