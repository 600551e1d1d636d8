from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from digest import delivery
from digest.channels import Channel
from digest.channels.file import File
from digest.delivery import STEPS, SendResult, back_off, expire, skip
from digest.errors import (
    ConfigError,
    ConnectorError,
    DeliveryError,
    LedgerError,
    OutcomeUnknownError,
    Reason,
)
from digest.ledger import Claim, Decision, Planned, RunState, State, delivery_key
from digest.ledger.store import Ledger
from digest.model import Edition, Envelope, Finding, MailHeaders, Recipient
from digest.render.mime import pack
from tests.delivery.scene import (
    HERE,
    START,
    TEAM,
    THERE,
    TODAY,
    Clock,
    Sender,
    a_ledger,
    a_relay,
    an_edition,
    render,
    team_of,
    to_json,
)
from tests.fakes.smtp import Fault, SmtpServer, running

ANA, BEN, CLEO = TEAM


@dataclass
class Outbox:
    """A channel that keeps what it is given and fails as told: (recipient, error) in order."""

    recipients: tuple[Recipient, ...] = tuple(Recipient(one) for one in TEAM)
    errors: list[tuple[str, BaseException]] = field(default_factory=list)
    sent: list[Envelope] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    form: str = "mime"
    headers: MailHeaders | None = field(
        default_factory=lambda: MailHeaders("digest@sender.example")
    )

    @contextmanager
    def session(self) -> Iterator[Outbox]:
        yield self

    def check(self) -> tuple[Finding, ...]:
        return ()

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        self.tried.append(envelope.recipient)
        for number, (recipient, error) in enumerate(self.errors):
            if recipient == envelope.recipient:
                del self.errors[number]
                if isinstance(error, OutcomeUnknownError):
                    assert commit()
                raise error
        if not commit():
            raise DeliveryError("outbox", "another process owns this delivery", permanent=False)
        self.sent.append(envelope)
        return "250 ok"


def refused(*, permanent: bool = True, concerns_all: bool = False) -> DeliveryError:
    return DeliveryError("outbox", "no", permanent=permanent, concerns_all=concerns_all)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return a_ledger(tmp_path / "ledger.db", clock)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def sender(ledger: Ledger, clock: Clock, outbox: Outbox) -> Sender:
    return Sender(ledger, clock, {"mail": outbox})


def exit_and_states(result: SendResult) -> tuple[int, list[str]]:
    return result.exit_code, [str(outcome.state) for outcome in result.outcomes]


# --------------------------------------------------------------------------------------- send once


def test_everybody_gets_the_edition_over_a_real_conversation(ledger: Ledger, clock: Clock) -> None:
    with running(SmtpServer()) as relay:
        result = Sender(ledger, clock, {"mail": a_relay(relay.port)}).send()

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert [mail.recipient for mail in relay.accepted] == list(TEAM)
    assert all(b"23 leads" in mail.content for mail in relay.accepted)
    assert (
        result.lines[0]
        == "mail an…@team.example: sent 07:31 (250 2.0.0 queued for an…@team.example)"
    )


