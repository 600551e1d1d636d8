"""What the pages show: digests, their editions and their messages; nothing here changes any of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from digest.compose import (
    NOTHING_SENT,
    compose,
    due_on,
    facts_of,
    history_of,
    latest_business_date,
)
from digest.dispatch import last_told, memory_of, message_for
from digest.due import today_of
from digest.errors import ConfigError, DigestError
from digest.ledger import Postgres, State, read_ledger
from digest.model import Recipient
from digest.preview.address import UnknownError, View
from digest.preview.frame import opened
from digest.preview.kept import Answers, keeping
from digest.preview.records import known_history, records, source_of
from digest.scenarios import Held, Scenario
from digest.snapshot import edition_from_json, fingerprint

if TYPE_CHECKING:
    from digest.editions import Facts
    from digest.figures import Figures
    from digest.ledger import Delivery, Run
    from digest.ledger.store import Reader
    from digest.model import Edition, Image, LeadCounts, MailHeaders, Message
    from digest.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)

SAMPLES = "samples"  # the digest that stands for the scenarios where no settings were given
MOST_MESSAGES = 64
REFRESH_AFTER = timedelta(minutes=1)


class Basis(StrEnum):
    """What an edition on the screen rests on."""

    SENT = "sent"  # frozen, and somebody got it
    FROZEN = "frozen"  # frozen for sending, nobody has got it yet
    TODAY = "today"  # what would be sent
    RECOUNTED = "recounted"  # never sent; counted today
    AHEAD = "ahead"  # a day to come, with the leads so far
    SCENARIO = "scenario"


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who gets the edition: a recipient of a channel."""

    channel: str
    form: str
    recipient: Recipient
    headers: MailHeaders | None


