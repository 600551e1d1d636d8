"""The leads waterfall: what came in day by day, against the goal's staircase and the forecast."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from digest.model import Edition, Forecast
from digest.render.locales import Locale, half_up
from digest.render.view import period_days

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.92, 2.4  # inches at 100 dpi nominal: 592 x 240 CSS pixels
DPI = 200
COLOURS = 64

INK, MUTED, LINE, LEADS, FAN = "#1f2933", "#52606d", "#e4e7eb", "#2f6db5", "#c9dcf2"
TEXT = 12
MOST_LINES = 4
NEW_LINE = "\n"


@dataclass(frozen=True, slots=True)
class Waterfall:
    """What is drawn; day n is the n-th day of the month.

    Attributes:
        new: leads of each day up to the cut-off.
        staircase: leads owed by the end of each day of the month; empty without a goal or calendar.
        complete: whether the days add up to the month's leads, not only to a part of them.
    """

    first: date
    length: int
    new: tuple[int, ...]
    staircase: tuple[float, ...]
    goal: int | None
    forecast: Forecast | None
    complete: bool

    def remaining(self) -> tuple[tuple[float, float], ...]:
        """Return (days since the month began, share of the remaining work done): flat on free days."""
        done = len(self.new)
        straight = ((float(done), 0.0), (float(self.length), 1.0))
        if not self.staircase:
            return straight
        begin = self.staircase[done - 1] if done else 0.0
        whole = self.staircase[-1] - begin
        if whole <= 0:
            return straight
        shares = ((owed - begin) / whole for owed in self.staircase[done:])
        return (straight[0], *((done + n, share) for n, share in enumerate(shares, 1)))


def waterfall(edition: Edition) -> Waterfall:
    """Take what the picture needs out of an edition: the closed month on a month close."""
    card = edition.judged
    period = card.period
    elapsed = max((card.cut_off - period.start).days + 1, 0)
    by_day = {period.start + timedelta(n): 0 for n in range(elapsed)}
    for row in edition.counts:
        if row.day in by_day:
            by_day[row.day] += row.leads
    return Waterfall(
        first=period.start,
        length=(period.end - period.start).days,
        new=tuple(by_day.values()),
        staircase=_staircase(period_days(edition, period), card.total.goal),
        goal=card.total.goal,
        forecast=None if card.closed else card.total.forecast,
        complete=card.total.actual is not None,
    )


def _staircase(weights: Sequence[tuple[date, Fraction]], goal: int | None) -> tuple[float, ...]:
    whole = sum((weight for _, weight in weights), Fraction(0))
    if not goal or not whole:
        return ()
    return tuple(float(goal * upto / whole) for upto in accumulate(weight for _, weight in weights))


def png(picture: Waterfall, locale: Locale) -> bytes:
    """Draw the waterfall: 1184 x 480 pixels, opaque, the same bytes on every run of one version."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A matplotlibrc in the working folder must not change the mail.
    with mpl.rc_context():
        mpl.rcParams.update(_DEFAULTS)  # type: ignore[arg-type] # keys are checked at run time
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        _draw(figure, picture, locale)
        canvas.draw()  # type: ignore[no-untyped-call] # matplotlib has no types here
        pixels = bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call] # as above
        return _quantised(pixels, canvas.get_width_height())


_DEFAULTS = {
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "axes.unicode_minus": True,
    "path.simplify": True,
    "lines.antialiased": True,
    "text.usetex": False,
}


def _quantised(pixels: bytes, size: tuple[int, int]) -> bytes:
    from PIL import Image

    picture = Image.frombytes("RGBA", size, pixels).convert("RGB")
    # Together a third of the time of median cut and the tightest packing, for a tenth more bytes.
    small = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, format="PNG")
    return file.getvalue()


Label = tuple[float, str, str, bool]  # height, words, colour, bold


def _draw(figure: Figure, picture: Waterfall, locale: Locale) -> None:
    totals = tuple(accumulate(picture.new))
    top = top_of(picture, totals)
    apart = step(top)
    ticks = {height: locale.compact(height) for height in range(0, int(top * 1.08) + 1, apart)}
    left = 0.03 + 0.0145 * max(map(len, ticks.values()))
    axes = figure.add_axes((left, 0.135, 0.83 - left, 0.775))
    axes.set_xlim(0.4, picture.length + 0.6)
    axes.set_ylim(0, top * 1.08)
    labels: list[Label] = []
    _draw_goal(axes, picture, labels, locale)
    _draw_leads(axes, totals)
    _draw_forecast(axes, picture, totals, labels, locale)
    if totals:
        _mark_cut_off(axes, picture, totals, labels, locale)
    _write_labels(axes, picture, labels)
    _scales(axes, picture, ticks, locale)


def top_of(picture: Waterfall, totals: Sequence[int]) -> int:
    """Return the highest number that is drawn, at least 1."""
    highest = picture.forecast.high if picture.forecast else 0
    return max(1, picture.goal or 0, highest, *totals[-1:])


