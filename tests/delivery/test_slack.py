"""Slack through its real client: each reply means one thing, and nothing is ever posted twice."""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.channels.slack import Slack
from digest.delivery import SendResult
from digest.errors import DeliveryError
from digest.ledger import Decision
from digest.model import Envelope, Finding, Message, Recipient, Secret
from digest.render import PACKERS
from tests.delivery.scene import HERE, TODAY, Clock, Sender, a_ledger, an_edition, render
from tests.fakes.slack import (
    ALL_SCOPES,
    CHANNEL,
    HOOK,
    TOKEN,
    Fault,
    SlackServer,
    loopback,
    running,
)

CANARIES = (TOKEN, HOOK.rpartition("/")[2])
PATIENCE = timedelta(minutes=20)
POST = {"bot": "chat.postMessage", "hook": "webhook"}
SETTINGS: dict[str, dict[str, Any]] = {
    "bot": {"token": Secret(TOKEN), "channel": CHANNEL},
    "hook": {"webhook": Secret(f"https://hooks.slack.com{HOOK}")},
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(clock: Clock) -> Iterator[SlackServer]:
    with running(SlackServer(clock=clock)) as server:
        yield server


@pytest.fixture
def sender(tmp_path: Path, clock: Clock, slack: SlackServer) -> Sender:
    return Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"slack": slack.bot()})


def through_the_webhook(sender: Sender, slack: SlackServer) -> Sender:
    return replace(sender, channels={"slack": slack.hook()})


def came_to(result: SendResult) -> tuple[str, int]:
    (outcome,) = result.outcomes
    return str(outcome.state), result.exit_code


def envelope(channel: Slack, key: str = "leads/2026-04-07/slack/C0LEADS0001") -> Envelope:
    (recipient,) = channel.recipients
    content = PACKERS[channel.form](
        render(an_edition(), recipient),
        recipient=recipient,
        headers=None,
        key=key,
        sent_at=Clock().now,
    )
    return Envelope(key, recipient.address, content)


# --------------------------------------------------------------------------------------------- posting


def test_an_edition_is_posted_once_with_its_own_mark(sender: Sender, slack: SlackServer) -> None:
    result = sender.send()
    again = sender.send()

    (post,) = slack.posts
    assert came_to(result) == ("sent", 0)
    assert result.lines == (f"slack {CHANNEL}: sent 07:31 (posted to {CHANNEL} as {post.ts})",)
    assert again.lines == (f"slack {CHANNEL}: already sent 07:31 by host-a",)
    assert post.message["channel"] == CHANNEL
    assert post.message["metadata"]["event_type"] == "digest_delivery"
    assert not {"plain", "corrected", "chart"} & post.message.keys()
    assert slack.count("chat.postMessage") == 1


def test_the_place_of_a_post_is_kept_with_its_delivery(sender: Sender, slack: SlackServer) -> None:
    sender.send()

    (row,) = sender.ledger.deliveries("leads", TODAY)
    assert row.note == f"posted to {CHANNEL} as {slack.posts[0].ts}"


def test_a_webhook_posts_without_a_mark_and_its_recipient_is_no_secret(
    sender: Sender, slack: SlackServer
) -> None:
    result = through_the_webhook(sender, slack).send()

    assert came_to(result) == ("sent", 0)
    assert result.lines == ("slack webhook: sent 07:31 (ok)",)
    assert "metadata" not in slack.posts[0].message


def test_mail_does_not_wait_for_slack(sender: Sender, slack: SlackServer, tmp_path: Path) -> None:
    from digest.channels.file import File

    slack.faults = (Fault("chat.postMessage", "drop"),)
    file = File(path=tmp_path / "inbox", recipients=(Recipient("ana@team.example"),))
    both = replace(sender, channels={"slack": slack.bot(), "file": file})
    arrived: list[float] = []

    def sleep(seconds: float) -> None:
        arrived.append(len(list((tmp_path / "inbox").glob("*.eml"))))
        sender.clock.sleep(seconds)

    both.send(patience=PATIENCE, sleep=sleep)

    assert arrived[0] == 1


