"""Planted secrets under faults: found in no output, log, alert, ledger, file or chain of exceptions.

The last net is taken away here, so that each place has to keep its secrets by itself.
"""

from __future__ import annotations

import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from digest.bug import report
from digest.errors import DigestError, Reason
from digest.journal import KNOWN
from digest.model import Secret
from tests.delivery.scene import a_relay
from tests.delivery.test_signing import pair
from tests.effort import effort
from tests.fakes.healthchecks import SECRET as CHECK
from tests.fakes.hubspot import TOKEN as PORTAL_TOKEN
from tests.fakes.hubspot import Fault as PortalFault
from tests.fakes.hubspot import Portal
from tests.fakes.slack import HOOK, SlackServer
from tests.fakes.slack import Fault as SlackFault
from tests.fakes.slack import running as slacking
from tests.fakes.smtp import Fault
from tests.hubspot.scene import scene as hubspot_scene
from tests.operation.scene import MONDAY, OPERATOR, TEAM, Stage, a_stage, at, source_error

PASSWORD = "canary-smtp-1f"
HOOK_SECRET = HOOK.rpartition("/")[2]


def dkim_lines() -> list[str]:
    """A few lines of the key: each one is a secret."""
    return pair()[0].private_key.reveal().splitlines()[1:-1][:5]


def spelled(secret: str) -> Iterator[bytes]:
    for form in (secret, quote(secret, safe=""), quote_plus(secret)):
        yield form.encode()
    raw = secret.encode()
    for offset in range(3):  # within another text, as the login of SMTP has it
        core = b64encode(b"\0" * offset + raw).rstrip(b"=")
        yield core[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]


@dataclass
class Everything:
    """All that a run leaves behind or says."""

    stage: Stage
    folder: Path
    slack: SlackServer
    chains: list[str]

    def texts(self) -> Iterator[tuple[str, bytes]]:
        stage = self.stage
        for name, lines in (
            ("the journal", stage.lines),
            ("stderr", stage.said),
            ("stdout", stage.printed),
            ("exceptions", self.chains),
            ("pings", [call.body for call in stage.checks.calls]),
            ("Slack", [str(post.message) for post in self.slack.posts]),
        ):
            yield name, "\n".join(lines).encode()
        for mail in (*stage.operator.accepted, *stage.relay.accepted):
            yield f"mail to {mail.recipient}", mail.content
        yield "an alert", "\n".join(str(mail.get_content()) for mail in stage.alerts).encode()
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()


Spoil = Callable[[Stage, Path], None]


def nothing(_stage: Stage, _folder: Path) -> None:
    """Leave everything as it is."""


def no_ledger(_stage: Stage, folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"")


def a_broken_template(stage: Stage, folder: Path) -> None:
    (folder / "templates").mkdir()
    (folder / "templates/digest.txt").write_text("{{ no_such_figure }}")
    stage.settings = replace(stage.settings, templates=folder / "templates")


def a_bug(stage: Stage, _folder: Path) -> None:
    stage.source(None).error = ZeroDivisionError("boom")  # type: ignore[assignment]  # what no source may raise


def a_held_source(stage: Stage, _folder: Path) -> None:
    stage.source(source_error(Reason.AUTH))


def no_relay(stage: Stage, _folder: Path) -> None:
    login = {"username": "digest", "password": Secret(PASSWORD), "dkim": None}
    channel: Any = stage.settings.channels["smtp"]
    stage.settings = replace(stage.settings, channels={"smtp": replace(channel, port=1, **login)})


FAULTS: dict[str, tuple[Sequence[Fault], Spoil]] = {
    "nothing": ((), nothing),
    "login": ((Fault("AUTH", "535 5.7.8 no"),), nothing),
    "greeting": ((Fault("greeting", "421 busy"),), nothing),
    "refused": ((Fault("RCPT", "550 no", TEAM[0]),), nothing),
    "all refused": ((Fault("RCPT", "550 no"),), nothing),
    "greylisted": ((Fault("RCPT", "450 later"),), nothing),
    "reset": ((Fault("DATA", "reset"),), nothing),
    "no reply": ((Fault("reply", "drop", TEAM[0]),), nothing),
    "no relay": ((), no_relay),
    "no ledger": ((), no_ledger),
    "template": ((), a_broken_template),
    "source": ((), a_held_source),
    "bug": ((), a_bug),
}
# How the ways to the operator fail as well.
WAYS: dict[str, tuple[Sequence[Fault], Sequence[SlackFault], tuple[int, ...]]] = {
    "all ways work": ((), (), (200,)),
    "no mail": ((Fault("AUTH", "535 5.7.8 no"),), (), (200,)),
    "no mail, Slack drops": ((Fault("MAIL", "reset"),), (SlackFault("webhook", "drop"),), (404,)),
    "nothing works": (
        (Fault("greeting", "drop"),),
        (SlackFault("webhook", "error", "no_service"),),
        (404,),
    ),
}
# Those between all and nothing are tried in .ci/run.
TRIED = effort(("all ways work", "nothing works"), tuple(WAYS))


