"""The operator is told: once for each cause and day, by whatever way still works."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.alerts import BY_REASON
from digest.channels.smtp import Smtp
from digest.errors import ConfigError, LedgerError, Reason
from digest.ledger import Decision, open_ledger
from digest.ledger.notes import Noted
from tests.delivery.scene import FAST, a_relay, fork
from tests.effort import effort
from tests.fakes.slack import Fault as SlackFault
from tests.fakes.slack import SlackServer
from tests.fakes.slack import running as slacking
from tests.fakes.smtp import Fault
from tests.operation.scene import MONDAY, OPERATOR, TEAM, Stage, a_stage, at, source_error

TUESDAY = MONDAY + timedelta(days=1)


# ----------------------------------------------------------------------------------------- when and what


@pytest.mark.failure("D1")
def test_a_refused_key_is_told_at_once_with_what_to_do(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.AUTH))

        assert stage.call(at(7, 31)) == 3

        assert stage.subjects == ["[digest] leads: held since 07:31 - Salesforce refused the key"]
        (mail,) = stage.alerts
        assert mail["To"] == OPERATOR
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["Date"].datetime == at(7, 31)
        assert mail["Message-ID"].endswith("@sender.example>")
        for part in ("What happened:", "Who did not get what:", "What happens next by itself:"):
            assert part in stage.text()
        assert f"  digest check {stage.settings.path}\n" in stage.text()
        assert stage.got == []


@pytest.mark.failure("A2")
def test_many_failing_calls_are_one_alert_and_one_notice_that_it_is_over(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.AUTH))
        calls = effort(12, 40)
        for minute in range(calls):
            stage.call(at(7, 30) + timedelta(minutes=minute))
        assert len(stage.alerts) == 1

        stage.source(None)
        for minute in range(calls, calls + 4):
            assert stage.call(at(7, 30) + timedelta(minutes=minute)) == 0

        assert stage.subjects[1:] == [
            "[digest] leads: over: held since 07:30 - Salesforce refused the key"
        ]
        assert stage.got == sorted(TEAM)


@pytest.mark.parametrize(
    "reason", [Reason.TRANSIENT, Reason.OVERFLOW, Reason.UNRECONCILED, Reason.STALE]
)
def test_what_may_pass_is_told_when_the_time_to_send_is_over(
    tmp_path: Path, reason: Reason
) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(reason, "no answer"))
        for hour, minute in ((7, 31), (9, 0), (10, 45)):
            assert stage.call(at(hour, minute)) == 3
        assert stage.alerts == []

        for hour, minute in ((11, 0), (11, 15)):
            assert stage.call(at(hour, minute)) == 4

        assert len(stage.alerts) == 1
        assert stage.subjects[0].startswith("[digest] leads: not sent in time to anybody - sales")
        assert "no answer; renew it" in " ".join(stage.text().split())
        assert f"digest send {stage.settings.path} --date 2026-06-15" in stage.text()


def test_a_call_that_outlives_the_time_to_send_tells_it_itself_and_only_once(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:

        def take_until_eleven() -> None:
            stage.now = at(11, 2)

        stage.source(source_error(Reason.UNRECONCILED)).meanwhile = take_until_eleven
        stage.call(at(10, 59))
        stage.call(at(11, 15))

        assert [one.partition(" - ")[0] for one in stage.subjects] == [
            "[digest] leads: not sent in time to anybody"
        ]


def test_what_passes_in_time_is_never_told(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.TRANSIENT))
        stage.call(at(7, 31))
        stage.source(None)
        assert stage.call(at(9, 0)) == 0

        assert stage.alerts == []


@pytest.mark.failure("D13")
def test_a_fall_of_the_leads_names_the_switch_that_accepts_it(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.DROP, "the month's leads fell from 60 to 6"))
        stage.call(at(7, 31))

        assert stage.subjects == ["[digest] leads: held since 07:31 - the month's leads fell"]
        assert f"digest send {stage.settings.path} --accept-drop" in stage.text()


def test_an_edition_with_the_last_figures_is_told_beside_it(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.settings = replace(stage.settings, on_stale="banner")
        stage.call(at(7, 31))
        stage.source(source_error(Reason.STALE, "the table ends on Friday"))

        assert stage.call(at(10, 20, day=TUESDAY)) == 3
        assert stage.alerts == []
        for minute in (46, 59):
            assert stage.call(at(10, minute, day=TUESDAY)) == 0

        assert stage.subjects == [
            "[digest] leads: sent without new figures - those up to Sunday, 14 June 2026"
        ]
        assert stage.got == sorted(TEAM * 2)


@pytest.mark.failure("T5")
def test_a_host_that_slept_until_it_was_too_late_says_that_nobody_called(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        assert stage.call(at(13, 0)) == 4

        assert "no call of `digest send` came before 11:00" in stage.text().replace("\n  ", " ")


@pytest.mark.failure("T5")
def test_a_day_that_nobody_came_back_to_is_told_on_the_next(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.TRANSIENT, "no answer"))
        stage.call(at(10, 45))
        stage.source(None)

        assert stage.call(at(7, 31, day=TUESDAY)) == 0

        (told,) = stage.alerts
        assert "not sent in time to anybody" in told["Subject"]
        assert "Monday, 15 June 2026" in stage.text()
        assert stage.call(at(7, 46, day=TUESDAY)) == 0
        assert len([one for one in stage.subjects if "over:" not in one]) == 1


@pytest.mark.failure("R1")
def test_a_broken_template_is_told_apart_from_broken_settings(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates/digest.txt").write_text("{{ no_such_figure }}")
        stage.settings = replace(stage.settings, templates=tmp_path / "templates")
        for minute in (31, 46):
            assert stage.call(at(7, minute)) == 2

        assert stage.subjects == ["[digest] leads: held since 07:31 - a template is broken"]
        assert "digest.txt" in stage.text()


def test_settings_that_the_source_refuses_are_told_at_once(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(ConfigError("sql: table: the database has no table 'laeds'"))
        assert stage.call(at(7, 31)) == 2

        assert stage.subjects == ["[digest] leads: held since 07:31 - the settings are wrong"]
        assert "line 15, connector.table" in stage.text()


def test_a_fault_of_our_own_is_told_and_raised(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(None).error = ZeroDivisionError("canary-in-a-bug")  # type: ignore[assignment]  # what no source may raise
        with pytest.raises(ZeroDivisionError):
            stage.call(at(7, 31))

        assert stage.subjects == ["[digest] leads: stopped by a fault of digest itself"]
        assert "ZeroDivisionError" in stage.text()
        assert "canary" not in stage.text()


# --------------------------------------------------------------------------------------- the ledger fails


@pytest.mark.failure("P6")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096),
        lambda path: path.write_bytes(path.read_bytes()[:4096]),
    ],
    ids=["missing", "empty", "corrupt", "cut"],
)
def test_an_unusable_ledger_is_told_once_without_it_and_is_over_when_it_is_back(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    with a_stage(tmp_path) as stage:
        assert stage.call(at(7, 31)) == 0
        ledger = tmp_path / "ledger.sqlite"
        kept = ledger.read_bytes()
        spoil(ledger)
        for minute in (31, 46):
            assert stage.call(at(7, minute, day=TUESDAY)) == 2

        assert stage.subjects == [
            "[digest] leads: cannot send - the record of what was sent cannot be used"
        ]
        ledger.write_bytes(kept)
        assert stage.call(at(8, 1, day=TUESDAY)) == 0
        assert stage.call(at(8, 16, day=TUESDAY)) == 0
        assert stage.subjects[1:] == [
            "[digest] leads: over: cannot send - the record of what was sent cannot be used"
        ]


@pytest.mark.failure("P4")
def test_a_full_disk_is_told_although_nothing_can_be_written(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        # Neither the ledger nor a file beside the settings: the operator is told all the same.
        (tmp_path / ".alerts.sqlite").mkdir()
        stage.settings = replace(stage.settings, ledger=tmp_path / "gone" / "ledger.sqlite")
        (tmp_path / "gone").write_text("a file where the folder should be")

        for minute in (31, 46):
            assert stage.call(at(7, minute, day=TUESDAY)) == 2

        assert len(stage.alerts) == 2, "twice is better than never"


# ------------------------------------------------------------------------------------------- the relay


@pytest.mark.failure("M2")
def test_a_refused_login_is_told_by_another_relay(tmp_path: Path) -> None:
    with a_stage(tmp_path, relay={"users": {"digest": "another"}}) as stage:
        assert stage.call(at(7, 31)) == 4
        assert stage.call(at(7, 46)) == 4

        assert stage.subjects == [
            "[digest] leads: held since 07:31 - the channel smtp takes nothing"
        ]
        assert "535" in stage.text()
        assert ", ".join(TEAM) in stage.text().replace("\n  ", " ")


@pytest.mark.failure("M4")
def test_one_refused_recipient_is_named_and_the_others_are_served(tmp_path: Path) -> None:
    faults = (Fault("RCPT", "550 5.1.1 no such user", TEAM[0]),)
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        assert stage.call(at(7, 31)) == 4

        assert stage.subjects == ["[digest] leads: refused for ana@team.example"]
        assert "550 5.1.1 no such user" in stage.text()
        assert stage.got == sorted(TEAM[1:])


@pytest.mark.failure("M4")
def test_several_refused_recipients_are_one_alert(tmp_path: Path) -> None:
    faults = tuple(Fault("RCPT", "550 5.1.1 no such user", one) for one in TEAM[:2])
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.call(at(7, 31))

        assert stage.subjects == ["[digest] leads: refused for ana@team.example (and 1 more)"]
        assert TEAM[1] in stage.text()


@pytest.mark.failure("M4")
def test_after_three_days_of_refusals_the_alert_suggests_to_take_the_recipient_out(
    tmp_path: Path,
) -> None:
    faults = (Fault("RCPT", "550 5.1.1 no such user", TEAM[0]),)
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        for number in range(3):
            stage.call(at(7, 31, day=MONDAY + timedelta(days=number)))

        said = [" ".join(str(mail.get_content()).split()) for mail in stage.alerts]
        assert ["refused 3 editions in a row" in text for text in said] == [False, False, True]
        assert "take ana@team.example out of `recipients`" in said[2]


def test_a_recipient_who_is_accepted_again_is_over(tmp_path: Path) -> None:
    faults = (Fault("RCPT", "550 5.1.1 no such user", TEAM[0], times=1),)
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.call(at(7, 31))
        assert stage.call(at(7, 31, day=TUESDAY)) == 0

        assert stage.subjects[1:] == ["[digest] leads: over: refused for ana@team.example"]


# ------------------------------------------------------------------------------------ corrections


def corrected(stage: Stage, **changes: Any) -> int:  # noqa: ANN401 - any argument
    """Count one lead more on a day that was told already, and correct the edition."""
    with closing(sqlite3.connect(stage.settings.folder / "crm.sqlite")) as crm, crm:
        crm.execute("INSERT INTO leads VALUES ('2026-06-12', 'DACH')")
    return stage.call(at(12), correction=True, **changes)


def test_who_did_not_get_a_correction_is_told_like_who_did_not_get_an_edition(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        pings = stage.checks.kinds()
        stage.relay.faults = (
            Fault("RCPT", "550 5.1.1 no such user", TEAM[0]),
            Fault("reply", "drop", TEAM[1]),
        )

        assert corrected(stage) == 5

        assert stage.subjects == [
            "[digest] leads: unknown whether ben@team.example got it (and 1 more)"
        ]
        assert "leads/2026-06-15.c1/smtp/ben@team.example" in stage.text()
        assert TEAM[0] in stage.text()
        assert stage.checks.kinds() == pings


def test_a_correction_that_nobody_takes_says_who(tmp_path: Path) -> None:
    with a_stage(tmp_path, team=TEAM[:1]) as stage:
        stage.call(at(7, 31))
        stage.relay.faults = (Fault("RCPT", "550 5.7.1 blocked"),)

        assert corrected(stage, day=MONDAY) == 4

        assert stage.subjects == ["[digest] leads: refused for ana@team.example"]


def test_a_correction_ends_no_cause_that_holds_the_day(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        source = stage.source(source_error(Reason.AUTH))
        stage.call(at(8, 0, day=TUESDAY))
        source.error = None
        told = stage.subjects

        assert corrected(stage, day=MONDAY) == 0

        assert stage.subjects == told


def test_a_correction_with_a_ledger_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        (tmp_path / "ledger.sqlite").write_bytes(b"")

        assert corrected(stage) == 2

        assert stage.subjects == [
            "[digest] leads: cannot send - the record of what was sent cannot be used"
        ]


def test_a_correction_of_a_source_that_fails_is_told_to_who_asked_for_it_alone(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        stage.source(source_error(Reason.AUTH))

        assert corrected(stage) == 3

        assert stage.subjects == []
        assert not any('"held"' in line for line in stage.lines)


def test_a_disk_that_is_gone_after_the_job_is_told_and_no_ledger_made(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        assert stage.call(at(7, 31), environment={"CI": "true"}) == 2

        assert stage.subjects == ["[digest] leads: held since 07:31 - the settings are wrong"]
        assert "CI is set: a runner's disk is gone" in " ".join(stage.text().split())
        assert not (tmp_path / "ledger.sqlite").exists()


@pytest.mark.failure("M5")
def test_all_refused_is_one_alert_by_another_relay(tmp_path: Path) -> None:
    with a_stage(tmp_path, relay={"faults": (Fault("RCPT", "550 5.7.1 blocked"),)}) as stage:
        assert stage.call(at(7, 31)) == 4

        assert stage.subjects == ["[digest] leads: refused for every recipient"]
        assert "550 5.7.1 blocked" in stage.text()


@pytest.mark.failure("M1")
@pytest.mark.failure("M3")
@pytest.mark.parametrize("mode", ["421 4.3.2 later", "450 4.2.0 greylisted", "drop"])
def test_what_could_not_be_delivered_in_time_is_told_when_it_is_given_up(
    tmp_path: Path, mode: str
) -> None:
    with a_stage(
        tmp_path, relay={"faults": (Fault("RCPT", mode, TEAM[0]),)}, team=TEAM[:2]
    ) as stage:
        assert stage.call(at(10, 59)) == 4
        stage.call(at(11, 5))

        assert len(stage.alerts) == 1
        assert stage.subjects[0].startswith("[digest] leads: not sent in time to ")
        assert "Without the edition of Monday, 15 June 2026" in stage.text()
        assert TEAM[0] in stage.text()


@pytest.mark.failure("M7")
def test_an_unknown_outcome_is_told_at_once_and_each_day_until_somebody_settles_it(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path, relay={"faults": (Fault("reply", "drop", TEAM[0], times=1),)}) as stage:
        key = f"leads/{MONDAY}/smtp/{TEAM[0]}"
        assert stage.call(at(7, 31)) == 5
        assert stage.call(at(7, 46)) == 5
        assert stage.subjects == ["[digest] leads: unknown whether ana@team.example got it"]
        assert f"  digest resolve {key} --config {stage.settings.path} --sent" in stage.text()

        assert stage.call(at(7, 31, day=TUESDAY)) == 5
        assert stage.call(at(7, 46, day=TUESDAY)) == 5
        assert stage.call(at(12, 0, day=TUESDAY)) == 0
        assert len(stage.alerts) == 2, "once more on the next day"

        open_ledger(stage.settings.ledger, clock=lambda: stage.now).resolve(key, Decision.SENT)
        assert stage.call(at(8, 0, day=TUESDAY)) == 0
        assert stage.call(at(7, 31, day=TUESDAY + timedelta(days=1))) == 0
        assert len(stage.alerts) == 2, "who settles it knows that it is over"


@pytest.mark.failure("M7")
def test_a_fact_found_early_does_not_wait_for_the_end_of_a_long_call(tmp_path: Path) -> None:
    """Ana's outcome is unknown; Ben is tried again for twenty minutes; the mail leaves before he is done."""
    faults = (Fault("reply", "drop", TEAM[0], times=1), Fault("RCPT", "450 later", TEAM[1]))
    seen: list[int] = []
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        ops = stage.operator

        def watch(stage_name: str, recipient: str) -> None:
            if (stage_name, recipient) == ("RCPT", TEAM[1]):
                for _ in range(200):
                    if ops.accepted:
                        break
                    ops.closing.wait(0.02)
                seen.append(len(ops.accepted))

        stage.relay.on_stage = watch
        stage.call(at(7, 31), gathered=0.01)

    assert seen[0] == 1
    assert len(ops.accepted) == 1