def test_a_second_call_sends_nothing_and_says_when_and_where_it_was_sent(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    sender.send()
    clock.forward(minutes=15)

    result = sender.send()

    assert len(outbox.sent) == 3
    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert result.lines[0] == "mail an…@team.example: already sent 07:31 by host-a"


@pytest.mark.failure("R2")
def test_the_edition_is_frozen_and_used_again_byte_for_byte(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]
    sender.send()
    frozen = {
        row.key: sender.ledger.message(row) for row in sender.ledger.deliveries("leads", TODAY)
    }
    sender.actual = 99
    clock.forward(minutes=15)

    result = sender.send()

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert result.edition == an_edition(actual=23)
    assert len(sender.composed) == 1
    assert {one.key: one.content for one in outbox.sent} == frozen


def test_a_message_that_another_process_froze_first_is_sent_as_that_one_froze_it(
    sender: Sender, outbox: Outbox, ledger: Ledger
) -> None:
    (channel,) = sender.channels
    key = delivery_key("leads", TODAY, channel, ANA)

    def another_is_faster(step: str) -> None:
        if step == "rendered":
            ledger.plan("leads", TODAY, [Planned(key, channel, ANA, b"theirs")])

    sender.send(hook=another_is_faster)

    assert [one.content == b"theirs" for one in outbox.sent] == [True, False, False]


def test_a_recipient_added_later_gets_the_days_frozen_edition(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    sender.send()
    sender.actual = 99
    outbox.recipients = (*outbox.recipients, Recipient("dora@team.example"))
    clock.forward(minutes=15)

    result = sender.send()

    assert exit_and_states(result) == (0, ["sent"] * 4)
    assert [one.recipient for one in outbox.sent] == [*TEAM, "dora@team.example"]
    assert b"23 leads" in outbox.sent[-1].content


def test_a_recipient_removed_before_being_served_is_cancelled(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]
    sender.send()
    outbox.recipients = (Recipient(ANA), Recipient(CLEO))

    result = sender.send()

    assert exit_and_states(result) == (0, ["sent"] * 2)
    assert sender.states()[BEN] == "cancelled"


def test_a_recipient_removed_and_named_again_is_served(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]
    sender.send()
    everybody, outbox.recipients = outbox.recipients, (Recipient(ANA), Recipient(CLEO))
    sender.send()
    outbox.recipients = everybody

    assert exit_and_states(sender.send()) == (0, ["sent"] * 3)
    assert [one.recipient for one in outbox.sent].count(BEN) == 1


def test_a_recipient_cancelled_by_hand_stays_so(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]
    sender.send()
    sender.ledger.resolve(delivery_key("leads", TODAY, "mail", BEN), Decision.CANCEL)

    assert exit_and_states(sender.send()) == (0, ["sent", "cancelled", "sent"])
    assert BEN not in [one.recipient for one in outbox.sent]


@pytest.mark.failure("R5")
def test_one_address_written_in_two_ways_gets_one_mail(sender: Sender, outbox: Outbox) -> None:
    outbox.recipients = tuple(Recipient(one) for one in (ANA, " ana@TEAM.example "))

    sender.send()

    assert [one.recipient for one in outbox.sent] == [ANA]


def test_recipients_with_the_same_wishes_share_one_rendering(
    sender: Sender, outbox: Outbox
) -> None:
    languages: list[str | None] = []

    def noted(edition: Edition, recipient: Recipient) -> Any:  # noqa: ANN401 - passes it on
        languages.append(recipient.language)
        return render(edition, recipient)

    outbox.recipients = (Recipient(ANA), Recipient(BEN), Recipient(CLEO, language="de"))
    sender.send(render=noted)

    assert languages == [None, "de"]


def test_the_next_edition_is_composed_from_the_last_one_really_sent(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    sender.send()
    outbox.errors = [(one, refused()) for one in TEAM]
    clock.forward(days=1)
    sender.actual = 30
    sender.send(business_date=TODAY + timedelta(1))
    clock.forward(days=1)
    sender.send(business_date=TODAY + timedelta(2))

    assert sender.composed == [None, an_edition(), an_edition()]


def test_the_steps_come_in_the_order_that_makes_a_crash_harmless(
    sender: Sender, outbox: Outbox
) -> None:
    steps: list[str] = []
    outbox.recipients = (Recipient(ANA),)

    sender.send(hook=steps.append)

    assert steps == list(STEPS)


def test_a_slack_channel_id_is_a_recipient_too(sender: Sender, outbox: Outbox) -> None:
    outbox.recipients = (Recipient(" C0123 "),)
    outbox.headers = None
    sender.send(packers={"mime": lambda *_, **facts: repr(facts["headers"]).encode()})

    assert sender.states() == {"C0123": "sent"}
    assert outbox.sent[0].content == b"None"


# ------------------------------------------------------------------------------------- what goes wrong


def test_a_source_without_trustworthy_numbers_holds_the_edition(
    sender: Sender, outbox: Outbox
) -> None:
    def fail(_: Edition | None) -> Edition:
        raise ConnectorError("sql", Reason.TRANSIENT, "is down", remedy="try later")

    with pytest.raises(ConnectorError):
        sender.send(compose=fail)

    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    assert (run.state, run.note) == (RunState.HELD, "sql: is down; try later")
    assert outbox.tried == []

    assert sender.send().exit_code == 0


@pytest.mark.failure("R1", "R4")
def test_a_mistake_in_the_worksheet_or_a_template_holds_the_edition_with_its_reason(
    sender: Sender, outbox: Outbox
) -> None:
    def fail(*_: object) -> Any:  # noqa: ANN401 - never returns
        raise ConfigError("sla.xlsx, C4: found #REF!")

    for change in ({"compose": fail}, {"render": fail}):
        with pytest.raises(ConfigError):
            sender.send(**change)

        run = sender.ledger.run("leads", TODAY)
        assert run is not None
        assert (run.state, run.note) == (RunState.HELD, "sla.xlsx, C4: found #REF!")
    assert outbox.tried == []
    assert sender.send().exit_code == 0


def failing(sender: Sender, *errors: Exception) -> Callable[[Edition | None], Edition]:
    """A source that fails so often, and then answers."""
    left = list(errors)

    def compose(previous: Edition | None) -> Edition:
        if left:
            raise left.pop(0)
        return sender.compose(previous)

    return compose


def down(reason: Reason = Reason.TRANSIENT) -> ConnectorError:
    return ConnectorError("sql", reason, "is down", remedy="try later")


def run_of(sender: Sender) -> tuple[RunState, str | None]:
    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    return run.state, run.note


@pytest.mark.failure("D4")
def test_a_source_that_fails_is_asked_again_within_the_call(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    told: list[str] = []
    during: list[RunState] = []

    def sleep(seconds: float) -> None:
        during.append(run_of(sender)[0])
        clock.sleep(seconds)

    result = sender.send(
        compose=failing(sender, *[down()] * 4),
        patience=timedelta(minutes=20),
        sleep=sleep,
        tell=told.append,
    )

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert clock.slept == [60, 120, 300, 600]
    assert during == [RunState.HELD] * 4
    assert told[0] == "held: sql: is down; try later; next try 05:32 UTC"
    assert len(outbox.sent) == 3


@pytest.mark.parametrize(
    ("limits", "slept"),
    [((20, None), [60, 120, 300, 600]), ((60, 9), [60, 120, 300]), ((60, 8), [60, 120])],
)
def test_a_source_is_asked_until_the_calls_time_or_send_until_ends(
    sender: Sender, outbox: Outbox, clock: Clock, limits: tuple[int, int | None], slept: list[int]
) -> None:
    patience, until = limits
    with pytest.raises(ConnectorError):
        sender.send(
            compose=failing(sender, *[down()] * 9),
            patience=timedelta(minutes=patience),
            until=until and START + timedelta(minutes=until),
        )

    assert clock.slept == slept
    assert outbox.tried == []
    assert run_of(sender) == (RunState.HELD, "sql: is down; try later")
    # The next call asks at once.
    assert sender.send().exit_code == 0


@pytest.mark.failure("D1", "D2", "D3", "D13")
@pytest.mark.parametrize("reason", [Reason.AUTH, Reason.QUOTA, Reason.DROP])
def test_a_login_a_quota_and_a_fall_are_not_asked_about_again_in_the_same_call(
    sender: Sender, clock: Clock, reason: Reason
) -> None:
    with pytest.raises(ConnectorError):
        sender.send(compose=failing(sender, down(reason)), patience=timedelta(minutes=20))

    assert clock.slept == []
    assert run_of(sender)[0] is RunState.HELD
    assert sender.send().exit_code == 0


@pytest.mark.failure("P2")
def test_a_call_asked_to_end_stops_waiting_for_the_source(sender: Sender, clock: Clock) -> None:
    compose = failing(sender, *[down()] * 9)
    with pytest.raises(ConnectorError):
        sender.send(compose=compose, patience=timedelta(minutes=20), stop=lambda: bool(clock.slept))

    assert clock.slept == [60]
    assert run_of(sender)[0] is RunState.HELD


def test_a_call_that_waits_for_its_source_takes_the_edition_that_another_one_froze(
    sender: Sender, outbox: Outbox, clock: Clock, tmp_path: Path
) -> None:
    other = replace(sender, ledger=a_ledger(tmp_path / "ledger.db", clock, THERE), actual=99)

    def meanwhile(seconds: float) -> None:
        clock.sleep(seconds)
        other.send()

    result = sender.send(
        compose=failing(sender, down()), patience=timedelta(minutes=20), sleep=meanwhile
    )

    assert result.edition == an_edition(actual=99)
    assert (exit_and_states(result), len(outbox.sent)) == ((0, ["sent"] * 3), 3)


def test_waiting_for_the_source_counts_as_part_of_the_calls_time(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))] * 9

    result = sender.send(
        compose=failing(sender, *[down()] * 4), patience=timedelta(minutes=19, seconds=30)
    )

    # 18 minutes for the source leave room for one more attempt, a minute later.
    assert clock.slept == [60, 120, 300, 600, 60]
    assert exit_and_states(result) == (4, ["sent", "deferred", "sent"])
    assert outbox.tried.count(BEN) == 2


def test_a_call_starts_no_message_when_its_time_is_over(sender: Sender, clock: Clock) -> None:
    def slow(step: str) -> None:
        if step == "recorded":
            clock.forward(minutes=11)

    result = sender.send(hook=slow, patience=timedelta(minutes=20))

    assert exit_and_states(result) == (4, ["sent", "sent", "pending"])
    assert sender.send().exit_code == 0


def test_a_bug_while_composing_holds_the_edition_and_keeps_its_words_to_itself(
    sender: Sender,
) -> None:
    with pytest.raises(ZeroDivisionError):
        sender.send(compose=failing(sender, ZeroDivisionError("with ana@firm.example")))

    assert run_of(sender) == (RunState.HELD, "a bug: ZeroDivisionError")
    assert sender.send().exit_code == 0


def test_what_was_held_until_send_until_expires_with_its_reason(
    sender: Sender, ledger: Ledger
) -> None:
    with pytest.raises(ConnectorError):
        sender.send(compose=failing(sender, down()))
    late = {"digest_id": "leads", "business_date": TODAY, "zone": "Europe/Zurich"}

    for _ in range(2):
        result = expire(ledger=ledger, **late)  # type: ignore[arg-type]  # a mapping of arguments

        assert (result.exit_code, result.note) == (
            4,
            "held until send_until: sql: is down; try later",
        )
        assert run_of(sender) == (RunState.EXPIRED, result.note)


def test_a_failure_of_one_process_does_not_hold_what_another_one_sends(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]

    def overtaken(_: Edition | None) -> Edition:
        sender.send()
        raise ConnectorError("sql", Reason.TRANSIENT, "is down", remedy="try later")

    with pytest.raises(ConnectorError):
        sender.send(compose=overtaken)

    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    assert run.state is RunState.SENDING


def test_a_run_says_how_far_it_has_come(sender: Sender) -> None:
    seen: dict[str, RunState] = {}

    def note(step: str) -> None:
        run = sender.ledger.run("leads", TODAY)
        if run is not None:
            seen[step] = run.state

    sender.send(hook=note)
    note("end")

    assert seen["run opened"] is RunState.PLANNED
    assert seen["composed"] is RunState.COLLECTING
    assert seen["edition frozen"] is RunState.COLLECTED
    assert seen["rendered"] is RunState.RENDERED
    assert seen["messages frozen"] is seen["recorded"] is RunState.SENDING
    assert seen["end"] is RunState.DONE


def test_a_date_without_an_edition_is_written_down_with_its_reason(
    sender: Sender, ledger: Ledger
) -> None:
    monday = TODAY - timedelta(1)
    skip(digest_id="leads", business_date=monday, ledger=ledger, reason="Easter Monday")
    sender.send()
    skip(digest_id="leads", business_date=TODAY, ledger=ledger, reason="too late to say so")

    runs = {run.business_date: (run.state, run.note) for run in ledger.runs("leads")}
    assert runs == {
        monday: (RunState.SKIPPED, "Easter Monday"),
        TODAY: (RunState.DONE, None),
    }


def test_a_message_that_cannot_be_rendered_mails_nobody(sender: Sender, outbox: Outbox) -> None:
    def second_fails(edition: Edition, recipient: Recipient) -> Any:  # noqa: ANN401 - passes it on
        if recipient.language == "de":
            raise ValueError("template")
        return render(edition, recipient)

    outbox.recipients = (Recipient(ANA), Recipient(BEN, language="de"))
    with pytest.raises(ValueError, match="template"):
        sender.send(render=second_fails)

    assert outbox.tried == []
    assert sender.states() == {}


def test_a_refused_recipient_does_not_stop_the_others(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(BEN, refused())]

    result = sender.send()
    again = sender.send()

    assert exit_and_states(result) == exit_and_states(again) == (4, ["sent", "refused", "sent"])
    assert result.lines[1] == "mail be…@team.example: refused (outbox: no)"
    assert outbox.tried == list(TEAM)


def test_a_deferred_recipient_is_tried_again_within_the_call(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False)), (BEN, refused(permanent=False))]
    told: list[str] = []

    result = sender.send(patience=timedelta(minutes=20), tell=told.append)

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert clock.slept == [60.0, 300.0]
    assert told == [
        "1 not served yet, next attempt 05:32 UTC",
        "1 not served yet, next attempt 05:37 UTC",
    ]