# --------------------------------------------------------------------------- what each reply means

MAYBE = {
    "server error 500": Fault("", "status", "500"),
    "server error 503": Fault("", "status", "503"),
    "unreadable body": Fault("", "body", "<html>"),
    "dropped after it was taken": Fault("", "drop"),
    "reset after it was taken": Fault("", "reset"),
    "dropped before it was taken": Fault("", "drop before"),
}
REFUSED = (
    "channel_not_found", "not_in_channel", "is_archived", "invalid_auth", "not_authed", "account_inactive",
    "token_revoked", "missing_scope", "restricted_action", "no_permission", "ekm_access_denied",
    "org_login_required", "something_new",
)  # fmt: skip
BY_HOOK = (
    "user_not_found 400", "action_prohibited 403", "channel_not_found 404", "no_service 404",
    "channel_is_archived 410", "something_new 400",
)  # fmt: skip
OF_FORM = (
    "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "msg_blocks_too_long", "msg_too_long",
)  # fmt: skip


@pytest.mark.failure("S2")
@pytest.mark.parametrize("way", POST)
@pytest.mark.parametrize("event", MAYBE)
def test_what_may_have_arrived_is_unknown_and_never_repeated(
    sender: Sender, slack: SlackServer, event: str, way: str
) -> None:
    slack.faults = (
        replace(MAYBE[event], method=POST[way]),
        Fault("conversations.history", "status", "500"),
    )
    chosen = sender if way == "bot" else through_the_webhook(sender, slack)

    first = chosen.send(patience=PATIENCE)
    second = chosen.send(patience=PATIENCE)

    assert came_to(first) == came_to(second) == ("unknown", 5)
    assert "outcome unknown" in first.lines[0]
    assert f"digest resolve leads/{TODAY}/slack/" in first.lines[0]
    assert slack.count(POST[way]) == 1
    assert len(slack.posts) <= 1


@pytest.mark.failure("S2", "S5")
@pytest.mark.parametrize("code", ["internal_error", "fatal_error"])
def test_an_error_inside_slack_leaves_the_outcome_open(
    sender: Sender, slack: SlackServer, code: str
) -> None:
    slack.faults = (Fault("chat.postMessage", "error", code),)

    result = sender.send()

    assert came_to(result) == ("unknown", 5)
    assert code in result.lines[0]


@pytest.mark.failure("S4", "S5")
@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_is_final_and_names_the_remedy(
    sender: Sender, slack: SlackServer, code: str
) -> None:
    slack.faults = (Fault("chat.postMessage", "error", code),)

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("refused", 4)
    assert re.search(rf"refused the message: {code}(; .{{20,}})?\)$", result.lines[0])
    assert (";" in result.lines[0]) == (code != "something_new")
    assert slack.count("chat.postMessage") == 1
    assert slack.posts == []


@pytest.mark.failure("S4")
@pytest.mark.parametrize("answer", BY_HOOK)
def test_a_webhooks_refusal_is_final_too(sender: Sender, slack: SlackServer, answer: str) -> None:
    slack.faults = (Fault("webhook", "error", answer),)

    result = through_the_webhook(sender, slack).send(patience=PATIENCE)

    assert came_to(result) == ("refused", 4)
    assert answer.split(maxsplit=1)[0] in result.lines[0]
    assert slack.count("webhook") == 1