# ------------------------------------------------------------------------------- which way still works


@pytest.mark.failure("A1")
def test_slack_is_told_when_the_mail_cannot_be_sent(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage, slacking(SlackServer()) as workspace:
        stage.tell(("mail", a_relay(1, (OPERATOR,))), ("slack", workspace.hook()))
        stage.source(source_error(Reason.AUTH, "<!channel> & the key was refused"))
        stage.call(at(7, 31))
        stage.call(at(7, 46))

        (post,) = workspace.posts
        shown = post.message["blocks"][0]["text"]
        assert shown["type"] == "plain_text"
        assert "[digest] leads: held since 07:31 - Salesforce refused the key" in shown["text"]
        assert "This could not be sent by email" in shown["text"]
        assert "<!channel>" not in post.message["text"]


@pytest.mark.failure("A1")
def test_the_dead_mans_switch_is_told_when_neither_takes_it(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.tell(("mail", a_relay(1, (OPERATOR,))))
        stage.source(source_error(Reason.AUTH))
        stage.call(at(7, 31))
        stage.call(at(7, 46))

        told = [call for call in stage.checks.calls if call.kind == "fail"]
        assert [call.body for call in told] == [
            "[digest] leads: held since 07:31 - Salesforce refused the key"
        ]


@pytest.mark.failure("A1")
def test_what_nobody_took_is_kept_and_told_by_the_next_run(tmp_path: Path) -> None:
    with a_stage(tmp_path, answers=(500,)) as stage:
        working = stage.settings.alerts.mail
        stage.tell(("mail", a_relay(1, (OPERATOR,))))
        faults = (Fault("RCPT", "550 5.1.1 no such user", TEAM[0]),)
        stage.relay.faults = faults
        assert stage.call(at(7, 31)) == 4
        assert any("nobody could be told" in line for line in stage.said)

        stage.tell(("mail", working))
        stage.relay.faults = ()
        assert stage.call(at(7, 31, day=TUESDAY)) == 0

        assert "refused for ana@team.example" in stage.subjects[0]
        assert "Monday, 15 June 2026" in stage.text(0)


def test_a_relay_that_hangs_leaves_time_for_the_next_way(tmp_path: Path) -> None:
    with (
        a_stage(tmp_path, operator={"faults": (Fault("reply", "hang"),)}) as stage,
        slacking(SlackServer()) as workspace,
    ):
        mail = stage.settings.alerts.mail
        assert isinstance(mail, Smtp)
        stage.tell(("mail", replace(mail, timeouts=FAST)), ("slack", workspace.hook()))
        stage.source(source_error(Reason.AUTH))
        stage.call(at(7, 31))

        assert len(workspace.posts) == 1


def test_two_operators_are_both_told_and_one_who_is_refused_keeps_nothing_from_the_other(
    tmp_path: Path,
) -> None:
    other = "oncall@company.example"
    with a_stage(tmp_path, operator={"faults": (Fault("RCPT", "550 no", OPERATOR),)}) as stage:
        stage.tell(("mail", a_relay(stage.operator.port, (OPERATOR, other))))
        stage.source(source_error(Reason.AUTH))
        stage.call(at(7, 31))
        stage.call(at(7, 46))

        assert [one.recipient for one in stage.operator.accepted] == [other]


def test_without_anybody_to_tell_nothing_is_written(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.tell(("mail", None))
        stage.source(source_error(Reason.AUTH))
        assert stage.call(at(7, 31)) == 3

        assert stage.alerts == []
        assert not (tmp_path / ".alerts.sqlite").exists()


def test_nobody_of_the_team_gets_an_alert(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.AUTH))
        stage.call(at(7, 31))

        assert {one.recipient for one in stage.operator.accepted} == {OPERATOR}
        assert stage.got == []


def test_two_processes_at_once_tell_once(tmp_path: Path) -> None:
    def one_process(stage: Stage) -> int:
        child = fork()
        if not child:
            code = 1
            try:
                code = stage.call(at(7, 31))
            finally:
                os._exit(code)
        return child

    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.AUTH))
        children = [one_process(stage) for _ in range(4)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

        assert codes == [3] * 4
        assert len(stage.alerts) == 1


def test_a_teller_that_died_in_the_middle_is_followed_by_another(tmp_path: Path) -> None:
    """The lease on telling an alert ends; nobody was told, so the next run tells it."""
    from digest.ledger.alerts import TELLING_LEASE, book_in_ledger
    from tests.operation.scene import Refusing

    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31, day=MONDAY - timedelta(days=3)))
        stage.source(source_error(Reason.AUTH))
        assert isinstance(stage.settings.connector, Refusing)
        book = book_in_ledger(stage.settings.ledger, clock=lambda: at(7, 31), pin=None)
        assert book is not None
        (noted,) = _auth_alert(stage)
        assert book.claim([noted]) == (noted,)

        stage.call(at(7, 32))
        assert stage.alerts == []
        stage.call(at(7, 32) + TELLING_LEASE)
        assert len(stage.alerts) == 1


