"""A source that is asked once: what it answered serves every page until somebody asks for a refresh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from digest.errors import ConnectorError, DigestError, Reason

if TYPE_CHECKING:
    from digest.model import DealStatistics, FollowUpRow, LeadCounts, Period, Segment
    from digest.settings import Settings


@dataclass(eq=False)
class Answers:
    """What a digest's sources answered at one instant, failures included.

    Attributes:
        asked_at: UTC instant that every question carries, so that all answers are of one moment.
        offline: nothing is asked; what is not known yet is a failure that says so.
    """

    asked_at: datetime
    offline: bool = False
    _known: dict[Any, Any] = field(default_factory=dict)

    def of(self, key: object, ask: Callable[[], Any], *, name: str) -> Any:  # noqa: ANN401 - as asked
        """Return the answer to a question, asked at most once.

        Raises:
            DigestError: the source's own failure, again on every later call.
        """
        if key not in self._known:
            if self.offline:
                raise ConnectorError(
                    name,
                    Reason.TRANSIENT,
                    "not asked, since the preview runs offline",
                    remedy="start it without --offline",
                )
            try:
                self._known[key] = ask()
            except DigestError as error:
                self._known[key] = error
        answer = self._known[key]
        if isinstance(answer, DigestError):
            raise answer
        return answer


@dataclass(frozen=True, eq=False)
class Kept:
    """Stands in front of a source and remembers."""

    source: Any
    name: str
    answers: Answers

    def count_leads(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> LeadCounts:
        """Count as the source does, once."""
        answer: LeadCounts = self._once(
            "count_leads", period=period, segments=tuple(segments), now=now
        )
        return answer

    def deal_statistics(
        self, *, window: Period, segments: Sequence[Segment], now: datetime
    ) -> DealStatistics:
        """Measure as the source does, once."""
        answer: DealStatistics = self._once(
            "deal_statistics", window=window, segments=tuple(segments), now=now
        )
        return answer

    def follow_up(
        self, *, period: Period, segments: Sequence[Segment], now: datetime
    ) -> tuple[FollowUpRow, ...]:
        """Return what the source does, once."""
        answer: tuple[FollowUpRow, ...] = self._once(
            "follow_up", period=period, segments=tuple(segments), now=now
        )
        return answer

    def _once(self, method: str, /, **question: Any) -> Any:  # noqa: ANN401 - as the source answers
        key = (id(self.source), method, *sorted(question.items()))
        return self.answers.of(
            key, lambda: getattr(self.source, method)(**question), name=self.name
        )


def keeping(settings: Settings, answers: Answers) -> Settings:
    """Return settings whose sources are asked at most once for each question."""
    stand_ins: dict[int, Kept] = {}

    def kept(source: Any) -> Any:  # noqa: ANN401 - any source
        # One and the same source stays one: composing asks whether deals and leads come from one place.
        return stand_ins.setdefault(id(source), Kept(source, settings.connector_name, answers))

    return replace(
        settings,
        connector=kept(settings.connector),
        deals=None if settings.deals is None else kept(settings.deals),
        follow_up=None
        if settings.follow_up is None
        else (settings.follow_up[0], kept(settings.follow_up[1])),
    )