@pytest.mark.parametrize("way", TRIED)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_is_found_anywhere_after_a_fault(tmp_path: Path, fault: str, way: str) -> None:
    faults, spoil = FAULTS[fault]
    broken_mail, broken_slack, answers = WAYS[way]
    users = {"digest": PASSWORD}
    with ExitStack() as stack:
        stage = stack.enter_context(
            a_stage(
                tmp_path,
                relay={"faults": faults, "users": users},
                operator={"faults": broken_mail, "users": users},
                answers=answers,
            )
        )
        workspace = stack.enter_context(slacking(SlackServer(faults=broken_slack)))
        dkim = replace(pair()[0], domain="sender.example")
        login: dict[str, Any] = {"username": "digest", "password": Secret(PASSWORD), "dkim": dkim}
        stage.tell(
            ("mail", a_relay(stage.operator.port, (OPERATOR,), **login)),
            ("slack", workspace.hook()),
        )
        readers = a_relay(stage.relay.port, TEAM, **login)
        stage.settings = replace(stage.settings, channels={"smtp": readers})
        stage.redact = str
        if fault == "no ledger":
            stage.call(at(7, 31, day=MONDAY.replace(day=12)))
        spoil(stage, tmp_path)
        chains = []
        for hour in (7, 12):
            try:
                stage.call(at(hour, 31))
            except ZeroDivisionError as error:
                chains.append("".join(traceback.format_exception(error)))
        chains += stage.chains
        everything = Everything(stage, tmp_path, workspace, chains)

        assert stage.lines
        assert fault == "nothing" or stage.alerts or workspace.posts or stage.said
        secrets = (PASSWORD, HOOK_SECRET, CHECK, *dkim_lines())
        found = [
            (secret, name)
            for name, text in everything.texts()
            for secret in secrets
            if any(form in text for form in spelled(secret))
        ]
        assert found == []


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_token_of_the_crm_stays_out_of_what_a_refusal_leaves_behind(
    tmp_path: Path, status: int
) -> None:
    portal = Portal()
    with a_stage(tmp_path) as stage, hubspot_scene(portal) as crm:
        portal.faults.extend([PortalFault(status)] * 200)
        stage.redact = str
        stage.settings = replace(stage.settings, connector=crm.hubspot(token=Secret(PORTAL_TOKEN)))
        assert stage.call(at(7, 31)) in (2, 3)
        stage.call(at(12, 0))

        everything = Everything(stage, tmp_path, SlackServer(), stage.chains)
        found = [
            name
            for name, text in everything.texts()
            if any(form in text for form in spelled(PORTAL_TOKEN))
        ]
        assert found == []
        assert stage.chains


def test_these_tests_would_find_a_secret(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.redact = str
        stage.source(source_error(Reason.AUTH, f"the key {PASSWORD} was refused"))
        stage.call(at(7, 31))
        everything = Everything(stage, tmp_path, SlackServer(), stage.chains)
        found = {
            name
            for name, text in everything.texts()
            if any(form in text for form in spelled(PASSWORD))
        }

    assert {"stdout", "exceptions", "an alert", str(tmp_path / "ledger.sqlite")} <= found


def test_the_last_net_catches_what_slips_through(tmp_path: Path) -> None:
    with a_stage(tmp_path, relay={"users": {"digest": PASSWORD}}) as stage:
        stage.source(source_error(Reason.AUTH, f"the key {PASSWORD} was refused"))
        stage.call(at(7, 31))

        assert "the key *** was refused" in stage.text()
        assert not any(PASSWORD in line for line in stage.lines)


def test_the_report_of_a_bug_holds_no_secret_either() -> None:
    KNOWN.learn(["canary-in-a-bug"])
    said = report(DigestError("canary-in-a-bug"))
    path = Path(said.partition("The report is in ")[2].partition(";")[0])
    try:
        text = path.read_text()
    finally:
        path.unlink()

    assert "canary" not in text
    assert "DigestError: ***" in text