@dataclass(frozen=True, kw_only=True)
class Showing:
    """One edition on the screen.

    Attributes:
        asked: the business date that the address means.
        deliveries: of its run, when there is one. run: likewise. correction: number of the one shown, 0 for
            the edition that was sent first. corrections: how many its date has.
        trouble: why the edition asked for is not there; `edition` is then the last frozen one.
        older: the settings have changed in what they ask of the source since the counts were read.
    """

    digest: str
    title: str
    view: View
    asked: date
    facts: Facts
    edition: Edition
    previous: Edition | None
    basis: Basis
    reader: Addressee
    readers: tuple[Addressee, ...]
    settings: Settings | None = None
    run: Run | None = None
    deliveries: tuple[Delivery, ...] = ()
    trouble: DigestError | None = None
    older: bool = False
    correction: int = 0
    corrections: int = 0

    @property
    def language(self) -> str:
        """Of the edition as it is shown."""
        return self.view.locale or self.reader.recipient.language or self.edition.language


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail on the screen.

    Attributes:
        message: the edition rendered now. content: the mail's bytes, of the one that was sent where there
            is one.
        html, text, subject, images: what these bytes hold.
        frozen: they are the very bytes that are sent.
    """

    message: Message
    content: bytes = field(repr=False)
    html: str = field(repr=False)
    text: str = field(repr=False)
    subject: str
    images: tuple[Image, ...]
    frozen: bool


@dataclass(eq=False)
class Subject:
    """One digest of the desk: its settings, what its sources answered, and editions made of that.

    Attributes:
        newest: settings that ask the sources for something else than these, for the next refresh.
    """

    settings: Settings
    answers: Answers
    newest: Settings | None = None
    editions: dict[date, Edition | DigestError] = field(default_factory=dict)


@dataclass(eq=False)
class Desk:
    """Every digest and scenario that the pages may show.

    Attributes:
        clock: the instant of now, aware.
        offline: sources are never asked.
        anonymous: recipients are left out; an example stands for all.
        samples: scenarios by name.
        broken: what is wrong with files that could not be read, each with the digest that an earlier
            reading of it gave.
    """

    clock: Callable[[], datetime]
    offline: bool = False
    anonymous: bool = False
    samples: Mapping[str, Callable[[], Scenario | Held]] = field(default_factory=dict)
    broken: tuple[tuple[str | None, DigestError], ...] = ()
    _subjects: dict[str, Subject] = field(default_factory=dict)
    # What was rendered since a template changed; a failure too, for it would take as long again.
    _messages: dict[Any, Message | ConfigError] = field(default_factory=dict)
    _sources: dict[Any, str | ConfigError] = field(default_factory=dict)
    _mails: dict[Any, Mail] = field(default_factory=dict)
    _figures: dict[Any, Figures] = field(default_factory=dict)
    _good: dict[Any, Message] = field(default_factory=dict)
    _good_sources: dict[Any, str] = field(default_factory=dict)
    _seconds: dict[Any, float] = field(default_factory=dict)
    _looked_at: Showing | None = None
    _busy: threading.RLock = field(default_factory=threading.RLock)
    # Rendering may take as long as a hostile template is allowed to; what needs no mail goes on.
    _rendering: threading.RLock = field(default_factory=threading.RLock)

    # ------------------------------------------------------------------------------------ digests

    def put(
        self,
        loaded: Sequence[Settings],
        *,
        broken: Sequence[tuple[str | None, DigestError]] = (),
    ) -> None:
        """Take the digests as their files now say; what was counted stays where the question is the same."""
        with self._busy:
            self.broken = tuple(broken)
            self.forget_messages()
            self._figures.clear()
            self._subjects = {settings.id: self._subject(settings) for settings in loaded}

    def _subject(self, settings: Settings) -> Subject:
        known = self._subjects.get(settings.id)
        if known is None:
            return Subject(settings, Answers(self.clock(), offline=self.offline))
        if known.settings is settings:  # of a file that is broken now
            return known
        if _question(known.settings) == _question(settings):
            # The new settings with the old sources, whose answers are known by their identity.
            same = replace(
                settings,
                connector=known.settings.connector,
                deals=known.settings.deals,
                follow_up=settings.follow_up
                and known.settings.follow_up
                and (settings.follow_up[0], known.settings.follow_up[1]),
            )
            return Subject(same, known.answers)
        return replace(known, newest=settings)

    def refresh(self, digest: str) -> timedelta | None:
        """Forget what the sources of a digest answered; the next page asks them again.

        Returns:
            How long to wait when they were asked within the last minute, else None.

        Raises:
            UnknownError: there is no such digest.
        """
        with self._busy:
            self.settings(digest)
            subject = self._subjects.get(digest)
            if subject is None:
                return None
            now = self.clock()
            rest = subject.answers.asked_at + REFRESH_AFTER - now
            if rest > timedelta(0):
                return rest
            settings = subject.newest or subject.settings
            self._subjects[digest] = Subject(settings, Answers(now, offline=self.offline))
            self.forget_messages()
            self._figures.clear()
            return None

    def forget_messages(self) -> None:
        """Render anew from now on: a template has changed."""
        # New ones: what is being rendered now goes into the old ones, and with them.
        self._messages, self._sources, self._mails = {}, {}, {}

    def prepare(self, ready: Callable[[], object] = lambda: None) -> None:
        """Render what was looked at last, before its page is asked for again; `ready` is told half-way.

        The mail's bytes are then still to be packed, while pages are already told of the change.
        """
        try:
            if (showing := self._looked_at) is not None:
                if self.settings(showing.digest) is not showing.settings:
                    showing = self.show(showing.digest, showing.view)
                self.message(showing)
                ready()
                self.mail(showing)
        except Exception:  # told by the page, which meets it again
            log.debug("the view that was open cannot be prepared", exc_info=True)
        finally:
            ready()

    def broken_of(self, digest: str | None) -> tuple[DigestError, ...]:
        """Return what is wrong with the files of a digest, or with any file when none is named."""
        return tuple(
            error for whose, error in self.broken if digest is None or whose in (None, digest)
        )

    @property
    def digests(self) -> tuple[str, ...]:
        """Ids of the digests, in the order of their files."""
        return tuple(self._subjects) or ((SAMPLES,) if self.samples else ())

    def settings(self, digest: str) -> Settings | None:
        """Return the settings of a digest; None for the scenarios' own.

        Raises:
            UnknownError: there is no such digest.
        """
        if digest not in self.digests:
            raise UnknownError("digest", digest, self.digests)
        found = self._subjects.get(digest)
        return None if found is None else found.settings

    def asking(self, digest: str) -> tuple[Settings, datetime] | None:
        """Return settings whose sources answer once, as for the editions, and as of when.

        None for the scenarios' own digest.
        """
        with self._busy:
            subject = self._subjects.get(digest)
            if subject is None:
                return None
            return keeping(subject.settings, subject.answers), subject.answers.asked_at

    def fleet(self) -> Reader | None:
        """Return the ledger of a fleet for looking only; None where the digests have none.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._busy:
            places = [one.settings.ledger for one in self._subjects.values()]
        place = next((one for one in places if isinstance(one, Postgres)), None)
        return None if place is None else read_ledger(place)

    # ----------------------------------------------------------------------------------- editions

    def show(self, digest: str, view: View) -> Showing:
        """Return the edition that an address means.

        Raises:
            UnknownError: no such digest or recipient.
            DigestError: there is no edition to show, not even an earlier one; or the date has none.
        """
        with self._busy:
            settings = self.settings(digest)
            if settings is None or view.scenario is not None:
                return self._sample(digest, settings, view)
            return self._own(self._subjects[digest], view)

    def _sample(self, digest: str, settings: Settings | None, view: View) -> Showing:
        name = view.scenario or next(iter(self.samples))
        sample = self.samples[name]()
        held = isinstance(sample, Held)
        edition = sample.previous if isinstance(sample, Held) else sample.edition
        readers = _readers(None)
        return Showing(
            digest=digest,
            title=edition.title if settings is None else settings.title,
            view=replace(view, scenario=name),
            asked=sample.due.business_date,
            facts=sample.facts,
            edition=edition,
            previous=None if held else sample.previous,
            trouble=sample.error if isinstance(sample, Held) else None,
            basis=Basis.SCENARIO,
            reader=_chosen(readers, view),
            readers=readers,
            settings=None,
        )

    def _own(self, subject: Subject, view: View) -> Showing:
        settings = subject.settings
        today = today_of(settings, self.clock())
        asked = view.date or latest_business_date(settings, today)
        readers = _readers(None if self.anonymous else settings)
        reader = read_ledger(settings.ledger)
        trouble: DigestError | None = None
        corrections = _corrections(reader, settings, asked)
        number = view.correction
        if number > corrections:
            known = [str(n) for n in range(corrections + 1)]
            raise UnknownError("correction", str(number), known)
        try:
            edition, basis = self._edition(subject, reader, asked, today, number)
        except DigestError as error:
            last = _last_frozen(reader, settings)
            if last is None or _is_free(settings, asked):
                raise
            edition, basis, trouble = last, Basis.SENT, error
        shown_date = edition.business_date
        run = reader.run(settings.id, shown_date, correction=number) if reader else None
        return Showing(
            digest=settings.id,
            title=settings.title,
            view=view,
            asked=asked,
            facts=facts_of(settings),
            edition=edition,
            previous=_previous(reader, settings, shown_date),
            basis=basis,
            reader=_chosen(readers, view),
            readers=readers,
            settings=settings,
            run=run,
            deliveries=reader.deliveries(settings.id, shown_date, correction=number)
            if reader and run
            else (),
            trouble=trouble,
            older=subject.newest is not None,
            correction=number,
            corrections=corrections,
        )

    def _edition(
        self, subject: Subject, reader: Reader | None, asked: date, today: date, number: int
    ) -> tuple[Edition, Basis]:
        settings = subject.settings
        frozen = reader.edition(settings.id, asked, correction=number) if reader else None
        if frozen is not None and reader is not None:
            rows = reader.deliveries(settings.id, asked, correction=number)
            states = {one.state for one in rows}
            return edition_from_json(frozen), Basis.SENT if State.SENT in states else Basis.FROZEN
        edition = subject.editions.get(asked)
        if edition is None:
            edition = self._composed(subject, asked)
            subject.editions[asked] = edition
        if isinstance(edition, DigestError):
            raise edition
        if asked > today:
            return edition, Basis.AHEAD
        return edition, Basis.TODAY if asked == today else Basis.RECOUNTED

    @staticmethod
    def _composed(subject: Subject, asked: date) -> Edition | DigestError:
        settings = keeping(subject.settings, subject.answers)
        try:
            due_on(settings, asked)
            memory = memory_of(settings, asked) if read_ledger(settings.ledger) else NOTHING_SENT
            return compose(settings, asked, now=subject.answers.asked_at, memory=memory)
        except ConfigError as error:
            return ConfigError(*map(settings.located, error.mistakes))
        except DigestError as error:
            return error

    # ------------------------------------------------------------------------------------- figures

    def figures(self, showing: Showing) -> Figures:
        """Return the record of every number of an edition; no source is asked for it."""
        from digest.snapshot import edition_to_json

        edition, name = showing.edition, showing.view.scenario
        key = (showing.digest, name, fingerprint(edition_to_json(edition)))
        with self._busy:
            if key not in self._figures:
                if len(self._figures) >= MOST_MESSAGES:
                    del self._figures[next(iter(self._figures))]
                self._figures[key] = records(showing, self._history(showing))
            return self._figures[key]

    def _history(self, showing: Showing) -> LeadCounts | None:
        if showing.basis is Basis.SCENARIO:
            sample = self.samples[showing.view.scenario or ""]()
            return None if isinstance(sample, Held) else sample.history
        subject = self._subjects[showing.digest]
        silent = replace(subject.answers, offline=True)
        settings = keeping(subject.settings, silent)
        return known_history(settings, showing.edition, silent.asked_at)

    def recounted(self, digest: str, day: date) -> Edition:
        """Return the edition of a date as it would be counted now, whatever was sent.

        Raises:
            DigestError: it cannot be made, or the date has none.
        """
        with self._busy:
            edition = self._composed(self._subjects[digest], day)
        if isinstance(edition, DigestError):
            raise edition
        return edition

    def months_before(self, showing: Showing) -> LeadCounts | None:
        """Return the counts of the months before the one that an edition judges, None where there are none.

        Raises:
            DigestError: the source does not say.
        """
        if showing.settings is None:
            sample = self.samples[showing.view.scenario or ""]()
            return sample.history if isinstance(sample, Scenario) else None
        with self._busy:
            subject = self._subjects[showing.digest]
            settings = keeping(subject.settings, subject.answers)
            first = showing.edition.judged.period.start
            return history_of(settings, first, subject.answers.asked_at)

    # ----------------------------------------------------------------------------------- messages

    def message(self, showing: Showing) -> Message:
        """Return the edition rendered as its reader wants it, in the language of the view.

        Raises:
            ConfigError: a template is at fault.
        """
        key = self._key(showing)
        with self._rendering:
            messages = self._messages
            if key not in messages:
                began = time.monotonic()
                _keep_result(messages, key, lambda: self._rendered(showing))
                self._seconds[_same_view(showing)] = time.monotonic() - began
            message = _sound(messages[key])
            _keep(self._good, _same_view(showing), message)
            return message

    @staticmethod
    def _key(showing: Showing) -> tuple[object, ...]:
        """What a rendering depends on, but for the templates."""
        from digest.snapshot import edition_to_json

        return fingerprint(edition_to_json(showing.edition)), _reader_of(showing), showing.digest

    @staticmethod
    def _rendered(showing: Showing) -> Message:
        from digest.render import render

        wanted = _reader_of(showing)
        if showing.settings is not None:
            return message_for(showing.settings, showing.edition, wanted)
        return render(showing.edition, language=wanted.language, segments_first=wanted.segments)

    def source(self, showing: Showing, mail: Mail) -> str | None:
        """Return the MJML of a mail; while a template is broken the one before, None when there is none."""
        key = (*self._key(showing), bool(mail.images))
        with self._rendering:
            sources = self._sources
            if key not in sources:
                _keep_result(sources, key, lambda: source_of(showing, mail))
            found = sources[key]
            if isinstance(found, str):
                _keep(self._good_sources, _same_view(showing), found)
            return self._good_sources.get(_same_view(showing))

    def seconds(self, showing: Showing) -> float | None:
        """Return how long the last rendering of a view took, None when there was none yet."""
        return self._seconds.get(_same_view(showing))

    def last_good(self, showing: Showing) -> tuple[Mail, ConfigError | None]:
        """Return the mail of a view; while a template is broken the one before, and what is wrong.

        Raises:
            ConfigError: a template is at fault, and the view was never rendered before.
        """
        try:
            return self.mail(showing), None
        except ConfigError as error:
            before = self._good.get(_same_view(showing))
            if before is None:
                raise
            return _mail(before, self._packed(showing, before), frozen=False), error

    def mail(self, showing: Showing) -> Mail:
        """Return the mail of a view: the very bytes where they are frozen, else as they would be.

        Raises:
            ConfigError: a template is at fault.
        """
        self._looked_at = showing
        with self._rendering:  # a page and its frame ask at the same time: one of them makes it
            mails, message = self._mails, self.message(showing)
            own = _frozen_bytes(showing) if self._as_sent(showing) else None
            key = (*self._key(showing), showing.reader, own)
            if key not in mails or mails[key].message is not message:
                content = own or self._packed(showing, message)
                _keep(mails, key, _mail(message, content, frozen=own is not None))
            return mails[key]

    @staticmethod
    def _as_sent(showing: Showing) -> bool:
        """Whether the view is of the language in which the reader got it."""
        own = showing.reader.recipient.language or showing.edition.language
        return showing.view.locale in (None, own)

    def _packed(self, showing: Showing, message: Message) -> bytes:
        from digest.render.files import EXAMPLE_HEADERS, NOBODY
        from digest.render.mime import pack

        headers = showing.reader.headers
        recipient = showing.reader.recipient if headers else NOBODY
        key = "/".join(
            (
                showing.digest,
                str(showing.edition.business_date),
                showing.reader.channel,
                recipient.address,
            )
        )
        return pack(
            message,
            recipient=recipient,
            headers=headers or EXAMPLE_HEADERS,
            key=key,
            sent_at=showing.edition.as_of,
        )


