"""The leads waterfall as SVG for a browser: the data of the mail's picture, each day with its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from itertools import accumulate

from digest.model import Edition
from digest.render import words
from digest.render.charts import Waterfall, step, top_of, waterfall
from digest.render.locales import Locale, half_up, locale_for

WIDTH, HEIGHT = 592, 240
RIGHT, TOP, BOTTOM = 96, 14, 30  # room for labels and scales
_APART = 30  # between the labels at the right end

# Colours of both modes as variables, so that a page may set its own.
STYLE = """
.waterfall{--ink:#1f2933;--muted:#52606d;--line:#e4e7eb;--leads:#2f6db5;--fan:#c9dcf2;--ground:#ffffff;
font:12px -apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
@media (prefers-color-scheme:dark){.waterfall{--ink:#e6e9ed;--muted:#b3bcc6;--line:#3a424c;--leads:#7db2f0;
--fan:#2c4666;--ground:#1b1f24}}
.waterfall .ground{fill:var(--ground)}.waterfall .grid{stroke:var(--line)}.waterfall text{fill:var(--muted)}
.waterfall .before{fill:var(--fan);opacity:.45}.waterfall .new{fill:var(--leads)}
.waterfall .goal{fill:none;stroke:var(--ink);stroke-width:1.6}
.waterfall .fan{fill:var(--fan)}
.waterfall .mean{fill:none;stroke:var(--leads);stroke-width:2;stroke-dasharray:6 4}
.waterfall .cut-off{stroke:var(--muted);stroke-dasharray:1 3}
.waterfall .of-goal{fill:var(--ink);font-weight:700}.waterfall .of-leads{fill:var(--leads)}
.waterfall .now{fill:var(--leads);font-size:15px;font-weight:700;
paint-order:stroke;stroke:var(--ground);stroke-width:4px}
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where days and leads stand on the picture; day n reaches from n to n + 1."""

    days: int
    top: float
    left: float
    ticks: Mapping[int, str]

    @classmethod
    def of(cls, picture: Waterfall, locale: Locale) -> _Frame:
        highest = top_of(picture, (sum(picture.new),))
        top = highest * 1.08
        ticks = {leads: locale.compact(leads) for leads in range(0, int(top) + 1, step(highest))}
        return cls(picture.length, top, 16 + 7 * max(map(len, ticks.values())), ticks)

    @property
    def day_width(self) -> float:
        return (WIDTH - self.left - RIGHT) / self.days

    def x(self, day: float) -> float:
        return self.left + day * self.day_width

    def y(self, leads: float) -> float:
        return HEIGHT - BOTTOM - leads * (HEIGHT - TOP - BOTTOM) / self.top


def waterfall_svg(edition: Edition, language: str | None = None) -> str:
    """Return the waterfall of an edition in one language, with the sentence of the mail's picture."""
    locale = locale_for(language or edition.language)
    card = edition.judged
    return svg(waterfall(edition), locale, alt=words.chart_alt(locale, card))


def svg(picture: Waterfall, locale: Locale, *, alt: str) -> str:
    """Return a standalone SVG document of 592 x 240 units, light and dark, without scripts.

    Args:
        picture: what `charts.waterfall` took from an edition.
        locale: writes dates and numbers.
        alt: the picture in words, its accessible name.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="waterfall" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(alt)}"><style>{STYLE}</style>'
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f"{_drawn(_Frame.of(picture, locale), picture, locale)}</svg>\n"
    )


def linked_svg(
    picture: Waterfall, locale: Locale, *, alt: str, links: Sequence[tuple[str, str]]
) -> str:
    """Return the same picture as a part of a page that has `STYLE`: each day is a link.

    Args:
        picture: what `charts.waterfall` took from an edition.
        locale: writes dates and numbers.
        alt: the picture in words.
        links: (address, accessible name) of each day of the month, those to come included.
    """
    frame = _Frame.of(picture, locale)
    targets = "".join(
        f'<a href="{escape(address)}" aria-label="{escape(name)}">'
        f"{_rect('day', frame.x(day), frame.day_width, TOP, HEIGHT - BOTTOM)}</a>"
        for day, (address, name) in enumerate(links)
    )
    return (
        f'<svg class="waterfall" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" '
        f'aria-label="{escape(alt)}"><g aria-hidden="true">'
        f"{_drawn(frame, picture, locale, told=False)}</g>{targets}</svg>"
    )


def _drawn(frame: _Frame, picture: Waterfall, locale: Locale, *, told: bool = True) -> str:
    totals = tuple(accumulate(picture.new))
    return "".join(
        (
            *_scales(frame, picture, locale),
            *_days(frame, picture, totals, locale if told else None),
            *_forecast(frame, picture, totals),
            *_goal(frame, picture),
            *_cut_off(frame, picture, totals, locale),
            *_labels(frame, picture, totals, locale),
        )
    )


def _scales(frame: _Frame, picture: Waterfall, locale: Locale) -> Iterator[str]:
    for leads, shown in frame.ticks.items():
        y = frame.y(leads)
        yield f'<path class="grid" d="M{frame.left} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield _text(frame.left - 6, y + 4, shown, "end")
    for day in (1, 8, 15, 22, picture.length):
        shown = locale.short_day(picture.first) if day == 1 else locale.number(day)
        yield _text(frame.x(day - 0.5), HEIGHT - 10, shown, "middle")


def _days(
    frame: _Frame, picture: Waterfall, totals: Sequence[int], told: Locale | None
) -> Iterator[str]:
    for day, (new, total) in enumerate(zip(picture.new, totals, strict=True)):
        x, width = frame.x(day), frame.day_width
        title = told and f"<title>{escape(_told(picture, day, new, total, told))}</title>"
        yield f"<g>{title or ''}"
        yield _rect("before", x, width, frame.y(total - new), frame.y(0))
        yield _rect("new", x + width * 0.08, width * 0.84, frame.y(total), frame.y(total - new))
        yield "</g>"


def _told(picture: Waterfall, day: int, new: int, total: int, locale: Locale) -> str:
    """Say a day's figures: "Fri 12 Jun: 5 new, 55 in all, 64 due"."""
    values = {
        "day": locale.day(picture.first + timedelta(day)),
        "new": locale.number(new),
        "total": locale.number(total),
    }
    if not picture.staircase:
        return locale.gettext("%(day)s: %(new)s new, %(total)s in all", **values)
    due = locale.number(half_up(picture.staircase[day]))
    return locale.gettext("%(day)s: %(new)s new, %(total)s in all, %(due)s due", due=due, **values)


def _goal(frame: _Frame, picture: Waterfall) -> Iterator[str]:
    if not picture.goal:
        return
    if not picture.staircase:
        yield f'<path class="goal" d="M{frame.left} {frame.y(picture.goal):.1f}H{WIDTH - RIGHT}"/>'
        return
    steps = "".join(
        f"V{frame.y(due):.1f}H{frame.x(day + 1):.1f}" for day, due in enumerate(picture.staircase)
    )
    yield f'<path class="goal" d="M{frame.left} {frame.y(0):.1f}{steps}"/>'


def _forecast(frame: _Frame, picture: Waterfall, totals: Sequence[int]) -> Iterator[str]:
    forecast = picture.forecast
    if forecast is None or len(totals) == picture.length:
        return
    now = totals[-1] if totals else 0
    ends = picture.remaining()

    def line(end: float) -> list[str]:
        return [
            f"{frame.x(day):.1f} {frame.y(now + (end - now) * share):.1f}" for day, share in ends
        ]

    fan = [*line(forecast.high), *reversed(line(forecast.low))]
    yield f'<path class="fan" d="M{"L".join(fan)}Z"/>'
    yield f'<path class="mean" d="M{"L".join(line(forecast.mean))}"/>'


def _cut_off(
    frame: _Frame, picture: Waterfall, totals: Sequence[int], locale: Locale
) -> Iterator[str]:
    if not totals or len(totals) == picture.length:
        return
    x = frame.x(len(totals))
    yield f'<path class="cut-off" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
    late = len(totals) > picture.length * 0.75
    y = min(frame.y(totals[-1]) + 18, HEIGHT - BOTTOM - 4)
    at = x - frame.day_width - 4 if late else x + 6  # beside the last day, not on it
    if picture.complete:
        yield _text(at, y, locale.compact(totals[-1]), "end" if late else "start", "now")


def _labels(
    frame: _Frame, picture: Waterfall, totals: Sequence[int], locale: Locale
) -> Iterator[str]:
    """Name the ends of the lines, the higher one first, apart from each other."""
    labels: list[tuple[float, str, str]] = []
    if picture.goal:
        goal = locale.gettext("Goal %(goal)s", goal=locale.compact(picture.goal))
        labels.append((float(picture.goal), goal, "of-goal"))
    if totals and len(totals) == picture.length:
        actual = locale.gettext("Actual %(n)s", n=locale.compact(totals[-1]))
        labels.append((float(totals[-1]), actual, "of-leads"))
    elif picture.forecast is not None:
        mean = locale.compact(half_up(picture.forecast.mean))
        text = locale.gettext("Forecast %(mean)s", mean=mean)
        labels.append((picture.forecast.mean, text, "of-leads"))
    floor = float(TOP)
    for leads, text, kind in sorted(labels, reverse=True):
        y = max(frame.y(leads), floor)
        floor = y + _APART
        word, _, number = text.rpartition(" ")
        yield _text(WIDTH - RIGHT + 8, y, word, "start", kind)
        yield _text(WIDTH - RIGHT + 8, y + 14, number, "start", kind)


def _rect(kind: str, x: float, width: float, top: float, bottom: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{max(bottom - top, 0):.1f}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
