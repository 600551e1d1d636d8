from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from digest.channels.file import File, file_name
from digest.errors import DeliveryError
from digest.model import Envelope, Recipient

ENVELOPE = Envelope("leads/2026-04-07/files/ana@team.example", "ana@team.example", b"a mail\r\n")


def test_a_mail_lies_in_the_folder_for_its_owner_only(tmp_path: Path) -> None:
    channel = File(path=Path("in/box"), folder=tmp_path)
    with channel.session() as session:
        name = session.deliver(ENVELOPE, commit=lambda: True)

    written = tmp_path / "in/box" / name
    assert name.startswith("leads_2026-04-07_files_ana@team.example-")
    assert written.read_bytes() == b"a mail\r\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_delivering_twice_leaves_one_file(tmp_path: Path) -> None:
    with File(path=tmp_path).session() as session:
        names = {session.deliver(ENVELOPE, commit=lambda: True) for _ in range(2)}

    assert [one.name for one in tmp_path.iterdir()] == list(names)


def test_a_delivery_of_another_process_leaves_no_file(tmp_path: Path) -> None:
    with File(path=tmp_path).session() as session, pytest.raises(DeliveryError):
        session.deliver(ENVELOPE, commit=lambda: False)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    channel = File(path=tmp_path / "file" / "inbox")

    with channel.session() as session, pytest.raises(DeliveryError, match="cannot write") as raised:
        session.deliver(ENVELOPE, commit=lambda: True)

    assert raised.value.concerns_all
    assert not raised.value.permanent
    assert [finding.level for finding in channel.check()] == ["error"]


def test_check_finds_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        locked = Path("/proc/sys/kernel")  # not even root may make files here
        assert File(path=locked / "x").check()[0].level in ("ok", "error")
        return
    tmp_path.chmod(0o500)
    assert File(path=tmp_path / "x").check()[0].level == "error"


def test_check_makes_nothing(tmp_path: Path) -> None:
    findings = File(path=tmp_path / "a" / "b").check()

    assert [finding.level for finding in findings] == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_names_are_safe_and_different() -> None:
    hostile = file_name("../../etc/passwd\0" + "x" * 500)

    assert "/" not in hostile
    assert not hostile.startswith(".")
    assert len(hostile) < 200
    assert file_name("a/b") != file_name("a_b")


@pytest.mark.parametrize(
    "settings",
    [
        {"recipients": (Recipient("nobody"),)},
        {"sender": "nobody"},
        {"reply_to": "nobody"},
    ],
)
def test_addresses_are_checked_before_anything_runs(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="'nobody' is not a mail address"):
        File(path=Path(), **settings)  # type: ignore[arg-type] # the table holds one setting each


def test_the_letterhead_comes_from_the_settings() -> None:
    channel = File(path=Path(), sender="A <a@b.example>", reply_to="c@b.example")

    assert channel.form == "mime"
    assert channel.headers.sender == "A <a@b.example>"
    assert channel.headers.reply_to == "c@b.example"
