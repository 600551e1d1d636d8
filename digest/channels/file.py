"""Mails as .eml files in a folder: for a look without a server, or for a program that picks them up."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from digest.addresses import ascii_address, mailbox
from digest.errors import DeliveryError
from digest.model import Envelope, Finding, MailHeaders, Recipient


@dataclass(frozen=True, kw_only=True)
class File:
    """A folder that receives one .eml per recipient and edition.

    The name is made from the delivery key, so writing the same delivery twice leaves one file.

    Attributes:
        path: the folder; created when it is missing. Relative to the settings file.
        recipients: the To address of each mail.
        sender: From, "Name <address>".
        folder: where relative paths start; not a setting.
    """

    path: Path
    recipients: tuple[Recipient, ...] = ()
    sender: str = "Leads digest <digest@localhost>"
    reply_to: str | None = None
    folder: Path = Path()

    def __post_init__(self) -> None:
        """Check the addresses before anything runs."""
        for recipient in self.recipients:
            ascii_address(recipient.address)
        mailbox(self.sender)
        if self.reply_to:
            mailbox(self.reply_to)

    @property
    def form(self) -> str:
        """Mails."""
        return "mime"

    @property
    def headers(self) -> MailHeaders:
        """What the mail says of its sender."""
        return MailHeaders(sender=self.sender, reply_to=self.reply_to)

    @property
    def repeatable(self) -> bool:
        """Doing it twice is harmless, so an interrupted delivery may simply run again."""
        return True

    @property
    def target(self) -> Path:
        """The folder itself."""
        return self.folder / self.path

    @contextmanager
    def session(self) -> Iterator[FileSession]:
        """Open a session; the folder is made at the first delivery."""
        yield FileSession(self.target)

    def check(self) -> tuple[Finding, ...]:
        """Say whether the folder can be written, without writing."""
        nearest = next(
            path for path in (self.target, *self.target.absolute().parents) if path.exists()
        )
        if not nearest.is_dir():
            return (Finding("error", "file", f"{nearest} is not a folder"),)
        if not os.access(nearest, os.W_OK | os.X_OK):
            return (Finding("error", "file", f"{nearest} cannot be written by this user"),)
        return (Finding("ok", "file", f"mails will lie in {self.target}"),)


@dataclass(frozen=True)
class FileSession:
    """Writes mails into a folder."""

    target: Path

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Write the mail beside its final name, then rename it: readers see all of it or nothing."""
        path = self.target / file_name(envelope.key)
        waiting = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            _write_synced(waiting, envelope.content)
            if not commit():
                raise DeliveryError("file", "another process owns this delivery", permanent=False)
            waiting.replace(path)
            _sync_folder(self.target)
        except OSError as error:
            what = f"cannot write {path} ({error.strerror})"
            raise DeliveryError("file", what, permanent=False, concerns_all=True) from error
        finally:
            with suppress(OSError):
                waiting.unlink(missing_ok=True)
        return path.name


def file_name(key: str) -> str:
    """Return the file name of a delivery: readable, safe on every file system, unique by its hash."""
    readable = re.sub(r"[^a-z0-9.@-]+", "_", key.lower()).strip("._")[:120]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.eml"


def _write_synced(path: Path, content: bytes) -> None:
    # Editions are for their readers: nobody else on the host.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover - Windows has no handle for a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
