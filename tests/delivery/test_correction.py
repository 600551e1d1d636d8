"""How a correction is delivered: a key of its own, in Slack where the edition stands, elsewhere beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from digest.delivery import SendResult
from digest.ledger import Decision, RunState, State, delivery_key
from digest.model import Edition, Message, Recipient
from tests.delivery.scene import (
    TEAM,
    TODAY,
    Clock,
    Sender,
    a_ledger,
    a_relay,
    render,
)
from tests.fakes.slack import CHANNEL, Fault, SlackServer, running
from tests.fakes.smtp import SmtpServer
from tests.fakes.smtp import running as relay_running

SAID = (
    "Correction of the edition of Tuesday, sent at 07:31",
    "Why: two <forms>",
    "Zug, leads: 1 → 2",
)


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


def rendered(edition: Edition, recipient: Recipient) -> Message:
    message = render(edition, recipient)
    assert message.brief is not None
    return replace(message, brief=replace(message.brief, correction=SAID))


def correct(sender: Sender, number: int = 1, **changes: object) -> SendResult:
    return sender.send(correction=number, named=True, render=rendered, **changes)


def test_a_bot_answers_in_the_thread_and_marks_the_edition(
    sender: Sender, slack: SlackServer
) -> None:
    sender.send()
    result = correct(sender)

    edition, reply = slack.posts
    (update,) = slack.updates
    assert result.exit_code == 0
    assert reply.message["thread_ts"] == edition.ts
    assert reply.message["text"] == "\n".join(
        (f"*{SAID[0]}*", "Why: two &lt;forms&gt;", "Zug, leads: 1 → 2")
    )
    assert reply.message["reply_broadcast"] is True
    assert reply.message["metadata"] != edition.message["metadata"]
    assert (update["ts"], update["channel"]) == (edition.ts, CHANNEL)
    assert update["text"] == edition.message["text"]
    assert update["blocks"][0]["text"]["text"] == "*Corrected, see the thread*"
    assert update["blocks"][1:] == edition.message["blocks"]

    assert correct(sender).lines[0].endswith("already sent 07:31 by host-a")
    assert (len(slack.posts), len(slack.updates)) == (2, 1)


def test_an_edition_posted_in_plain_text_is_marked_in_plain_text(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "error", "invalid_blocks", times=1),)
    sender.send()

    assert correct(sender).exit_code == 0

    (update,) = slack.updates
    assert update["blocks"] == []
    assert update["text"] == f"*Corrected, see the thread*\n{slack.posts[0].message['text']}"


def test_a_second_correction_answers_the_same_edition(sender: Sender, slack: SlackServer) -> None:
    sender.send()
    correct(sender)
    correct(sender, 2)

    assert [post.message.get("thread_ts") for post in slack.posts] == [
        None,
        slack.posts[0].ts,
        slack.posts[0].ts,
    ]


def test_a_reply_without_its_line_above_counts_as_said(sender: Sender, slack: SlackServer) -> None:
    sender.send()
    slack.faults = (Fault("chat.update", "error", "cant_update_message"),)

    result = correct(sender)

    assert result.exit_code == 0
    assert "the line above is not" in result.lines[0]
    assert len(slack.posts) == 2


def test_a_correction_that_slack_refuses_is_refused(sender: Sender, slack: SlackServer) -> None:
    sender.send()
    slack.faults = (Fault("chat.postMessage", "error", "msg_too_long"),)

    result = correct(sender)

    assert (result.exit_code, result.outcomes[0].state) == (4, State.REFUSED)


def test_a_reply_whose_answer_is_lost_is_found_later_and_then_the_edition_is_marked(
    sender: Sender, slack: SlackServer
) -> None:
    sender.send()
    slack.faults = (Fault("chat.postMessage", "drop"),)

    result = correct(sender)

    assert (result.exit_code, result.outcomes[0].state) == (5, State.UNKNOWN)
    assert slack.updates == []
    slack.faults = ()
    assert correct(sender).exit_code == 0
    assert correct(sender).exit_code == 0
    assert len(slack.posts) == 2
    (update,) = slack.updates
    assert update["ts"] == slack.posts[0].ts
    assert update["blocks"][0]["text"]["text"] == "*Corrected, see the thread*"


def test_a_correction_found_later_counts_as_said_without_its_line_above(
    sender: Sender, slack: SlackServer
) -> None:
    sender.send()
    slack.faults = (Fault("chat.postMessage", "drop"),)
    correct(sender)
    slack.faults = (Fault("chat.update", "error", "cant_update_message"),)

    result = correct(sender)

    assert (result.exit_code, result.outcomes[0].state) == (0, State.SENT)
    assert "the line above is not" in result.lines[0]


def test_an_edition_found_later_is_marked_by_no_correction(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "drop"),)
    sender.send()
    slack.faults = ()

    assert sender.send().exit_code == 0
    assert slack.updates == []


def test_a_correction_that_is_a_message_of_its_own_marks_nothing_when_it_is_found(
    sender: Sender, slack: SlackServer
) -> None:
    slack.faults = (Fault("chat.postMessage", "drop"),)
    sender.send()
    sender.ledger.resolve(delivery_key("leads", TODAY, "slack", CHANNEL), Decision.SENT)
    correct(sender)
    slack.faults = ()

    assert correct(sender).exit_code == 0
    assert (len(slack.posts), slack.updates) == (2, [])


def test_a_call_that_lost_the_correction_says_nothing(sender: Sender, slack: SlackServer) -> None:
    sender.send()
    asked: list[str] = []

    def ask(step: str) -> None:
        if step == "body sent":
            asked.append(step)

    result = correct(sender, hook=ask, stop=lambda: bool(asked))

    assert (result.exit_code, len(slack.posts)) == (4, 1)


@pytest.mark.parametrize("lost", ["settled by hand", "another channel"])
def test_where_no_edition_is_known_the_correction_is_a_message_of_its_own(
    sender: Sender, slack: SlackServer, lost: str
) -> None:
    if lost == "settled by hand":
        slack.faults = (Fault("chat.postMessage", "drop", times=1),)
        sender.send()
        sender.ledger.resolve(delivery_key("leads", TODAY, "slack", CHANNEL), Decision.SENT)

    assert correct(sender).exit_code == 0

    assert "thread_ts" not in slack.posts[-1].message
    said = json.dumps(slack.posts[-1].message["blocks"], ensure_ascii=False)
    assert f"*{SAID[0]}*" in said
    assert slack.updates == []


def test_a_webhook_posts_a_new_marked_message(sender: Sender, slack: SlackServer) -> None:
    there = replace(sender, channels={"slack": slack.hook()})
    there.send()
    assert correct(there).exit_code == 0

    first, second = slack.posts
    assert "Correction of the edition" not in json.dumps(first.message)
    assert f"*{SAID[0]}*" in second.message["blocks"][1]["text"]["text"]


def test_a_mail_has_a_key_and_an_identity_of_its_own(sender: Sender) -> None:
    with relay_running(SmtpServer()) as relay:
        there = replace(sender, channels={"mail": a_relay(relay.port)})
        there.send()
        assert correct(there).exit_code == 0
        assert correct(there).exit_code == 0

    assert len(relay.accepted) == 6
    identities = {mail.content.partition(b"Message-ID: ")[2][:40] for mail in relay.accepted}
    assert len(identities) == 6
    run = there.ledger.run("leads", TODAY, correction=1)
    assert run is not None
    assert run.state is RunState.DONE
    assert {row.key for row in there.ledger.deliveries("leads", TODAY, correction=1)} == {
        f"leads/2026-04-07.c1/mail/{one}" for one in TEAM
    }


def test_a_failed_correction_leaves_the_edition_of_the_day_alone(
    sender: Sender, clock: Clock, slack: SlackServer
) -> None:
    sender.send()
    slack.faults = (Fault("chat.postMessage", "error", "is_archived"),)
    correct(sender)
    clock.forward(days=1)

    assert [str(row.state) for row in sender.ledger.deliveries("leads", TODAY)] == ["sent"]
    assert sender.ledger.last_sent("leads") == TODAY
    result = sender.send(business_date=TODAY + timedelta(1))
    assert result.exit_code == 4