@pytest.mark.failure("S2")
def test_a_webhook_that_rolls_up_an_error_is_unknown(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (Fault("webhook", "error", "rollup_error 500"),)

    assert came_to(through_the_webhook(sender, slack).send()) == ("unknown", 5)


@pytest.mark.failure("S3", "S5")
@pytest.mark.parametrize("code", OF_FORM)
def test_refused_blocks_go_out_once_more_as_plain_text(
    sender: Sender, slack: SlackServer, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    slack.faults = (Fault("chat.postMessage", "error", code, times=1),)

    result = sender.send()

    (post,) = slack.posts
    assert came_to(result) == ("sent", 0)
    assert result.lines[0].endswith(f"as {post.ts} in plain text)")
    assert "blocks" not in post.message
    assert "23 of 100" in post.message["text"]
    assert "&lt;!channel&gt; &amp; Söhne: ■ Behind, Actual 10" in post.message["text"]
    assert post.message["metadata"]["event_type"] == "digest_delivery"
    assert code in caplog.text
    assert slack.count("chat.postMessage") == 2


@pytest.mark.failure("S3")
def test_the_log_says_which_block_was_refused(
    sender: Sender, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    def pack(message: Message, **facts: Any) -> bytes:  # noqa: ANN401 - passes them on
        packed = json.loads(PACKERS["slack"](message, **facts))
        packed["blocks"][3] = {"type": "section", "text": {"type": "mrkdwn", "text": ""}}
        return json.dumps(packed).encode()

    result = sender.send(packers={"slack": pack})

    assert came_to(result) == ("sent", 0)
    assert "blocks" not in slack.posts[0].message
    assert "[json-pointer:/blocks/3]" in caplog.text


@pytest.mark.failure("S3")
@pytest.mark.parametrize("code", ["invalid_payload", "invalid_blocks"])
def test_a_webhook_has_the_same_one_fallback(sender: Sender, slack: SlackServer, code: str) -> None:
    slack.faults = (Fault("webhook", "error", code, times=1),)

    result = through_the_webhook(sender, slack).send()

    assert came_to(result) == ("sent", 0)
    assert result.lines[0].endswith("(ok in plain text)")
    assert len(slack.posts) == 1


@pytest.mark.failure("S3")
@pytest.mark.parametrize("way", POST)
def test_the_fallback_is_tried_once(sender: Sender, slack: SlackServer, way: str) -> None:
    slack.faults = (Fault(POST[way], "error", "invalid_blocks"),)
    chosen = sender if way == "bot" else through_the_webhook(sender, slack)

    result = chosen.send(patience=PATIENCE)

    assert came_to(result) == ("refused", 4)
    assert slack.count(POST[way]) == 2


@pytest.mark.failure("S2")
def test_an_answer_of_ok_without_a_name_for_the_message_is_unknown(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "body", '{"ok": true}'),)

    assert came_to(sender.send()) == ("unknown", 5)


def test_a_workspace_that_cannot_be_reached_has_nothing_and_is_tried_again(
    sender: Sender, slack: SlackServer
) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = loopback(unused.getsockname()[1])
    for way in POST:
        result = replace(sender, channels={way: nowhere(**SETTINGS[way])}).send()

        (outcome,) = (one for one in result.outcomes if one.channel == way)
        assert str(outcome.state) == "pending"
        assert "cannot be reached (Connection refused)" in outcome.text
        assert result.exit_code == 4
    assert slack.posts == []


@pytest.mark.failure("S2")
@pytest.mark.parametrize("way", POST)
def test_a_missing_answer_ends_after_the_timeout_with_one_post(
    sender: Sender, slack: SlackServer, way: str
) -> None:
    slack.faults = (Fault(POST[way], "slow"), Fault("conversations.history", "status", "500"))
    impatient = loopback(slack.port, seconds=1)
    began = time.monotonic()

    result = replace(sender, channels={"slack": impatient(**SETTINGS[way])}).send()

    assert came_to(result) == ("unknown", 5)
    assert time.monotonic() - began < 10
    assert len(slack.posts) == 1


@pytest.mark.failure("S2")
@pytest.mark.parametrize("way", POST)
def test_an_answer_that_dribbles_ends_after_the_deadline_with_one_post(
    sender: Sender, slack: SlackServer, way: str
) -> None:
    slack.faults = (
        Fault(POST[way], "dribble", "0.3"),  # never silent for as long as the client waits
        Fault("conversations.history", "status", "500"),
    )
    impatient = loopback(slack.port, seconds=1)
    began = time.monotonic()

    result = replace(sender, channels={"slack": impatient(**SETTINGS[way])}).send()

    assert came_to(result) == ("unknown", 5)
    assert time.monotonic() - began < 8
    assert len(slack.posts) == 1


def test_the_product_waits_30_seconds_for_an_answer() -> None:
    assert Slack.timeout == 30


# ------------------------------------------------------------------------------------------ Retry-After


@pytest.mark.failure("S1")
@pytest.mark.parametrize("way", POST)
@pytest.mark.parametrize(
    ("asked", "waits"),
    [("0", [1]), ("1", [1]), ("12", [12]), ("400", []), ("soon", [30]), (None, [30]),
     ("Wed, 21 Oct 2026 07:28:00 GMT", [30]), ("-5", [30]), ("9" * 400, [])],
)  # fmt: skip
def test_slack_is_given_the_time_it_asks_for(
    sender: Sender, slack: SlackServer, asked: str | None, waits: list[int], way: str
) -> None:
    slack.faults = (Fault(POST[way], "busy", asked, times=1),)
    chosen = sender if way == "bot" else through_the_webhook(sender, slack)

    result = chosen.send(patience=PATIENCE)

    assert sender.clock.slept == waits
    assert len(slack.posts) == len(waits)
    assert came_to(result) == (("sent", 0) if waits else ("pending", 4))


@pytest.mark.failure("S1")
def test_a_long_wait_is_for_the_next_call(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (Fault("chat.postMessage", "busy", "400", times=1),)

    first = sender.send(patience=PATIENCE)
    too_soon = sender.send()
    sender.clock.forward(seconds=401)
    later = sender.send()

    assert "not sent yet, next attempt from 07:37" in first.lines[0]
    assert came_to(too_soon) == ("pending", 4)
    assert came_to(later) == ("sent", 0)
    assert slack.count("chat.postMessage") == 2


@pytest.mark.failure("S1", "S5")
@pytest.mark.parametrize("code", ["ratelimited", "rate_limited"])
def test_busy_said_in_the_body_is_busy_too(sender: Sender, slack: SlackServer, code: str) -> None:
    slack.faults = (Fault("chat.postMessage", "error", code, times=1),)

    assert came_to(sender.send(patience=PATIENCE)) == ("sent", 0)
    assert sender.clock.slept == [30]


# --------------------------------------------------------------------------------- unknown outcomes


@pytest.mark.failure("S2")
@pytest.mark.parametrize("mode", ["drop", "reset"])
def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(
    sender: Sender, slack: SlackServer, mode: str
) -> None:
    slack.faults = (Fault("chat.postMessage", mode),)

    result = sender.send(patience=PATIENCE)

    (post,) = slack.posts
    assert came_to(result) == ("sent", 0)
    assert f"posted to {CHANNEL} as {post.ts}" in result.lines[0]
    assert sender.clock.slept == [30]
    assert slack.count("chat.postMessage") == 1
    (asked,) = (body for name, body in slack.calls if name == "conversations.history")
    assert (asked["limit"], asked["include_all_metadata"]) == ("15", "1")
    assert float(asked["oldest"]) == Clock().now.timestamp() - 5


def test_a_post_that_is_not_seen_is_looked_for_three_times_and_stays_unknown(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "drop before"),)

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("unknown", 5)
    assert sender.clock.slept == [30, 90, 480]
    assert slack.count("conversations.history") == 3
    assert slack.posts == []


def test_a_call_without_patience_leaves_the_look_to_the_next_one(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "drop"),)
    first = sender.send()
    sender.clock.forward(minutes=15)

    second = sender.send()

    assert came_to(first) == ("unknown", 5)
    assert came_to(second) == ("sent", 0)
    assert slack.count("chat.postMessage") == 1
    assert len(slack.posts) == 1


def test_what_a_killed_process_left_is_looked_up(
    sender: Sender, slack: SlackServer, tmp_path: Path
) -> None:
    def dies(step: str) -> None:
        if step == "replied":
            raise SystemExit

    with pytest.raises(SystemExit):
        sender.send(hook=dies)
    sender.clock.forward(minutes=5)
    heir = a_ledger(
        tmp_path / "ledger.db",
        sender.clock,
        replace(HERE, pid=99),
        gone=lambda owner: owner == HERE,
    )

    result = replace(sender, ledger=heir).send()

    assert came_to(result) == ("sent", 0)
    assert slack.posts[0].ts in result.lines[0]
    assert slack.count("chat.postMessage") == 1


def test_another_message_is_never_taken_for_ours(sender: Sender, slack: SlackServer) -> None:
    slack.post(
        CHANNEL,
        {
            "text": "hi",
            "metadata": {"event_type": "digest_delivery", "event_payload": {"key": "x"}},
        },
    )
    slack.post(CHANNEL, {"text": "hello"})
    slack.faults = (Fault("chat.postMessage", "drop before"),)

    assert came_to(sender.send(patience=PATIENCE)) == ("unknown", 5)


def test_ours_is_found_among_what_others_wrote(sender: Sender, slack: SlackServer) -> None:
    for number in range(10):
        slack.post(CHANNEL, {"text": f"before {number}"})
    slack.faults = (Fault("chat.postMessage", "drop"),)

    assert came_to(sender.send(patience=PATIENCE)) == ("sent", 0)


def test_a_token_that_may_not_read_the_history_says_so_and_does_not_wait(
    sender: Sender, slack: SlackServer
) -> None:
    slack.scopes = ("chat:write",)
    slack.faults = (Fault("chat.postMessage", "drop"),)

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("unknown", 5)
    assert "give the app the scope channels:history" in result.lines[0]
    assert sender.clock.slept == [30]


def test_a_look_that_fails_is_tried_again_at_the_next(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (
        Fault("chat.postMessage", "drop"),
        Fault("conversations.history", "busy", "5", times=1),
        Fault("conversations.history", "drop", times=1),
    )

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("sent", 0)
    assert sender.clock.slept == [30, 90, 480]
    assert "could not look" not in result.lines[0]


def test_a_webhook_is_never_looked_up(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (Fault("webhook", "drop"),)

    result = through_the_webhook(sender, slack).send(patience=PATIENCE)

    assert came_to(result) == ("unknown", 5)
    assert sender.clock.slept == []
    assert slack.count("conversations.history") == 0


def test_what_a_person_resends_by_hand_is_posted_with_the_same_mark(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "drop before", times=1),)
    sender.send()
    sender.ledger.resolve(f"leads/{TODAY}/slack/{CHANNEL}", Decision.RESEND)

    assert came_to(sender.send()) == ("sent", 0)
    assert len(slack.posts) == 1


def test_a_post_in_plain_text_is_found_as_such(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (
        Fault("chat.postMessage", "error", "invalid_blocks", times=1),
        Fault("chat.postMessage", "drop"),
    )

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("sent", 0)
    assert "in plain text" in result.lines[0]


# ------------------------------------------------------------------------------------------------ chart


def test_the_chart_follows_in_the_thread(sender: Sender, slack: SlackServer) -> None:
    result = replace(sender, channels={"slack": slack.bot(chart="thread")}).send()

    (post,), (file,) = slack.posts, slack.files
    assert came_to(result) == ("sent", 0)
    assert file["png"] == b"\x89PNG\r\n"
    assert (file["filename"], file["length"], file["alt_txt"]) == ("chart.png", "6", "chart")
    assert (file["channel"], file["thread_ts"]) == (CHANNEL, post.ts)
    assert "chart" not in post.message


@pytest.mark.parametrize("mode", ["drop", "busy", "status", "error", "body"])
@pytest.mark.parametrize(
    "method", ["files.getUploadURLExternal", "upload", "files.completeUploadExternal"]
)
def test_a_chart_that_fails_costs_a_warning_and_nothing_else(
    sender: Sender, slack: SlackServer, method: str, mode: str
) -> None:
    details = {"status": "500", "error": "internal_error", "body": '{"ok": false, "error": "x"}'}
    if (method, mode) in (("upload", "error"), ("upload", "body")):
        details = {mode: "nonsense"}  # the upload's 200 counts whatever it says
    slack.faults = (Fault(method, mode, details.get(mode)),)
    charted = replace(sender, channels={"slack": slack.bot(chart="thread")})

    result = charted.send(patience=PATIENCE)
    again = charted.send(patience=PATIENCE)

    assert came_to(result) == ("sent", 0)
    failed = "the chart is not in the thread" in result.lines[0]
    assert failed == ((method, mode) not in (("upload", "error"), ("upload", "body")))
    assert slack.count(method) == 1
    assert len(slack.posts) == 1
    assert "the chart" not in again.lines[0]


def test_a_chart_belongs_to_a_post_that_was_found(sender: Sender, slack: SlackServer) -> None:
    slack.faults = (Fault("chat.postMessage", "drop"),)

    replace(sender, channels={"slack": slack.bot(chart="thread")}).send(patience=PATIENCE)

    assert slack.files[0]["thread_ts"] == slack.posts[0].ts


# ----------------------------------------------------------------------------------------------- check


def levels(channel: Slack) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in channel.check()]


def test_a_check_says_who_and_where_and_posts_nothing(slack: SlackServer) -> None:
    assert levels(slack.bot(chart="thread")) == [
        ("ok", "logged in to Example as digest"),
        ("ok", "posts to #marketing"),
    ]
    assert slack.posts == []


def test_a_check_names_each_missing_scope(slack: SlackServer) -> None:
    slack.scopes = ("im:read",)

    found = slack.bot(chart="thread").check()

    assert [(one.level, *re.findall(r"scope ([a-z:]+)", one.text)[:1]) for one in found] == [
        ("ok",),
        ("error", "chat:write"),
        ("warning", "files:read"),
        ("warning", "files:write"),
        ("warning", "channels:history"),
        ("warning", "channels:read"),
    ]


@pytest.mark.failure("S4")
@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"member": False}, "error", "the app is not in #marketing; invite"),
        ({"archived": True}, "error", "#marketing is archived; unarchive"),
        (
            {"member": False, "scopes": (*ALL_SCOPES, "chat:write.public")},
            "ok",
            "posts to #marketing",
        ),
        (
            {"faults": (Fault("conversations.info", "error", "channel_not_found"),)},
            "error",
            "channel's id",
        ),
        (
            {"faults": (Fault("auth.test", "error", "invalid_auth"),)},
            "error",
            "install the app again",
        ),
        ({"faults": (Fault("auth.test", "drop"),)}, "error", "cannot be reached"),
        ({"faults": (Fault("auth.test", "status", "503"),)}, "error", "status 503"),
    ],
)
def test_a_check_finds_what_would_stop_a_send(
    slack: SlackServer, change: dict[str, Any], level: str, words: str
) -> None:
    for name, value in change.items():
        setattr(slack, name, value)

    last = slack.bot().check()[-1]

    assert (last.level, words in last.text) == (level, True), last


