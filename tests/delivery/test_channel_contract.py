"""What every channel in CHANNELS promises; a new one needs a stage here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Mail

from digest.channels import CHANNELS, Channel
from digest.channels.file import File
from digest.channels.smtp import Smtp
from digest.errors import DeliveryError
from digest.model import Envelope, MailHeaders, Message, Recipient, Secret
from digest.render import PACKERS
from digest.render.mime import pack
from tests.delivery.scene import PATIENT, START, TODAY, a_brief
from tests.fakes import graph as fake_graph
from tests.fakes import identity as fake_identity
from tests.fakes import slack as fake_slack
from tests.fakes import teams as fake_teams
from tests.fakes.smtp import Fault, SmtpServer, running

ANA = "ana@team.example"
CANARY = "canary-77aa"
MESSAGE = Message(
    digest="leads",
    business_date=TODAY,
    month=date(2026, 6, 1),
    thread_subject="Leads June 2026 - Leads",
    language="de-CH",
    subject="«Grüezi» – l'été à Genève: 1’234",
    preheader="",
    html="<p>«Grüezi», l'été</p>",
    text="«Grüezi», l'été: 1’234 Leads\n",
    brief=a_brief("«Grüezi» – l'été à Genève: 1’234"),
)


@dataclass
class Stage:
    """A channel, what it has handed over, and how to make it refuse: for good or for now.

    `read` returns the title of what was handed over, and looks at the rest of it.
    """

    channel: Channel
    received: Callable[[], list[bytes]]
    refusals: dict[bool, Callable[[], None]]
    read: Callable[[bytes], str]
    recipient: str = ANA


@contextmanager
def smtp(_: Path) -> Iterator[Stage]:
    with running(SmtpServer(users={"u": CANARY})) as relay:

        def answer(code: str) -> None:
            relay.faults = (Fault("RCPT", code),)

        channel = Smtp(
            host="127.0.0.1",
            port=relay.port,
            security="none",
            sender="digest@sender.example",
            username="u",
            password=Secret(CANARY),
            timeouts=PATIENT,
        )
        refusals = {True: lambda: answer("550"), False: lambda: answer("450")}
        yield Stage(channel, lambda: [one.content for one in relay.accepted], refusals, mail)


@contextmanager
def file(folder: Path) -> Iterator[Stage]:
    def put_in_the_way() -> None:
        (folder / "inbox").write_text("a file where the folder should be")

    channel = File(path=folder / "inbox")
    # A folder never refuses one message for good.
    refusals = {False: put_in_the_way}
    found = lambda: [one.read_bytes() for one in folder.glob("inbox/*.eml")]  # noqa: E731 - one line
    yield Stage(channel, found, refusals, mail)


def mail(content: bytes) -> str:
    found = BytesParser(policy=default).parsebytes(content)
    html, text = found.get_body(("html",)), found.get_body(("plain",))
    assert html is not None
    assert html.get_content().strip() == MESSAGE.html
    assert text is not None
    assert text.get_content().strip() == MESSAGE.text.strip()
    return str(found["Subject"])


@contextmanager
def slack_stage(channel: str, method: str, gone: str) -> Iterator[Stage]:
    with fake_slack.running(fake_slack.SlackServer()) as workspace:

        def answer(mode: str, detail: str) -> None:
            workspace.faults = (fake_slack.Fault(method, mode, detail),)

        yield Stage(
            workspace.bot() if channel == fake_slack.CHANNEL else workspace.hook(),
            lambda: [json.dumps(post.message).encode() for post in workspace.posts],
            {True: lambda: answer("error", gone), False: lambda: answer("busy", "1")},
            slack_message,
            channel,
        )


def slack_message(content: bytes) -> str:
    message = json.loads(content)
    assert message["text"] == MESSAGE.brief.summary  # type: ignore[union-attr] # it has one
    assert message["unfurl_links"] is message["unfurl_media"] is False
    return str(message["blocks"][0]["text"]["text"])


def slack(_: Path) -> AbstractContextManager[Stage]:
    return slack_stage(fake_slack.CHANNEL, "chat.postMessage", "is_archived")


def slack_webhook(_: Path) -> AbstractContextManager[Stage]:
    return slack_stage("webhook", "webhook", "channel_is_archived 410")


@contextmanager
def teams(_: Path) -> Iterator[Stage]:
    with fake_teams.running(fake_teams.Flow()) as flow:

        def answer(status: int) -> None:
            flow.answers = [status]

        refusals = {True: lambda: answer(404), False: lambda: answer(429)}
        yield Stage(flow.channel(), lambda: flow.cards, refusals, card, "webhook")


@contextmanager
def graph(_: Path) -> Iterator[Stage]:
    with (
        fake_identity.running(fake_identity.IdentityServer()) as logins,
        fake_graph.running(fake_graph.GraphServer(logins)) as service,
    ):

        def answer(verdict: str) -> None:
            service.answers = [verdict]

        refusals = {
            True: lambda: answer("400 ErrorInvalidRecipients"),
            False: lambda: answer("429"),
        }
        yield Stage(service.channel(), lambda: service.mails, refusals, mail)


def card(content: bytes) -> str:
    body = json.loads(content)["attachments"][0]["content"]["body"]
    return str(body[0]["inlines"][0]["text"])


STAGES: dict[str, Callable[[Path], AbstractContextManager[Stage]]] = {
    "smtp": smtp,
    "file": file,
    "graph": graph,
    "slack": slack,
    "slack: webhook": slack_webhook,
    "teams": teams,
}


@pytest.fixture(params=sorted({*CHANNELS, *STAGES}))
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param not in STAGES:
        pytest.fail(f"no stage for {request.param}")
    with STAGES[request.param](tmp_path) as built:
        yield built


def envelope(stage: Stage) -> Envelope:
    channel = stage.channel
    content = PACKERS[channel.form](
        MESSAGE,
        recipient=Recipient(stage.recipient),
        headers=channel.headers,
        key="k",
        sent_at=START,
    )
    return Envelope("k", stage.recipient, content)


def test_a_message_arrives_intact_and_commit_is_asked_once(stage: Stage) -> None:
    asked: list[str] = []

    def commit() -> bool:
        assert stage.received() == []
        asked.append("commit")
        return True

    with stage.channel.session() as session:
        assert session.deliver(envelope(stage), commit=commit)

    (content,) = stage.received()
    assert asked == ["commit"]
    assert stage.read(content) == MESSAGE.subject


def test_nothing_is_handed_over_when_another_process_owns_it(stage: Stage) -> None:
    with stage.channel.session() as session, pytest.raises(DeliveryError):
        session.deliver(envelope(stage), commit=lambda: False)

    assert stage.received() == []


def test_a_refusal_says_whether_to_try_again_and_shows_no_secret(stage: Stage) -> None:
    for permanent, refuse in stage.refusals.items():
        refuse()

        with stage.channel.session() as session, pytest.raises(DeliveryError) as raised:
            session.deliver(envelope(stage), commit=lambda: True)

        assert raised.value.permanent == permanent
        assert CANARY not in f"{raised.value!r} {raised.value.__cause__!r} {stage.channel!r}"
    assert stage.received() == []


def test_a_check_hands_nothing_over(stage: Stage) -> None:
    assert {finding.level for finding in stage.channel.check()} == {"ok"}
    assert stage.received() == []


# ------------------------------------------------------------------ a server that is not ours


class Inbox:
    """A handler of aiosmtpd that keeps what it is given and refuses one recipient."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, mail: Mail, address: str, _options: list[str]
    ) -> str:
        if address.startswith("gone@"):
            return "550 5.1.1 gone"
        mail.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: SMTP, _session: Session, mail: Mail) -> str:  # noqa: N802 - as above
        self.mails.append((mail.rcpt_tos, mail.original_content or b""))
        return "250 queued"


def test_aiosmtpd_takes_the_same_conversation() -> None:
    inbox = Inbox()
    sent: list[str] = []
    headers = MailHeaders("digest@sender.example")
    content = pack(MESSAGE, recipient=Recipient(ANA), headers=headers, key="k", sent_at=START)

    def deliver(port: int) -> None:
        channel = Smtp(host="127.0.0.1", port=port, security="none", sender="digest@sender.example")
        with channel.session() as session:
            for one in (ANA, "gone@team.example", "ben@team.example"):
                try:
                    session.deliver(Envelope(one, one, content), commit=lambda: True)
                    sent.append(one)
                except DeliveryError as error:
                    assert error.permanent  # noqa: PT017 - the loop goes on with the next one

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        controller = UnthreadedController(inbox, "127.0.0.1", 0, loop=loop)
        server = await loop.create_server(controller.factory, "127.0.0.1", 0)
        await asyncio.to_thread(deliver, server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()

    asyncio.run(serve())

    assert sent == [ANA, "ben@team.example"]
    assert [recipients for recipients, _ in inbox.mails] == [[ANA], ["ben@team.example"]]
    assert inbox.mails[0][1] == content