def _keep(known: dict[Any, T], key: object, value: T) -> None:
    if key not in known and len(known) >= MOST_MESSAGES:
        del known[next(iter(known))]
    known[key] = value


def _keep_result(known: dict[Any, T | ConfigError], key: object, make: Callable[[], T]) -> None:
    """Keep what was made, or why it could not be."""
    try:
        _keep(known, key, make())
    except ConfigError as error:
        _keep(known, key, error)


def _sound(rendered: Message | ConfigError) -> Message:
    if isinstance(rendered, ConfigError):
        raise rendered.with_traceback(None)
    return rendered


def _reader_of(showing: Showing) -> Recipient:
    """Who gets the edition, in the language of the view."""
    return replace(showing.reader.recipient, language=showing.language)


def _same_view(showing: Showing) -> tuple[object, ...]:
    """What two showings have in common of which the later one may stand in for the earlier."""
    reader, view = showing.reader, showing.view
    edition = showing.asked, showing.correction, view.scenario
    return showing.digest, *edition, reader, showing.language


def _question(settings: Settings) -> str:
    """What settings ask of their sources; where it is the same, the answers still serve."""
    follow_up = settings.follow_up and settings.follow_up[1]
    asked = (settings.connector, settings.deals, follow_up, settings.segments, settings.timezone)
    return fingerprint(repr(asked))