def test_a_webhook_cannot_be_checked_without_posting(slack: SlackServer) -> None:
    assert slack.hook().check() == (
        Finding("ok", "slack", "a webhook cannot be checked without posting"),
    )
    assert slack.calls == []


def test_without_slacks_package_a_check_says_what_to_install(slack: SlackServer) -> None:
    present = sys.modules.get("slack_sdk")
    sys.modules["slack_sdk"] = None  # type: ignore[assignment] # how Python marks a module as not importable
    try:
        found = levels(slack.bot())
    finally:
        del sys.modules["slack_sdk"]
        if present is not None:
            sys.modules["slack_sdk"] = present

    assert found == [("error", "slack: the package for it is missing; install sla-digest[slack]")]


# -------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "one of both"),
        ({"token": Secret("xoxb-1"), "webhook": Secret("https://hooks.slack.com/services/x")}, "one of both"),
        ({"token": Secret("xoxp-1"), "channel": CHANNEL}, "token: is no bot token"),
        ({"token": Secret("xoxb-1")}, "channel: is missing"),
        ({"token": Secret("xoxb-1"), "channel": "#marketing"}, "channel: found '#marketing'"),
        ({"webhook": Secret("https://hooks.slack.com.evil.example/services/x")}, "webhook: is no address"),
        ({"webhook": Secret("http://hooks.slack.com/services/x")}, "webhook: is no address"),
        ({"webhook": Secret("https://u:p@hooks.slack.com/services/x")}, "webhook: is no address"),
        ({"webhook": Secret("https://hooks.slack-gov.com/services/x")}, "webhook: is no address"),
        ({"webhook": Secret("https://hooks.slack.com/services/x"), "channel": CHANNEL}, "channel: a webhook"),
        ({"webhook": Secret("https://hooks.slack.com/services/x"), "chart": "thread"}, "chart: a webhook"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        Slack(**settings)

    assert "/services/x" not in str(raised.value).replace("/services/ ", "")


def test_the_hosts_are_slacks_own() -> None:
    bot = Slack(token=Secret("xoxb-1"), channel=CHANNEL)
    gov = Slack(token=Secret("xoxb-1"), channel=CHANNEL, host="slack-gov.com")
    hook = Slack(webhook=Secret("https://hooks.slack-gov.com/services/x"), host="slack-gov.com")

    assert bot.base_url == "https://slack.com/api/"
    assert gov.base_url == "https://slack-gov.com/api/"
    assert hook.webhook_url == "https://hooks.slack-gov.com/services/x"


# --------------------------------------------------------------------------------------------- secrets


def test_no_token_and_no_webhook_is_found_in_any_output(
    tmp_path: Path, clock: Clock, slack: SlackServer, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Even with every library at its most talkative, after every kind of failure."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    trouble: tuple[Callable[[str], Fault], ...] = (
        lambda method: Fault(method, "drop"),
        lambda method: Fault(method, "status", "500"),
        lambda method: Fault(method, "busy", "400"),
        lambda method: Fault(method, "error", "invalid_auth"),
        lambda method: Fault(method, "body", "<html>"),
        lambda method: Fault(method, "error", "invalid_blocks"),
    )
    for number, (way, make) in enumerate((way, make) for way in POST for make in trouble):
        slack.faults = (make(POST[way]),)
        channel = slack.bot(chart="thread") if way == "bot" else slack.hook()
        ledger = a_ledger(tmp_path / f"ledger-{number}.db", clock)
        result = Sender(ledger, clock, {"slack": channel}).send(patience=PATIENCE)
        seen += [repr(result), repr(channel), repr(channel.check())]
        seen.append((tmp_path / f"ledger-{number}.db").read_bytes().decode("latin-1"))
        with channel.session() as session, pytest.raises(DeliveryError) as raised:
            session.deliver(envelope(channel), commit=lambda: True)
        chain: list[BaseException | None] = [
            raised.value,
            raised.value.__cause__,
            raised.value.__context__,
        ]
        seen += [f"{error!r} {error}" for error in chain]

    printed = capfd.readouterr()
    everything = "\n".join((*seen, caplog.text, printed.out, printed.err))
    for canary in CANARIES:
        for form in (
            canary,
            urllib.parse.quote(canary, safe=""),
            base64.b64encode(canary.encode()).decode(),
        ):
            assert form not in everything
