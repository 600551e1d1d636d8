"""What an operator is told when something is wrong: what happened, who lacks what, what follows, what to do.

Only words are made here, from facts at hand: no lead, no secret, no stack trace. `telling` sends them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time
from enum import StrEnum
from itertools import groupby
from textwrap import fill
from typing import Any
from zoneinfo import ZoneInfo

from digest.errors import Reason
from digest.ledger.notes import Noted


class Cause(StrEnum):
    """Why an operator is told something; with digest and business date it is told once."""

    SOURCE_AUTH = "source_auth"
    SOURCE_QUOTA = "source_quota"
    SOURCE_TRANSIENT = "source_transient"
    SOURCE_OVERFLOW = "source_overflow"
    SOURCE_UNRECONCILED = "source_unreconciled"
    SOURCE_STALE = "source_stale"
    DROP = "drop"
    CONFIG = "config"
    TEMPLATE = "template"
    LEDGER = "ledger"
    CHANNEL = "channel"
    REFUSED = "refused"
    ALL_REFUSED = "all_refused"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    BUG = "bug"
    RECOVERED = "recovered"


BY_REASON: Mapping[Reason, Cause] = {
    Reason.AUTH: Cause.SOURCE_AUTH,
    Reason.QUOTA: Cause.SOURCE_QUOTA,
    Reason.TRANSIENT: Cause.SOURCE_TRANSIENT,
    Reason.OVERFLOW: Cause.SOURCE_OVERFLOW,
    Reason.UNRECONCILED: Cause.SOURCE_UNRECONCILED,
    Reason.STALE: Cause.SOURCE_STALE,
    Reason.DROP: Cause.DROP,
}
# These pass by themselves, or may: a later call of the day tries again, so only the last one is told.
PASSING = frozenset(
    (
        Cause.SOURCE_TRANSIENT,
        Cause.SOURCE_OVERFLOW,
        Cause.SOURCE_UNRECONCILED,
        Cause.SOURCE_STALE,
    )
)

_LONGEST_HEAD = 90
_SOURCES = {
    "hubspot": "HubSpot",
    "salesforce": "Salesforce",
    "sql": "the database",
    "spreadsheet": "the spreadsheet",
}
_HELD = {
    Cause.SOURCE_AUTH: "{source} refused the key",
    Cause.SOURCE_QUOTA: "the quota of {source} is used up",
    Cause.SOURCE_TRANSIENT: "{source} did not answer",
    Cause.SOURCE_OVERFLOW: "{source} has more than can be counted",
    Cause.SOURCE_UNRECONCILED: "the numbers of {source} do not add up",
    Cause.SOURCE_STALE: "{source} has not been filled in time",
    Cause.DROP: "the month's leads fell",
    Cause.CONFIG: "the settings are wrong",
    Cause.TEMPLATE: "a template is broken",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing an operator has to know.

    Attributes:
        about: which delivery or channel it concerns, "" for the whole edition.
        head: the subject's half that tells this alert from others.
        happened, missed, follows: sentences; `missed` says who did not get what.
        command: the one command to run, "" when there is nothing to do.
    """

    digest: str
    cause: Cause
    business_date: date
    about: str
    head: str
    happened: str
    missed: str
    follows: str
    command: str = ""

    def noted(self) -> Noted:
        """Return it as the ledger remembers it."""
        words = {key: value for key, value in asdict(self).items() if key in _WORDS}
        return Noted(self.digest, self.cause, self.business_date, self.about, json.dumps(words))


_WORDS = ("head", "happened", "missed", "follows", "command")