def _readers(settings: Settings | None) -> tuple[Addressee, ...]:
    from digest.render.files import EXAMPLE_HEADERS, NOBODY

    found = [
        Addressee(name, channel.form, recipient, channel.headers)
        for name, channel in (settings.channels if settings else {}).items()
        for recipient in channel.recipients
    ]
    return tuple(found) or (Addressee("example", "mime", NOBODY, EXAMPLE_HEADERS),)


def _chosen(readers: Sequence[Addressee], view: View) -> Addressee:
    if view.recipient > len(readers):
        numbers = [str(n + 1) for n in range(len(readers))]
        raise UnknownError("recipient", str(view.recipient), numbers)
    return readers[view.recipient - 1]


def _is_free(settings: Settings, day: date) -> bool:
    """Whether a date has no edition, which is no failure."""
    try:
        return due_on(settings, day).kind is None
    except ConfigError:
        return False


def _corrections(reader: Reader | None, settings: Settings, day: date) -> int:
    """How many corrections of a date are frozen."""
    found = 0
    while reader and reader.edition(settings.id, day, correction=found + 1) is not None:
        found += 1
    return found


def _last_frozen(reader: Reader | None, settings: Settings) -> Edition | None:
    found = reader.sent_editions(settings.id, limit=1) if reader else ()
    return edition_from_json(found[0]) if found else None


def _previous(reader: Reader | None, settings: Settings, day: date) -> Edition | None:
    return last_told(settings, reader, day) if reader else None


def _frozen_bytes(showing: Showing) -> bytes | None:
    """The mail that the ledger holds for the reader of a view, None when it holds none."""
    settings = showing.settings
    mine = [
        one
        for one in showing.deliveries
        if (one.channel, one.recipient)
        == (showing.reader.channel, showing.reader.recipient.address)
    ]
    reader = read_ledger(settings.ledger) if settings and mine else None
    if reader is None or showing.reader.form != "mime" or not reader.has(mine[0].message):
        return None
    return reader.message(mine[0])


def _mail(message: Message, content: bytes, *, frozen: bool) -> Mail:
    inside = opened(content, {image.cid: image.alt for image in message.images})
    return Mail(
        message=message,
        content=content,
        html=inside.html,
        text=inside.text,
        subject=inside.subject,
        images=inside.images,
        frozen=frozen,
    )