def test_a_call_gives_up_when_its_patience_ends_and_the_next_one_goes_on(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))] * 5

    result = sender.send(patience=timedelta(minutes=20))

    assert exit_and_states(result) == (4, ["sent", "deferred", "sent"])
    assert sum(clock.slept) == 6 * 60
    assert result.lines[1] == (
        "mail be…@team.example: not sent yet, next attempt from 07:52 (outbox: no)"
    )
    assert sender.send().outcomes[1].state is State.DEFERRED
    assert outbox.tried.count(BEN) == 3


def test_a_relay_that_is_down_is_tried_once_a_round_for_all(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(ANA, refused(permanent=False, concerns_all=True))]

    result = sender.send(patience=timedelta(minutes=2))

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert outbox.tried == [ANA, *TEAM]
    assert clock.slept == [60.0]


def test_a_wrong_password_is_not_tried_again_in_the_same_call(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(ANA, refused(concerns_all=True))]

    result = sender.send(patience=timedelta(minutes=20))

    assert exit_and_states(result) == (4, ["pending"] * 3)
    assert outbox.tried == [ANA]
    assert clock.slept == []
    assert result.lines[2] == "mail cl…@team.example: not sent yet (not tried)"
    assert sender.send().exit_code == 0


def test_a_channel_that_is_down_does_not_stop_the_others(
    ledger: Ledger, clock: Clock, outbox: Outbox
) -> None:
    down = Outbox(errors=[(ANA, refused(concerns_all=True))])

    result = Sender(ledger, clock, {"down": down, "mail": outbox}).send()

    assert result.exit_code == 4
    assert len(outbox.sent) == 3


