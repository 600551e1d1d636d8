"""Where a digest goes. To add one: write its module, then add its line to CHANNELS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from digest.channels.file import File
from digest.channels.graph import Graph
from digest.channels.slack import Slack
from digest.channels.smtp import Smtp
from digest.channels.teams import Teams
from digest.model import Envelope, Finding, MailHeaders, Recipient


class Session(Protocol):
    """An open way to a channel; serves recipients one after the other."""

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Hand over one message and return the other side's words.

        `commit` is called once, at the last moment at which nothing has been accepted yet. When it
        answers False another process owns the delivery: hand over nothing and raise DeliveryError.

        Raises:
            DeliveryError: the message was not taken; `permanent` and `concerns_all` say what follows.
            OutcomeUnknownError: it was handed over and no answer came.
        """


class Channel(Protocol):
    """A transport with its settings; a frozen dataclass whose fields are the settings."""

    @property
    def form(self) -> str:
        """Which packed form of a Message it carries: a key of `render.PACKERS`."""

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Who gets each edition."""

    @property
    def headers(self) -> MailHeaders | None:
        """What the packer writes about the sender; None for a form without a letterhead."""

    def session(self) -> AbstractContextManager[Session]:
        """Open a session; nothing is contacted before the first `deliver`."""

    def check(self) -> tuple[Finding, ...]:
        """Connect and log in without sending anything."""


@runtime_checkable
class Repeatable(Protocol):
    """A channel on which delivering twice leaves one copy, so an interruption leaves no doubt."""

    @property
    def repeatable(self) -> bool:
        """Whether an interrupted delivery may simply run again."""


@runtime_checkable
class Remembers(Protocol):
    """A channel whose other side knows again what it has taken, by a key that the message carries."""

    def remembers(self, envelope: Envelope) -> timedelta | None:
        """Return for how long after an attempt of unknown outcome the same message may go out once more.

        Within that time the other side takes it or knows it, and shows it once. None: never by itself,
        because the settings say "hold" or because this very message carries no key.
        """


@runtime_checkable
class Reconciles(Protocol):
    """A session that can find out what became of a message whose outcome is unknown."""

    def find(self, envelope: Envelope, *, since: datetime) -> str | None:
        """Return what `deliver` would have returned when the message is there, None when it is not seen.

        `since` is the instant of the attempt. Not to see it is no proof that it did not arrive.

        Raises:
            DeliveryError: nobody could look; `permanent` says that looking again is of no use.
        """


@runtime_checkable
class Completes(Protocol):
    """A session that adds to a delivered message what never decides about its delivery."""

    def complete(self, envelope: Envelope, receipt: str) -> str | None:
        """Add it, once; `receipt` is what `deliver` or `find` returned. Return a warning or None."""


@runtime_checkable
class CorrectsInPlace(Protocol):
    """A session that says a correction where the edition stands, instead of in a message beside it."""

    def deliver_correction(
        self, envelope: Envelope, *, original: Envelope, receipt: str, commit: Callable[[], bool]
    ) -> str:
        """Say it and mark the edition; as `deliver` otherwise.

        `original` is the edition of the day and `receipt` what its delivery returned; where that names no
        message, the correction is one of its own.
        """

    def mark_corrected(self, *, original: Envelope, receipt: str) -> str | None:
        """Mark the edition of a correction that was found to have been said; return a warning or None."""


@runtime_checkable
class Limited(Protocol):
    """A channel whose other side limits an account, which several digests may share."""

    @property
    def limits(self) -> Mapping[str, float | None]:
        """Messages in a second by account, the widest account first; None where no rate is known.

        The names show no secret, have at most 200 characters and are the same in every process.
        """


CHANNELS: Mapping[str, type[Channel]] = {
    "file": File,
    "graph": Graph,
    "slack": Slack,
    "smtp": Smtp,
    "teams": Teams,
}