def read_alert(noted: Noted) -> Alert:
    """Return the alert that was remembered."""
    return Alert(
        noted.digest,
        Cause(noted.cause),
        noted.business_date,
        noted.about,
        **json.loads(noted.text),
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the alerts of one call have in common.

    Attributes:
        config: the settings file as a command names it. readers: how many recipients there are.
        now, since: instants of the call and of the day's first call. until: local end of sending.
    """

    digest: str
    config: str
    business_date: date
    zone: str
    until: time
    readers: int
    now: datetime
    since: datetime

    def alert(self, cause: Cause, about: str = "", **words: str) -> Alert:
        """Return an alert of this digest and date; its head is cut to fit a subject."""
        head = words.pop("head")
        cut = head if len(head) <= _LONGEST_HEAD else f"{head[: _LONGEST_HEAD - 1]}…"
        return Alert(self.digest, cause, self.business_date, about, head=cut, **words)

    def clock(self, instant: datetime) -> str:
        """Return a local time of day."""
        return f"{instant.astimezone(ZoneInfo(self.zone)):%H:%M}"

    @property
    def nobody(self) -> str:
        """The sentence when nothing has gone out."""
        many = "recipient" if self.readers == 1 else f"{self.readers} recipients"
        return f"None of the {many} has the edition of {day_in_words(self.business_date)}."

    @property
    def next_edition(self) -> str:
        """What covers a day without an edition."""
        return "The next edition covers this day as well; nothing is sent late by itself."


def day_in_words(day: date) -> str:
    """Return a day as alerts name it: Tuesday, 15 June 2026."""
    return f"{day:%A}, {day.day} {day:%B %Y}"


# ----------------------------------------------------------------------------------- nothing was sent


def held(scene: Scene, cause: Cause, error: str, *, source: str) -> Alert:
    """The edition is kept back, and a person can do something about it."""
    what = _HELD[cause].format(source=_SOURCES.get(source, source))
    command = f"digest check {scene.config}"
    if cause is Cause.DROP:
        command = f"digest send {scene.config} --accept-drop   # only if the fall is real"
    until = f"{scene.until:%H:%M}"
    return scene.alert(
        cause,
        head=f"held since {scene.clock(scene.since)} - {what}",
        happened=error,
        missed=f"{scene.nobody} No number has gone out, so none is wrong.",
        follows=f"Each further call tries again until {until}; as soon as it works, the edition goes "
        f"out. After {until} it is given up. {scene.next_edition}",
        command=command,
    )


def stale(scene: Scene, upto: date) -> Alert:
    """The edition went out with the last figures, because the source has nothing newer."""
    return scene.alert(
        Cause.SOURCE_STALE,
        head=f"sent without new figures - those up to {day_in_words(upto)}",
        happened="The source had nothing newer when the time to send ended, so the last figures went out, "
        "marked and without a verdict (`on_stale`).",
        missed="Nobody has the figures of the days since.",
        follows="The next edition covers these days as well, once the source has them.",
        command=f"digest check {scene.config}",
    )


def unusable(scene: Scene, error: str) -> Alert:
    """The ledger cannot be used, so nothing may be sent."""
    return scene.alert(
        Cause.LEDGER,
        head="cannot send - the record of what was sent cannot be used",
        happened=error,
        missed="Whoever has not got today's edition yet does not get it: without its record a digest "
        "sends nothing, because it could send twice.",
        follows=f"Each further call tries again until {scene.until:%H:%M}.",
        command=f"digest check {scene.config}",
    )


def broken(scene: Scene, kind: str) -> Alert:
    """The program met a fault of its own."""
    return scene.alert(
        Cause.BUG,
        head="stopped by a fault of digest itself",
        happened=f"digest ended with an error of its own ({kind}); its report is where its output goes.",
        missed="Whoever has not got today's edition yet may not get it.",
        follows=f"Each further call tries again until {scene.until:%H:%M}.",
        command=f"digest history {scene.config} --date {scene.business_date}",
    )


def expired(scene: Scene, day: date, *, missed: Sequence[str], why: str) -> Alert:
    """`send_until` has passed and somebody has not got the edition of `day`."""
    if missed:
        many = "1 recipient" if len(missed) == 1 else f"{len(missed)} recipients"
        who = f"Without the edition of {day_in_words(day)}: {', '.join(missed)}."
        head = f"not sent in time to {many}"
    else:
        who = f"Nobody has the edition of {day_in_words(day)}."
        head = "not sent in time to anybody"
    kept = f" What kept it back: {why}" if why else ""
    again = f"digest send {scene.config} --date {day}   # if it should still go out"
    alert = scene.alert(
        Cause.EXPIRED,
        head=f"{head} - {why}" if why else head,
        happened=f"The time to send ended at {scene.until:%H:%M}.{kept}",
        missed=who,
        follows=f"Nothing more happens for this day. {scene.next_edition}",
        command=again
        if day == scene.business_date
        else f"digest history {scene.config} --date {day}",
    )
    return replace(alert, business_date=day)


# ------------------------------------------------------------------------------- somebody has not got it


def refused(scene: Scene, key: str, recipient: str, note: str, days: int) -> Alert:
    """A recipient was refused for good; `days` in a row, this one included."""
    advice = ""
    if days >= REFUSED_DAYS:
        advice = (
            f" It has been refused {days} editions in a row: take {recipient} out of `recipients`, "
            "or find out why."
        )
    return scene.alert(
        Cause.REFUSED,
        key,
        head=f"refused for {recipient}",
        happened=f"{recipient} was refused: {note}.{advice}",
        missed=f"{recipient} has not got the edition of {day_in_words(scene.business_date)}; "
        "the others are not affected.",
        follows="It is not tried again today. The next edition is offered again.",
        command=f"digest history {scene.config} --date {scene.business_date}",
    )


REFUSED_DAYS = 3


def all_refused(scene: Scene, notes: Iterable[str]) -> Alert:
    """Nobody was accepted."""
    said = "; ".join(dict.fromkeys(notes))
    return scene.alert(
        Cause.ALL_REFUSED,
        head="refused for every recipient",
        happened=f"Every recipient was refused: {said}.",
        missed=scene.nobody,
        follows=f"It is not tried again today. {scene.next_edition}",
        command=f"digest check {scene.config}",
    )


def blocked(scene: Scene, channel: str, note: str, waiting: Sequence[str]) -> Alert:
    """A channel takes nothing from anybody before a person has mended it."""
    return scene.alert(
        Cause.CHANNEL,
        channel,
        head=f"held since {scene.clock(scene.since)} - the channel {channel} takes nothing",
        happened=f"{note}. It is tried once in each call and no more, so that no account is locked.",
        missed=f"Waiting for it: {', '.join(waiting)}." if waiting else scene.nobody,
        follows=f"Each further call tries once until {scene.until:%H:%M}; then it is given up. "
        f"{scene.next_edition}",
        command=f"digest check {scene.config}",
    )


def unknown(scene: Scene, key: str, recipient: str, note: str) -> Alert:
    """Nobody can know whether a message arrived; repeated each day until a person has settled it."""
    return scene.alert(
        Cause.UNKNOWN,
        key,
        head=f"unknown whether {recipient} got it",
        happened=f"{note}.",
        missed=f"{recipient} may have the edition of {key.split('/')[1]} or not.",
        follows="It is never sent again by itself, because that could be the second copy. You are "
        "reminded each day until you have settled it. `digest history` names its Message-ID: look for "
        "that in the relay's log, or ask the reader.",
        command=f"digest resolve {key} --config {scene.config} --sent   # or --resend, or --cancel",
    )


# ------------------------------------------------------------------------------------------ it is over


def recovered(scene: Scene, over: Sequence[Alert], untold: Sequence[Alert] = ()) -> Alert:
    """One notice for all causes that have ended; `untold` are those that no way took while they lasted."""
    several = f" and {len(over) - 1} more" if len(over) > 1 else ""
    lines = [f"{one.head} ({one.business_date})" for one in over]
    late = [f"{one.happened} {one.missed}" for one in untold]
    before = f" Nobody could be told of it before: {' '.join(late)}" if late else ""
    about = ",".join(sorted({f"{one.cause}@{one.business_date}" for one in over}))
    return scene.alert(
        Cause.RECOVERED,
        about[:600],
        head=f"over: {over[0].head}{several}",
        happened=f"This is over: {'; '.join(lines)}.{before}",
        missed=f"Nobody: the edition of {day_in_words(scene.business_date)} is out.",
        follows="Nothing to do.",
    )


# ------------------------------------------------------------------------------------------ the letter


@dataclass(frozen=True, slots=True)
class Letter:
    """One or several alerts as an operator reads them: a subject and plain text."""

    subject: str
    text: str


# The causes, the most urgent first.
URGENT = (
    *(Cause.UNKNOWN, Cause.LEDGER, Cause.BUG, Cause.EXPIRED, Cause.ALL_REFUSED, Cause.CHANNEL),
    *(Cause.CONFIG, Cause.TEMPLATE, Cause.SOURCE_AUTH, Cause.SOURCE_QUOTA, Cause.DROP),
    *(Cause.SOURCE_TRANSIENT, Cause.SOURCE_OVERFLOW, Cause.SOURCE_UNRECONCILED),
    Cause.SOURCE_STALE,
    *(Cause.REFUSED, Cause.RECOVERED),
)


def letter(alerts: Sequence[Alert], *, title: str, host: str, now: datetime, zone: str) -> Letter:
    """Write alerts of one digest down, the most urgent first; those of a kind share a paragraph."""
    ordered = sorted(alerts, key=lambda one: (URGENT.index(one.cause), one.business_date))
    groups = [
        list(group) for _, group in groupby(ordered, key=lambda one: (one.cause, one.business_date))
    ]
    first = ordered[0]
    rest = len(alerts) - 1
    subject = f"[digest] {first.digest}: {first.head}" + (f" (and {rest} more)" if rest else "")
    several = len(groups) > 1
    parts = [f"{title} ({first.digest})", *(_section(group, several=several) for group in groups)]
    local = now.astimezone(ZoneInfo(zone))
    parts.append(
        f"Told by digest on {host}, {local:%Y-%m-%d %H:%M} ({local:%Z}), once for each cause and day."
    )
    return Letter(subject, "\n\n".join(parts) + "\n")


def _section(group: Sequence[Alert], *, several: bool) -> str:
    """Write what one cause has to say; its head above it where there is more than one."""
    more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
    head = [f"== {group[0].head}{more} =="] if several else []
    return "\n\n".join(
        [
            *head,
            *titled("What happened", (one.happened for one in group)),
            *titled("Who did not get what", (one.missed for one in group)),
            *titled("What happens next by itself", (one.follows for one in group)),
            *titled("What to run", (one.command for one in group)),
        ]
    )


def titled(title: str, sentences: Iterable[str]) -> Iterable[str]:
    """Yield a paragraph of the different sentences under a title; none when all are empty."""
    different = [one for one in dict.fromkeys(sentences) if one]
    if different:
        yield "\n".join((f"{title}:", *map(_wrapped, different)))


def _wrapped(sentence: str) -> str:
    # A command has to stay on one line to be copied.
    if sentence.startswith("digest "):
        return f"  {sentence}"
    return fill(" ".join(sentence.split()), 76, **_INDENTED)


_INDENTED: Mapping[str, Any] = {
    "initial_indent": "  ",
    "subsequent_indent": "  ",
    "break_long_words": False,
    "break_on_hyphens": False,
}