def test_only_the_channel_that_has_something_left_is_opened_again(
    ledger: Ledger, clock: Clock, outbox: Outbox
) -> None:
    slow = Outbox(errors=[(BEN, refused(permanent=False))])

    result = Sender(ledger, clock, {"mail": outbox, "slow": slow}).send(
        patience=timedelta(minutes=2)
    )

    assert result.exit_code == 0
    assert (len(outbox.tried), len(slow.tried)) == (3, 4)


def test_an_unknown_outcome_is_never_resent_and_told_in_each_call(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, OutcomeUnknownError("outbox", "no answer"))]

    first = sender.send(patience=timedelta(hours=3))
    clock.forward(hours=1)
    second = sender.send(patience=timedelta(hours=3))

    assert exit_and_states(first) == exit_and_states(second) == (5, ["sent", "unknown", "sent"])
    assert outbox.tried == list(TEAM)
    assert second.lines[1] == (
        "mail be…@team.example: outcome unknown (outbox: no answer); "
        "settle it with `digest resolve leads/2026-04-07/mail/ben@team.example`"
    )


@dataclass
class Remembering(Outbox):
    """A relay that knows a mail again for a while, by a key that the mail carries."""

    period: timedelta | None = timedelta(minutes=15)

    def remembers(self, envelope: Envelope) -> timedelta | None:
        return self.period if envelope.content else None


def lost() -> OutcomeUnknownError:
    return OutcomeUnknownError("outbox", "no answer")


@pytest.mark.failure("M7")
def test_an_unknown_outcome_is_tried_once_more_where_the_other_side_knows_it_again(
    sender: Sender,
) -> None:
    relay = Remembering(errors=[(BEN, lost())])

    result = replace(sender, channels={"mail": relay}).send()

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert relay.tried.count(BEN) == 2
    row = sender.ledger.delivery(delivery_key("leads", TODAY, "mail", BEN))
    assert row is not None
    assert relay.sent[-1] == Envelope(row.key, BEN, sender.ledger.message(row))


@pytest.mark.failure("M7")
@pytest.mark.parametrize(
    ("period", "minutes", "tries"),
    [(15, 7, 2), (15, 9, 1), (5, 0, 1), (None, 0, 1)],
)
def test_nothing_is_tried_again_when_the_other_side_may_have_forgotten_it(
    sender: Sender, clock: Clock, period: int | None, minutes: int, tries: int
) -> None:
    forgetful = replace(sender, channels={"mail": Outbox(errors=[(BEN, lost())])})
    assert forgetful.send().exit_code == 5
    clock.forward(minutes=minutes)
    relay = Remembering(period=None if period is None else timedelta(minutes=period))

    result = replace(sender, channels={"mail": relay}).send()

    assert 1 + relay.tried.count(BEN) == tries
    assert result.exit_code == (0 if tries == 2 else 5)


@pytest.mark.failure("M7")
def test_what_is_lost_again_and_again_is_tried_once_a_call_while_it_is_remembered(
    sender: Sender, clock: Clock
) -> None:
    relay = Remembering(errors=[(BEN, lost())] * 9)
    there = replace(sender, channels={"mail": relay})
    tries = []
    for _ in range(5):
        assert there.send().exit_code == 5
        tries.append(relay.tried.count(BEN))
        clock.forward(minutes=4)

    # From the ninth minute on a fresh try might end after the quarter of an hour since the first one.
    assert tries == [2, 3, 4, 4, 4]


@pytest.mark.failure("M7")
def test_an_unknown_outcome_that_another_process_may_still_settle_is_left_to_it(
    sender: Sender, tmp_path: Path, clock: Clock
) -> None:
    relay = Remembering(recipients=(Recipient(BEN),))
    here = replace(sender, channels={"mail": relay})

    def die(step: str) -> None:
        if step == "committed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.send(hook=die)
    clock.forward(minutes=12)
    relay.period = timedelta(hours=1)
    relay.sent.clear()

    result = here.send()

    assert exit_and_states(result) == (5, ["unknown"])
    assert relay.sent == []
    elsewhere = replace(here, ledger=a_ledger(tmp_path / "ledger.db", clock, gone=lambda _: True))
    assert elsewhere.send().exit_code == 0


def test_an_unknown_outcome_of_an_earlier_day_is_told_until_it_is_settled(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, OutcomeUnknownError("outbox", "no answer"))]
    sender.send()
    clock.forward(days=1)
    tomorrow = TODAY + timedelta(1)

    assert exit_and_states(sender.send(business_date=tomorrow)) == (5, ["sent"] * 3 + ["unknown"])
    sender.ledger.resolve(sender.ledger.unknown()[0].key, Decision.CANCEL)
    assert exit_and_states(sender.send(business_date=tomorrow)) == (0, ["sent"] * 3)