def _auth_alert(stage: Stage) -> list[Noted]:
    from digest import alerts
    from digest.alerts import Cause, Scene

    scene = Scene(
        digest="leads",
        config=str(stage.settings.path),
        business_date=MONDAY,
        zone="Europe/Zurich",
        until=stage.settings.send_until,
        readers=3,
        now=at(7, 31),
        since=at(7, 31),
    )
    return [alerts.held(scene, Cause.SOURCE_AUTH, "refused", source="salesforce").noted()]


def test_a_person_who_names_a_date_reads_on_the_terminal_what_holds_it(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.source(source_error(Reason.AUTH))
        assert stage.call(at(7, 31), day=date(2026, 6, 12)) == 3

        assert stage.alerts == []
        assert isinstance(stage.printed[0], str)


def test_a_ledger_that_lost_its_tables_does_not_keep_an_alert_from_being_told(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        ledger = open_ledger(stage.settings.ledger, clock=lambda: stage.now)
        with ledger.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE alerts")
            connection.exec_driver_sql("DROP TABLE pings")
        stage.source(source_error(Reason.AUTH))
        for minute in (31, 46):
            assert stage.call(at(7, minute, day=TUESDAY)) == 2

        assert len(stage.alerts) == 1
        assert (tmp_path / ".alerts.sqlite").stat().st_mode & 0o777 == 0o600


def test_every_reason_of_a_source_is_a_cause() -> None:
    assert set(BY_REASON) == set(Reason)


# ------------------------------------------------------------------------- what else the table asks for


@pytest.mark.failure("S2")
@pytest.mark.failure("S4")
@pytest.mark.parametrize(
    ("fault", "head"),
    [
        (SlackFault("webhook", "drop"), "unknown whether slack (webhook) got it"),
        (SlackFault("webhook", "status", "500"), "unknown whether slack (webhook) got it"),
        (SlackFault("webhook", "error", "no_service"), "refused for slack (webhook)"),
        (SlackFault("webhook", "error", "channel_is_archived"), "refused for slack (webhook)"),
    ],
)
def test_a_slack_channel_of_the_readers_that_fails_is_told_by_mail(
    tmp_path: Path, fault: SlackFault, head: str
) -> None:
    with a_stage(tmp_path) as stage, slacking(SlackServer(faults=(fault,))) as workspace:
        channels = {**stage.settings.channels, "slack": workspace.hook()}
        stage.settings = replace(stage.settings, channels=channels)
        stage.call(at(7, 31))
        stage.call(at(7, 46))

        assert stage.subjects == [f"[digest] leads: {head}"]
        assert stage.got == sorted(TEAM)


@pytest.mark.failure("T2")
def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31, day=TUESDAY))
        assert stage.call(at(7, 31)) == 2

        assert "check this machine's clock" in stage.text().replace("\n  ", " ")


@pytest.mark.failure("P5")
def test_an_outcome_that_cannot_be_written_names_its_delivery(tmp_path: Path) -> None:
    """The ledger becomes read-only between the last byte of a mail and the relay's answer."""
    ledger = tmp_path / "ledger.sqlite"
    with a_stage(tmp_path, team=TEAM[:1]) as stage:

        def spoil(what: str, _: str) -> None:
            if what == "reply":
                ledger.write_bytes(b"no room for anything")

        stage.relay.on_stage = spoil
        assert stage.call(at(7, 31)) in (2, 3)

        assert stage.subjects == [
            "[digest] leads: cannot send - the record of what was sent cannot be used"
        ]
        assert f"leads/{MONDAY}/smtp/{TEAM[0]}" in stage.text()


@pytest.mark.failure("P7")
def test_a_locked_ledger_is_told_without_it(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        stage.call(at(7, 31))
        error = LedgerError("ledger is in use", remedy="try again in a minute", passing=True)
        stage.source(error)
        assert stage.call(at(7, 31, day=TUESDAY)) == 3

        assert stage.subjects == [
            "[digest] leads: cannot send - the record of what was sent cannot be used"
        ]
