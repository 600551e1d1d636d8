"""The journal: a closed list of words, one line each, nothing in it that steers a terminal or is secret."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest import delivery
from digest.errors import Reason
from digest.heartbeat import run_id
from digest.journal import (
    EVENTS,
    LOUD,
    Journal,
    Redactor,
    hashed,
    listen_to_libraries,
    secrets_in,
)
from digest.model import Secret
from tests.fakes.smtp import Fault
from tests.operation.scene import MONDAY, TEAM, a_stage, at, source_error

FIELDS = {
    "ts",
    "level",
    "event",
    "digest",
    "date",
    "run",
    "attempt",
    "channel",
    "recipient",
    "state",
}
FIELDS |= {"ms", "host", "pid", "text"}


@dataclass
class Paper:
    lines: list[str] = field(default_factory=list)

    def journal(self, **changes: object) -> Journal:
        given: dict[str, object] = {
            "write": self.lines.append,
            "clock": lambda: at(7, 31),
            "host": "host-a",
            "pid": 7,
            "steps": True,
        }
        return Journal(**{**given, **changes})  # type: ignore[arg-type]  # the keywords of a Journal


def test_each_step_of_a_send_is_one_line_of_json(tmp_path: Path) -> None:
    faults = (Fault("RCPT", "550 no", TEAM[0]), Fault("reply", "drop", TEAM[1]))
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.call(at(7, 31))

        lines = [json.loads(line) for line in stage.lines]
        assert [(line["event"], line.get("recipient")) for line in lines] == [
            ("planned", None),
            ("collected", None),
            ("rendered", None),
            ("claimed", hashed(TEAM[0])),
            ("refused", hashed(TEAM[0])),
            ("claimed", hashed(TEAM[1])),
            ("committing", hashed(TEAM[1])),
            ("unknown", hashed(TEAM[1])),
            ("claimed", hashed(TEAM[2])),
            ("committing", hashed(TEAM[2])),
            ("sent", hashed(TEAM[2])),
        ]
        last = lines[-1]
        assert set(last) == FIELDS - {"text"}
        assert {name: last[name] for name in ("level", "digest", "date", "attempt", "channel")} == {
            "level": "info",
            "digest": "leads",
            "date": "2026-06-15",
            "attempt": 1,
            "channel": "smtp",
        }
        assert (last["ts"], last["host"], last["pid"]) == ("2026-06-15T05:31:00.000Z", "host-a", 1)
        assert last["run"] == str(run_id("leads", MONDAY))
        assert lines[7]["level"] == "error"
        assert not any(name in line for line in stage.lines for name in TEAM)


def test_what_holds_skips_or_ends_an_edition_is_a_line_too(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(9, 0, day=MONDAY.replace(day=14)))
        stage.source(source_error(Reason.TRANSIENT))
        stage.call(at(7, 31))
        stage.call(at(12, 0))

        events = [json.loads(line)["event"] for line in stage.lines]
        assert events == ["skipped", "planned", "held", "expired"]


def test_the_words_of_the_journal_are_a_closed_list() -> None:
    assert (
        *("planned", "skipped", "collected", "held", "rendered", "claimed", "committing", "sent"),
        *("refused", "deferred", "unknown", "expired", "resolved", "reaped", "message"),
    ) == EVENTS
    assert set(delivery.EVENTS) < set(EVENTS)
    with pytest.raises(ValueError, match="'lost' is no event"):
        Paper().journal().line("lost", {})


def test_a_person_reads_a_line_and_a_machine_an_object() -> None:
    paper = Paper()
    paper.journal().of("leads", MONDAY, "r1").step("planned")
    paper.journal(as_json=True).message("warning", "careful")

    assert paper.lines[0] == "05:31:00.000Z planned    leads 2026-06-15 +0 ms"
    assert json.loads(paper.lines[1])["text"] == "careful"


def test_without_verbose_only_messages_are_written() -> None:
    paper = Paper()
    journal = paper.journal(steps=False)
    journal.of("leads", MONDAY, "r1").step("planned")
    journal.message("warning", "careful")

    assert paper.lines == ["warning: careful"]


@given(st.text())
def test_no_text_breaks_a_line_or_steers_a_terminal(text: str) -> None:
    paper = Paper()
    paper.journal(redact=str).message("info", text)
    paper.journal(redact=str, as_json=True).message("info", text)
    paper.journal(redact=str).of(f"x{text}", MONDAY, "r").step("planned")

    assert len(paper.lines) == 3
    for line in paper.lines:
        assert line.isprintable()
    assert json.loads(paper.lines[1])["text"] == text


def test_a_stderr_that_is_gone_ends_nothing() -> None:
    def broken(_: str) -> None:
        raise BrokenPipeError

    Paper().journal(write=broken).of("leads", MONDAY, "r1").step("planned")
    Paper().journal(write=broken).message("error", "nobody reads this")


# ------------------------------------------------------------------------------------------ the last net


@given(st.text(min_size=8, max_size=40), st.text(max_size=5), st.text(max_size=5))
def test_a_learned_secret_is_in_no_text_however_it_is_spelled(
    secret: str, before: str, after: str
) -> None:
    if len(secret.strip()) < 8 or "\ud800" <= max(secret) <= "\udfff":
        return
    redact = Redactor()
    redact.learn([secret])
    secret = secret.strip()
    for spelled in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert spelled not in redact(f"{before}{spelled}{after}")
    within = base64.b64encode(f"{before}\0{secret}\0{after}".encode()).decode()
    shown = redact(within)
    assert "***" in shown
    # What is left is what its neighbours share a letter with: two letters on either side.
    whole = len(f"{before}\0".encode()) + len(f"\0{after}".encode())
    assert len(shown.replace("***", "")) <= 4 * (whole // 3 + 2) + 4


def test_the_telling_parts_of_a_secret_are_hidden_as_well() -> None:
    redact = Redactor()
    redact.learn(
        [
            "https://hooks.slack.com/services/T0/B0/canary-hook",
            "postgresql://reader:canary%2Fpw@db.example/crm",
            "-----BEGIN KEY-----\ncanary-line-one-of-a-key\ncanary-line-two-of-a-key\n-----END KEY-----",
            "ab",
        ]
    )
    said = (
        "POST /services/T0/B0/canary-hook failed; role reader with canary/pw and canary%2Fpw; "
        "canary-line-two-of-a-key; -----BEGIN KEY-----; about /crm"
    )

    shown = redact(said)
    assert "canary" not in shown
    assert "-----BEGIN KEY-----; about /crm" in shown


def test_every_secret_of_the_settings_is_found(tmp_path: Path) -> None:
    with a_stage(tmp_path, relay={"users": {"digest": "x"}}) as stage:
        found = set(secrets_in(stage.settings))

        assert {"canary-smtp-1f", f"{stage.checks.url}?create=1"} <= found


@dataclass(frozen=True)
class _Holder:
    inner: object


def test_a_secret_is_found_however_deep_it_is_held() -> None:
    deep = _Holder({"a": [(_Holder(Secret("one")), Secret("two"))]})

    assert sorted(secrets_in(deep)) == ["one", "two"]


# -------------------------------------------------------------------------------------------- libraries


def test_libraries_warn_through_the_journal_and_their_chatter_stays_out() -> None:
    paper, redact = Paper(), Redactor()
    redact.learn(["canary-in-a-url"])
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        listen_to_libraries(paper.journal(as_json=True, redact=redact))
        listen_to_libraries(paper.journal(as_json=True, redact=redact))
        logging.getLogger("httpx").info("GET https://hooks.example/canary-in-a-url")
        logging.getLogger("somewhere").warning("retrying %s", "canary-in-a-url\x1b[31m")
        bad = logging.LogRecord("somewhere", logging.WARNING, "", 0, "%d", ("no number",), None)
        root.handlers[-1].handle(bad)
    finally:
        root.handlers[:] = before

    assert [json.loads(line)["text"] for line in paper.lines] == ["retrying ***\x1b[31m"]
    assert {logging.getLogger(name).level for name in LOUD} == {logging.WARNING}