def test_an_unknown_delivery_settled_by_hand_is_no_longer_told(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(BEN, OutcomeUnknownError("outbox", "no answer"))]
    sender.send()
    sender.ledger.resolve(sender.ledger.unknown()[0].key, Decision.SENT)

    assert sender.send().exit_code == 0
    assert outbox.tried == list(TEAM)


def test_an_unknown_delivery_resent_by_hand_carries_the_same_bytes(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(BEN, OutcomeUnknownError("outbox", "no answer"))]
    sender.send()
    row = sender.ledger.unknown()[0]
    sender.ledger.resolve(row.key, Decision.RESEND)

    assert sender.send().exit_code == 0
    assert outbox.sent[-1] == Envelope(row.key, BEN, sender.ledger.message(row))


def test_a_bug_in_a_channel_leaves_the_delivery_waiting(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(ANA, ZeroDivisionError())]

    with pytest.raises(ZeroDivisionError):
        sender.send()

    assert sender.states() == dict.fromkeys(TEAM, "pending")
    assert sender.send().exit_code == 0


def test_an_interruption_after_the_commit_leaves_no_excuse_to_send_again(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    def interrupt(step: str) -> None:
        if step == "committed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender.send(hook=interrupt)
    assert sender.states()[ANA] == "committing"
    clock.forward(minutes=12)

    assert exit_and_states(sender.send()) == (5, ["unknown", "sent", "sent"])
    assert [one.recipient for one in outbox.sent] == [BEN, CLEO]


# ----------------------------------------------------------------------------------- two at once


def test_a_second_starter_sees_what_the_first_is_doing(
    sender: Sender, tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    other = replace(sender, ledger=a_ledger(tmp_path / "ledger.db", clock, THERE))
    seen: list[SendResult] = []

    def meanwhile(step: str) -> None:
        if step == "claimed" and not seen:
            seen.append(other.send())

    result = sender.send(hook=meanwhile)

    assert exit_and_states(seen[0]) == (0, ["claimed", "sent", "sent"])
    assert seen[0].lines[0] == "mail an…@team.example: in progress on host-a, lease until 07:39"
    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert sorted(one.recipient for one in outbox.sent) == sorted(TEAM)


def test_two_starters_that_both_compose_use_the_edition_of_the_first(
    sender: Sender, tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    other = replace(sender, ledger=a_ledger(tmp_path / "ledger.db", clock, THERE), actual=99)

    def meanwhile(step: str) -> None:
        if step == "composed":
            other.send()

    result = sender.send(hook=meanwhile)

    assert result.edition == an_edition(actual=99)
    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert len(outbox.sent) == 3


class Unfenced(Ledger):
    """What the product must not be: the check at the last moment is left out."""

    def commit(self, claim: Claim) -> bool:
        super().commit(claim)
        return True


@pytest.mark.parametrize(("kind", "copies"), [(Ledger, 1), (Unfenced, 2)])
def test_a_process_that_wakes_up_after_its_lease_is_stopped_by_the_fence_alone(
    tmp_path: Path, clock: Clock, outbox: Outbox, kind: type[Ledger], copies: int
) -> None:
    """The second case removes the fence and shows that this test would notice."""
    path = tmp_path / "ledger.db"
    outbox.recipients = (Recipient(ANA),)
    channels = {"mail": outbox}
    stalled = Sender(a_ledger(path, clock, kind=kind), clock, channels)
    other = Sender(a_ledger(path, clock, THERE), clock, channels)
    slept: list[str] = []

    def sleep_past_the_lease(step: str) -> None:
        if step == "body sent" and not slept:
            slept.append(step)
            clock.forward(minutes=10)
            assert other.send().exit_code == 0

    # A monotonic clock may stand still while a machine sleeps, so it must not be what saves us.
    result = stalled.send(hook=sleep_past_the_lease, monotonic=lambda: 0.0)

    assert len(outbox.sent) == copies
    assert result.exit_code == 0


@pytest.mark.parametrize("step", ["body sent", "committed"])
def test_a_delivery_that_took_too_long_is_not_finished(
    sender: Sender, outbox: Outbox, step: str
) -> None:
    outbox.recipients = (Recipient(ANA),)
    times = iter([0.0])
    late = {"body sent": False, "committed": False}

    def note(name: str) -> None:
        if name == step:
            late[name] = True

    def monotonic() -> float:
        return 421.0 if late[step] else next(times, 0.0)

    result = sender.send(hook=note, monotonic=monotonic)

    assert outbox.sent == []
    assert exit_and_states(result) == (4, ["pending"])
    assert "took too long before the end of the message" in result.lines[0]


# --------------------------------------------------------------------- looked up, and completed


@dataclass
class Findable(Outbox):
    """A channel that can look a message up, and adds something to each one that was taken."""

    there: set[str] = field(default_factory=set)
    looks: list[tuple[datetime, datetime]] = field(default_factory=list)
    completed: list[tuple[str, str]] = field(default_factory=list)
    warning: str | None = None
    clock: Clock = field(default_factory=Clock)

    def find(self, envelope: Envelope, *, since: datetime) -> str | None:
        self.looks.append((self.clock(), since))
        return "found" if envelope.recipient in self.there else None

    def complete(self, envelope: Envelope, receipt: str) -> str | None:
        self.completed.append((envelope.recipient, receipt))
        return self.warning


@pytest.fixture
def findable(clock: Clock) -> Findable:
    return Findable(recipients=(Recipient(ANA),), clock=clock)


def offsets(findable: Findable) -> list[float]:
    return [(at - START).total_seconds() for at, _ in findable.looks]


def test_what_a_channel_adds_is_added_once_and_its_warning_told(
    sender: Sender, findable: Findable
) -> None:
    findable.warning = "the chart is not there"

    result = replace(sender, channels={"mail": findable}).send()

    assert findable.completed == [(ANA, "250 ok")]
    assert result.lines[0].endswith("(250 ok); the chart is not there")


def test_a_channel_without_a_warning_adds_no_word(sender: Sender, findable: Findable) -> None:
    result = replace(sender, channels={"mail": findable}).send()

    assert result.lines[0].endswith("sent 07:31 (250 ok)")


def test_a_correction_adds_nothing(sender: Sender, findable: Findable) -> None:
    there = replace(sender, channels={"mail": findable})
    there.send()
    there.send(correction=1, named=True)

    assert len(findable.sent) == 2
    assert len(findable.completed) == 1


def test_an_unknown_outcome_is_looked_up_after_half_a_minute_two_and_ten(
    sender: Sender, findable: Findable
) -> None:
    findable.errors = [(ANA, lost())]

    result = replace(sender, channels={"mail": findable}).send(patience=timedelta(minutes=20))

    assert exit_and_states(result) == (5, ["unknown"])
    assert offsets(findable) == [30, 120, 600]
    assert {since for _, since in findable.looks} == {START}


def test_what_is_found_is_sent_completed_and_looked_up_no_more(
    sender: Sender, findable: Findable, clock: Clock
) -> None:
    findable.errors, findable.there = [(ANA, lost())], {ANA}
    there = replace(sender, channels={"mail": findable})

    result = there.send(patience=timedelta(seconds=30))

    assert exit_and_states(result) == (0, ["sent"])
    assert findable.completed == [(ANA, "found")]
    assert offsets(findable) == [30]
    assert clock.slept == [30]


def test_a_doubt_of_an_earlier_call_is_looked_up_at_once_and_then_at_its_times(
    sender: Sender, findable: Findable, clock: Clock
) -> None:
    findable.errors = [(ANA, lost())]
    there = replace(sender, channels={"mail": findable})
    there.send()
    clock.forward(minutes=1)

    there.send(patience=timedelta(minutes=20))

    # Of an attempt that has ended only its end is known: it began up to a minute and a half before.
    since = START - timedelta(seconds=90)
    assert {one for _, one in findable.looks} == {since}
    assert offsets(findable) == [60, 510]


def test_a_doubt_that_a_dead_process_left_counts_from_its_commit(
    ledger: Ledger, findable: Findable, clock: Clock, tmp_path: Path
) -> None:
    there = Sender(ledger, clock, {"mail": findable})
    with pytest.raises(KeyboardInterrupt):
        there.send(hook=interrupt_at("committed"))
    clock.forward(minutes=1)
    alive = a_ledger(tmp_path / "ledger.db", clock, THERE, gone=lambda _: True)

    Sender(alive, clock, {"mail": findable}).send()

    assert [since for _, since in findable.looks] == [START]


def interrupt_at(step: str) -> Callable[[str], None]:
    def hook(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    return hook


# ---------------------------------------------------------------------- what the other side asks for


def waiting_for(seconds: float, *, concerns_all: bool = False, permanent: bool = False) -> Any:  # noqa: ANN401 - an error
    return DeliveryError(
        "outbox", "later", permanent=permanent, concerns_all=concerns_all, retry_after=seconds
    )


@pytest.mark.parametrize(("asked", "waited"), [(0, 1), (7, 7), (30, 30)])
def test_a_channel_that_asks_for_time_gets_it(
    sender: Sender, outbox: Outbox, clock: Clock, asked: float, waited: float
) -> None:
    outbox.errors = [(ANA, waiting_for(asked, concerns_all=True))]

    result = sender.send(patience=timedelta(minutes=1))

    assert exit_and_states(result) == (0, ["sent"] * 3)
    assert clock.slept == [waited]


def test_a_channel_that_asks_for_more_than_half_a_minute_is_for_a_later_call(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(ANA, waiting_for(31, concerns_all=True))]

    result = sender.send(patience=timedelta(minutes=20))

    assert exit_and_states(result) == (4, ["pending"] * 3)
    assert clock.slept == []
    row = sender.ledger.delivery(delivery_key("leads", TODAY, "mail", ANA))
    assert row is not None
    assert (row.next_at, row.note) == (START + timedelta(seconds=31), "outbox: later")
    assert "next attempt from 07:31" in result.lines[0]


def test_one_recipient_who_has_to_wait_is_deferred_as_long_as_asked(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(BEN, waiting_for(600))]

    sender.send()

    row = sender.ledger.delivery(delivery_key("leads", TODAY, "mail", BEN))
    assert row is not None
    assert (row.state, row.next_at) == (State.DEFERRED, START + timedelta(minutes=10))


def test_a_channel_that_a_person_has_to_mend_has_no_next_attempt(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(ANA, refused(concerns_all=True))]

    result = sender.send(patience=timedelta(minutes=20))

    assert [outcome.blocked for outcome in result.outcomes] == [True] * 3
    row = sender.ledger.delivery(delivery_key("leads", TODAY, "mail", ANA))
    assert row is not None
    assert (row.state, row.next_at, row.note) == (State.PENDING, None, "outbox: no")


def test_a_channel_that_is_down_for_now_is_tried_after_the_back_off(
    sender: Sender, outbox: Outbox
) -> None:
    outbox.errors = [(ANA, refused(permanent=False, concerns_all=True))]

    result = sender.send()

    assert [outcome.blocked for outcome in result.outcomes] == [False] * 3
    row = sender.ledger.delivery(delivery_key("leads", TODAY, "mail", ANA))
    assert row is not None
    assert (row.state, row.next_at) == (State.PENDING, START + timedelta(minutes=1))


# ---------------------------------------------------------------------------------- stop and window


@pytest.mark.failure("P2")
def test_a_call_asked_to_end_stops_before_the_next_recipient(
    sender: Sender, outbox: Outbox
) -> None:
    result = sender.send(stop=lambda: len(outbox.sent) == 1)

    assert exit_and_states(result) == (4, ["sent", "pending", "pending"])


@pytest.mark.failure("P2")
def test_what_was_claimed_for_later_is_given_back_by_a_call_that_ends(
    sender: Sender, outbox: Outbox
) -> None:
    steps: list[str] = []

    result = sender.send(hook=steps.append, stop=lambda: steps[-1:] == ["recorded"])

    assert exit_and_states(result) == (4, ["sent", "pending", "pending"])
    assert "not sent yet (stopped before it was begun)" in result.lines[1]
    assert exit_and_states(sender.send()) == (0, ["sent"] * 3)
    assert outbox.tried == list(TEAM)


def test_a_message_costs_two_commits(sender: Sender, ledger: Ledger) -> None:
    commits: list[int] = []
    event.listen(ledger._backend.engine, "commit", lambda _: commits.append(1))
    at: list[int] = []

    sender.send(hook=lambda step: at.append(len(commits)) if step == "claimed" else None)

    written = [later - before for before, later in pairwise(at)]
    # The commit, and the outcome with the next claim; the frozen bytes are at hand.
    assert written == [2, 2]


@pytest.mark.failure("P2")
def test_a_call_asked_to_end_in_the_middle_stops_before_the_dot(
    sender: Sender, outbox: Outbox
) -> None:
    asked: list[str] = []

    def ask(step: str) -> None:
        if step == "body sent":
            asked.append(step)

    result = sender.send(hook=ask, stop=lambda: bool(asked))

    assert outbox.sent == []
    assert exit_and_states(result) == (4, ["pending"] * 3)
    assert "not sent yet (stopped before the end of the message)" in result.lines[0]


def test_nothing_is_started_after_send_until_and_what_waits_expires(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))] * 9
    until = START + timedelta(minutes=10)

    first = sender.send(until=until, patience=timedelta(hours=1))
    assert first.outcomes[1].state is State.DEFERRED
    clock.forward(minutes=10)
    result = sender.send(until=until)

    assert exit_and_states(result) == (4, ["sent", "expired", "sent"])
    assert outbox.tried.count(BEN) == 3


def test_an_edition_that_never_went_out_expires(ledger: Ledger) -> None:
    result = expire(digest_id="leads", business_date=TODAY, ledger=ledger, zone="Europe/Zurich")

    run = ledger.run("leads", TODAY)
    assert run is not None
    assert (run.state, result.exit_code) == (RunState.EXPIRED, 4)
    assert result.note == run.note == "send_until has passed"


def test_a_late_call_after_everybody_was_served_is_no_failure(sender: Sender) -> None:
    sender.send()

    result = expire(
        digest_id="leads", business_date=TODAY, ledger=sender.ledger, zone="Europe/Zurich"
    )

    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    assert (run.state, result.exit_code) == (RunState.DONE, 0)
    assert result.lines[0].endswith("already sent 07:31 by host-a")


def test_what_waits_at_a_late_call_expires(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(ANA, refused(concerns_all=True))]
    sender.send()

    result = expire(
        digest_id="leads", business_date=TODAY, ledger=sender.ledger, zone="Europe/Zurich"
    )

    assert exit_and_states(result) == (4, ["expired"] * 3)
    assert sender.send().exit_code == 4
    assert outbox.sent == []


def test_what_nobody_came_back_to_expires_with_the_next_edition(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.errors = [(BEN, refused(permanent=False))]
    sender.send()
    clock.forward(days=1)
    assert sender.states()[BEN] == "deferred"

    result = sender.send(business_date=TODAY + timedelta(1))

    assert result.exit_code == 0
    assert list(sender.states().values()) == ["sent", "expired", "sent"]
    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    assert run.state is RunState.EXPIRED


def test_a_late_call_ends_earlier_dates_too(sender: Sender, clock: Clock) -> None:
    sender.ledger.open_run("leads", TODAY)
    clock.forward(days=1)

    tomorrow = TODAY + timedelta(1)
    expire(digest_id="leads", business_date=tomorrow, ledger=sender.ledger, zone="Europe/Zurich")

    states = [run.state for run in sender.ledger.runs("leads")]
    assert states == [RunState.EXPIRED, RunState.EXPIRED]


def test_a_run_whose_end_was_cut_off_is_done_when_everybody_has_an_outcome(
    sender: Sender, outbox: Outbox, clock: Clock
) -> None:
    outbox.recipients = (Recipient(ANA),)

    def die(step: str) -> None:
        if step == "recorded":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender.send(hook=die)
    clock.forward(days=1)
    sender.send(business_date=TODAY + timedelta(1))

    run = sender.ledger.run("leads", TODAY)
    assert run is not None
    assert run.state is RunState.DONE


def test_what_is_at_work_on_an_earlier_date_is_left_alone(sender: Sender, ledger: Ledger) -> None:
    found: list[RunState] = []

    def tomorrow(step: str) -> None:
        if step == "claimed" and not found:
            ledger.expire_before("leads", TODAY + timedelta(1))
            run = ledger.run("leads", TODAY)
            found.append(run.state if run else RunState.SKIPPED)

    result = sender.send(hook=tomorrow)

    assert found == [RunState.SENDING]
    assert exit_and_states(result) == (4, ["sent", "expired", "expired"])


def test_what_expired_goes_out_when_a_person_names_the_date(sender: Sender, outbox: Outbox) -> None:
    outbox.errors = [(ANA, refused(concerns_all=True))]
    sender.send()
    expire(digest_id="leads", business_date=TODAY, ledger=sender.ledger, zone="Europe/Zurich")

    assert exit_and_states(sender.send(named=True)) == (0, ["sent"] * 3)
    assert len(outbox.sent) == 3


def test_a_date_before_the_last_one_sent_is_refused_unless_it_is_named(
    sender: Sender, outbox: Outbox
) -> None:
    sender.send()
    yesterday = TODAY - timedelta(1)

    with pytest.raises(LedgerError, match="clock"):
        sender.send(business_date=yesterday)
    assert len(outbox.sent) == 3

    assert sender.send(business_date=yesterday, named=True).exit_code == 0
    assert len(outbox.sent) == 6


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 1), (2, 5), (3, 15), (4, 30), (9, 30)])
def test_the_waits_between_attempts_grow(attempts: int, minutes: int) -> None:
    assert back_off(attempts) == timedelta(minutes=minutes)