def _draw_goal(axes: Axes, picture: Waterfall, labels: list[Label], locale: Locale) -> None:
    if not picture.goal:
        return
    end = picture.length + 0.5
    if picture.staircase:
        edges = [0.5, *(n + 1.5 for n in range(picture.length))]
        axes.stairs(picture.staircase, edges, baseline=None, color=INK, linewidth=1.4, zorder=4)
    else:
        axes.plot([0.5, end], [picture.goal, picture.goal], color=INK, linewidth=1.4, zorder=4)
    text = locale.gettext("Goal %(goal)s", goal=locale.compact(picture.goal))
    labels.append((float(picture.goal), text, INK, True))


def _draw_leads(axes: Axes, totals: tuple[int, ...]) -> None:
    from matplotlib.collections import PolyCollection

    before = (0, *totals[:-1])
    nothing = (0,) * len(totals)
    # One artist for all bars of a colour: `axes.bar` makes one of each bar and takes a third of the drawing.
    for low, high, width, colour, alpha, above in (
        (nothing, before, 1.0, FAN, 0.45, 2),
        (before, totals, 0.84, LEADS, None, 3),
    ):
        bars = _rectangles(low, high, width)
        axes.add_collection(
            PolyCollection(bars, facecolors=colour, alpha=alpha, linewidths=0, zorder=above),
            autolim=False,
        )


Corner = tuple[float, float]


def _rectangles(
    low: Sequence[int], high: Sequence[int], width: float
) -> list[tuple[Corner, Corner, Corner, Corner]]:
    """Return the corners of one bar a day, centred on the day's number."""
    sides = ((day - width / 2, day + width / 2) for day in range(1, len(high) + 1))
    return [
        ((left, bottom), (left, top), (right, top), (right, bottom))
        for (left, right), bottom, top in zip(sides, low, high, strict=True)
    ]


def _draw_forecast(
    axes: Axes,
    picture: Waterfall,
    totals: tuple[int, ...],
    labels: list[Label],
    locale: Locale,
) -> None:
    forecast = picture.forecast
    if forecast is None or len(totals) == picture.length:
        return
    now = totals[-1] if totals else 0
    days, shares = zip(*((day + 0.5, share) for day, share in picture.remaining()), strict=True)
    low = [now + (forecast.low - now) * share for share in shares]
    high = [now + (forecast.high - now) * share for share in shares]
    mean = [now + (forecast.mean - now) * share for share in shares]
    axes.fill_between(days, low, high, color=FAN, linewidth=0, zorder=2)
    axes.plot(days, mean, color=LEADS, linewidth=1.8, linestyle=(0, (4, 2.5)), zorder=5)
    labels.append(
        (
            forecast.mean,
            locale.gettext("Forecast %(mean)s", mean=locale.compact(half_up(forecast.mean))),
            LEADS,
            False,
        )
    )


def _mark_cut_off(
    axes: Axes,
    picture: Waterfall,
    totals: tuple[int, ...],
    labels: list[Label],
    locale: Locale,
) -> None:
    # The sum of a part would pass for the month's leads.
    number = locale.compact(totals[-1]) if picture.complete else ""
    if len(totals) == picture.length:
        labels.append((float(totals[-1]), locale.gettext("Actual %(n)s", n=number), LEADS, True))
        return
    axes.axvline(len(totals) + 0.5, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    late = len(totals) > picture.length * 0.75
    axes.annotate(
        number,
        (len(totals) + 0.5, totals[-1]),
        # Under the line, where nothing else is drawn.
        xytext=(-8, -20) if late else (7, -2),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        color=LEADS,
        fontsize=TEXT + 2,
        fontweight="bold",
    )


def _write_labels(axes: Axes, picture: Waterfall, labels: list[Label]) -> None:
    """Write what the lines are beside their ends, apart from each other and inside the picture."""
    ceiling = axes.get_ylim()[1]
    apart, margin = ceiling * 0.24, ceiling * 0.1
    ordered = sorted(labels)
    at = [label[0] for label in ordered]
    if len(at) == 2 and at[1] - at[0] < apart:  # noqa: PLR2004 - goal and one more
        middle = sum(at) / 2
        at = [middle - apart / 2, middle + apart / 2]
    too_high = max(0.0, at[-1] - (ceiling - margin)) if at else 0.0
    for (_, text, colour, bold), height in zip(ordered, at, strict=True):
        axes.annotate(
            NEW_LINE.join(text.rsplit(" ", 1)),
            (picture.length + 0.5, max(height - too_high, margin)),
            xytext=(7, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            color=colour,
            fontsize=TEXT,
            fontweight="bold" if bold else "normal",
            linespacing=1.1,
            annotation_clip=False,
        )


def _scales(axes: Axes, picture: Waterfall, ticks: dict[int, str], locale: Locale) -> None:
    axes.set_yticks(list(ticks), list(ticks.values()))
    days = [1, 8, 15, 22, picture.length]
    first, *others = days
    axes.set_xticks(
        days, [locale.short_day(picture.first + timedelta(first - 1)), *map(str, others)]
    )
    axes.tick_params(length=0, colors=MUTED, labelsize=TEXT, pad=5)
    axes.tick_params(axis="x", pad=8)
    axes.grid(visible=True, axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def step(top: float) -> int:
    """Return a round step that gives three or four lines."""
    steps = (size * 10**power for power in range(12) for size in (1, 2, 5))
    return int(next(step for step in steps if top / step <= MOST_LINES))
