"""Teams through a flow's webhook: "accepted" is all that can be known, and nothing is posted twice."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from digest.channels.teams import Teams
from digest.model import Finding, Secret
from tests.delivery.scene import Clock, Sender, a_ledger
from tests.delivery.test_slack import came_to
from tests.fakes.teams import HOST, PATH, Flow, running

PATIENCE = timedelta(minutes=20)
CANARY = PATH.rpartition("=")[2]


@pytest.fixture
def flow() -> Iterator[Flow]:
    with running(Flow()) as server:
        yield server


@pytest.fixture
def sender(tmp_path: Path, flow: Flow) -> Sender:
    clock = Clock()
    return Sender(a_ledger(tmp_path / "ledger.db", clock), clock, {"teams": flow.channel()})


def test_a_card_is_posted_once_and_no_more_is_promised_than_is_known(
    sender: Sender, flow: Flow
) -> None:
    first, second = sender.send(), sender.send()

    assert came_to(first) == came_to(second) == ("sent", 0)
    assert first.lines == ("teams webhook: sent 07:31 (accepted by the flow)",)
    assert len(flow.cards) == flow.requests == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_a_refusal_is_final_and_says_where_to_look(sender: Sender, flow: Flow, status: int) -> None:
    flow.answers = [status]

    result = sender.send(patience=PATIENCE)

    assert came_to(result) == ("refused", 4)
    assert f"({status}); open the flow" in result.lines[0]
    assert flow.requests == 1


@pytest.mark.parametrize("answer", [500, 502, 503, "drop"])
def test_what_may_have_arrived_is_unknown_and_never_repeated(
    sender: Sender, flow: Flow, answer: int | str
) -> None:
    flow.answers = [answer]

    first, second = sender.send(patience=PATIENCE), sender.send(patience=PATIENCE)

    assert came_to(first) == came_to(second) == ("unknown", 5)
    assert flow.requests == 1
    assert sender.clock.slept == []


@pytest.mark.parametrize(("asked", "slept"), [("2", [2]), ("soon", [30]), ("400", [])])
def test_a_busy_flow_is_given_the_time_it_asks_for(
    sender: Sender, flow: Flow, asked: str, slept: list[int]
) -> None:
    flow.answers, flow.headers = [429], {"Retry-After": asked}

    sender.send(patience=PATIENCE)

    assert sender.clock.slept == slept
    assert len(flow.cards) == len(slept)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sender: Sender, flow: Flow, status: int) -> None:
    flow.answers, flow.headers = [status], {"Location": f"http://127.0.0.1:{flow.port}{PATH}"}

    assert came_to(sender.send()) == ("unknown", 5)
    assert flow.requests == 1


def test_a_flow_that_cannot_be_reached_has_nothing_and_is_tried_again(sender: Sender) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = Flow(port=unused.getsockname()[1]).channel()

    result = replace(sender, channels={"teams": nowhere}).send()

    assert came_to(result) == ("pending", 4)
    assert "cannot be reached (Connection refused)" in result.lines[0]


def test_a_check_warns_of_the_old_host_and_posts_nothing(flow: Flow) -> None:
    (old,) = Teams(webhook=Secret("https://prod-1.westeurope.logic.azure.com/workflows/x")).check()

    assert flow.channel().check() == (
        Finding("ok", "teams", "a flow cannot be checked without posting"),
    )
    assert (old.level, "copy its address anew" in old.text) == ("warning", True)
    assert flow.requests == 0


@pytest.mark.parametrize(
    "address",
    [
        "http://0.11.environment.api.powerplatform.com/x",
        "https://api.powerplatform.com.evil.example/x",
        "https://company.webhook.office.com/webhookb2/x",
        "x",
    ],
)
def test_cards_go_to_microsoft_only(address: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape("webhook: is no https address of a flow")
    ) as raised:
        Teams(webhook=Secret(address))

    assert address not in str(raised.value).split()


def test_the_flows_address_is_found_in_no_output(
    tmp_path: Path, flow: Flow, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [repr(flow.channel())]
    answers: tuple[int | str, ...] = (202, 404, 429, 500, "drop", 302)
    for number, answer in enumerate(answers):
        flow.answers = [answer]
        ledger = a_ledger(tmp_path / f"{number}.db", Clock())
        seen.append(repr(Sender(ledger, Clock(), {"teams": flow.channel()}).send()))
        seen.append((tmp_path / f"{number}.db").read_bytes().decode("latin-1"))

    printed = capfd.readouterr()
    assert CANARY not in "\n".join((*seen, caplog.text, printed.out, printed.err))
    assert CANARY in HOST + PATH