# --------------------------------------------------------------------------- when recording fails


@dataclass
class Full:
    """Makes a ledger's `record` fail so many times."""

    times: int


def a_full_ledger(path: Path, clock: Clock, times: int) -> Ledger:
    left = Full(times)

    class Failing(Ledger):
        def record(self, claim: Claim, state: State, note: str, **more: Any) -> bool:  # noqa: ANN401 - passes it on
            if state is State.SENT and left.times:
                left.times -= 1
                raise LedgerError("ledger is full", remedy="free space", passing=True)
            return super().record(claim, state, note, **more)

    return a_ledger(path, clock, kind=Failing)


def test_an_outcome_that_can_be_written_a_moment_later_is_written(
    tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    sender = Sender(a_full_ledger(tmp_path / "l.db", clock, 2), clock, {"mail": outbox})

    assert sender.send().exit_code == 0
    assert clock.slept == [1, 1]


def test_an_outcome_is_written_alone_where_there_is_no_room_for_the_next_claim(
    tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    class Tight(Ledger):
        def record_and_claim(
            self, claim: Claim, state: State, note: str, key: str
        ) -> tuple[bool, Claim | None]:
            del claim, state, note, key
            raise LedgerError("ledger is full", remedy="free space", passing=True)

    sender = Sender(a_ledger(tmp_path / "l.db", clock, kind=Tight), clock, {"mail": outbox})

    assert exit_and_states(sender.send()) == (0, ["sent"] * 3)
    assert clock.slept == [1, 1]
    assert outbox.tried == list(TEAM)


def test_an_outcome_that_cannot_be_written_is_told_and_never_sent_again(
    tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    outbox.recipients = (Recipient(ANA),)
    sender = Sender(a_full_ledger(tmp_path / "l.db", clock, 3), clock, {"mail": outbox})

    with pytest.raises(LedgerError) as raised:
        sender.send()
    assert str(raised.value) == (
        "delivery leads/2026-04-07/mail/ana@team.example is sent (250 ok) but this could not be written: "
        "ledger is full; free space; it stays unknown; settle it with `digest resolve`"
    )
    assert raised.value.exit_code == 3
    clock.forward(minutes=12)

    assert exit_and_states(sender.send()) == (5, ["unknown"])
    assert len(outbox.sent) == 1


def test_a_ledger_that_fails_at_the_commit_sends_nothing(
    tmp_path: Path, clock: Clock, outbox: Outbox
) -> None:
    class Failing(Ledger):
        def commit(self, claim: Claim) -> bool:
            del claim
            raise LedgerError("ledger is full", remedy="free space", passing=True)

    sender = Sender(a_ledger(tmp_path / "l.db", clock, kind=Failing), clock, {"mail": outbox})
    with pytest.raises(LedgerError):
        sender.send()

    assert outbox.sent == []
    assert sender.states()[ANA] == "pending"


# ------------------------------------------------------------------------------------ test sends


def a_test_send(channel: Any, clock: Clock) -> SendResult:  # noqa: ANN401 - any channel
    return delivery.test_send(
        edition=an_edition(),
        channels={"mail": channel},
        recipient=Recipient("me@team.example"),
        render=render,
        packers={"mime": pack},
        clock=clock,
    )


def test_a_test_send_is_marked_and_leaves_the_ledger_alone(
    sender: Sender, outbox: Outbox, clock: Clock, tmp_path: Path
) -> None:
    before = (tmp_path / "ledger.db").read_bytes()

    result = a_test_send(outbox, clock)
    clock.forward(seconds=5)
    a_test_send(outbox, clock)

    (outcome,) = result.outcomes
    assert (result.exit_code, result.edition) == (0, an_edition())
    assert (outcome.channel, outcome.recipient, outcome.state, outcome.key) == (
        "mail",
        "me@team.example",
        State.SENT,
        "",
    )
    assert outcome.text == "mail me…@team.example: test sent (250 ok)"
    assert outbox.sent[0].key.startswith("test/leads/2026-04-07/mail/me@team.example/2026-")
    assert [one.recipient for one in outbox.sent] == ["me@team.example"] * 2
    assert b"Subject: =?utf-8?b?W1RFU1Rd" in outbox.sent[0].content  # "[TEST]"
    identities = [one.content.partition(b"Message-ID: ")[2][:30] for one in outbox.sent]
    assert identities[0] != identities[1]
    assert (tmp_path / "ledger.db").read_bytes() == before
    assert sender.send().exit_code == 0


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (refused(), 4, "refused"),
        (DeliveryError("outbox", "greylisted", permanent=False), 4, "deferred"),
        (OutcomeUnknownError("outbox", "no answer"), 5, "unknown"),
    ],
)
def test_a_test_send_that_fails_says_so(
    clock: Clock, error: DeliveryError, code: int, state: str
) -> None:
    result = a_test_send(Outbox(errors=[("me@team.example", error)]), clock)

    assert result.exit_code == code
    (line,) = result.lines
    assert line == f"mail me…@team.example: test {state} ({error})"


# -------------------------------------------------------------------------------------- files


def test_an_interrupted_file_delivery_simply_runs_again(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    folder = File(path=Path("inbox"), recipients=(Recipient(ANA),), folder=tmp_path)
    sender = Sender(ledger, clock, {"files": folder})

    def interrupt(step: str) -> None:
        if step == "committed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender.send(hook=interrupt)
    clock.forward(minutes=12)

    assert exit_and_states(sender.send()) == (0, ["sent"])
    assert len(list((tmp_path / "inbox").iterdir())) == 1


def test_mail_and_files_go_out_in_one_call(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    with running(SmtpServer(faults=[Fault("RCPT", "550", recipient=BEN)])) as relay:
        channels: dict[str, Channel] = {
            "mail": team_of(a_relay(relay.port), ANA, BEN),
            "files": File(path=tmp_path / "inbox", recipients=(Recipient(ANA),)),
        }
        result = Sender(ledger, clock, channels).send()

    assert exit_and_states(result) == (4, ["sent", "sent", "refused"])
    assert len(list((tmp_path / "inbox").glob("*.eml"))) == 1
    assert HERE.host in str(ledger.deliveries("leads", TODAY)[0].owner)
    assert to_json(an_edition()) == ledger.edition("leads", TODAY)
