"""The leads waterfall: what came in day by day, against the goal's staircase and the forecast."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Literal

from digest.model import Edition, Forecast
from digest.render.locales import Locale, half_up
from digest.render.view import period_days

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties
    from PIL.Image import Image as PillowImage

WIDTH, HEIGHT = 1184, 480  # 592 x 240 CSS pixels at double density
DPI = 200
PIXELS = DPI / 72  # of a point

INK, MUTED, LINE, LEADS, FAN = "#1f2933", "#52606d", "#e4e7eb", "#2f6db5", "#c9dcf2"
PALE, WHITE = "#e7f0f9", "#ffffff"
TOUCHING = (
    *((WHITE, colour) for colour in (INK, MUTED, LINE, LEADS, FAN, PALE)),
    *((PALE, colour) for colour in (INK, MUTED, LINE, LEADS)),
    *((FAN, colour) for colour in (INK, MUTED, LINE, LEADS)),
    *((LEADS, colour) for colour in (INK, MUTED, LINE)),
    *((LINE, colour) for colour in (INK, MUTED)),
)
APART = 16  # of 255, between two shades
TEXT = 12
CAP_HEIGHT, LINE_HEIGHT = 0.73, 1.28  # of DejaVu Sans, in its sizes
MOST_LINES = 4
ROOM = 1.08  # above the highest number

Point = tuple[float, float]


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


@lru_cache(maxsize=16)  # a preview shows the same picture again with every saved template
def png(picture: Waterfall, locale: Locale) -> bytes:
    """Draw the waterfall: 1184 x 480 pixels, opaque, the same bytes on every run of one version."""
    import matplotlib as mpl

    # A matplotlibrc in the working folder must not change the mail.
    with mpl.rc_context():
        mpl.rcParams.update(_DEFAULTS)  # type: ignore[arg-type] # keys are checked at run time
        pen = Pen(_spare_canvas())
        draw(pen, picture, locale)
        drawn = _quantised(pen.pixels())
    _SPARE.append(pen.canvas)
    return drawn


# Two megabytes each, which the system would have to find anew for every picture.
_SPARE: deque[RendererAgg] = deque(maxlen=2)


def _spare_canvas() -> RendererAgg | None:
    with suppress(IndexError):  # another thread may have taken the last one since any look
        return _SPARE.pop()
    return None


_DEFAULTS = {
    "font.family": ["DejaVu Sans"],
    "path.simplify": True,
    "text.usetex": False,
}


def _quantised(pixels: memoryview) -> bytes:
    from PIL import Image

    # Read without the fourth byte at once: each further copy is two megabytes that the system has to find.
    picture = Image.frombytes("RGB", (WIDTH, HEIGHT), pixels, "raw", "RGBX")
    # The colours are known, so none has to be searched for: a twentieth of the time.
    small = picture.quantize(palette=_palette(), dither=Image.Dither.NONE)
    file = io.BytesIO()
    # Nearly all of it is one colour beside the next: a quarter of the usual time for a fifth more bytes.
    small.save(file, format="PNG", compress_type=Image.RLE)
    return file.getvalue()


@cache
def _palette() -> PillowImage:
    """Return every colour of the picture and the shades between those that touch."""
    from PIL import Image

    shades: set[tuple[int, ...]] = set()
    for one, other in (map(_rgb, pair) for pair in TOUCHING):
        # Nearer ones would be taken for each other: Pillow compares six bits of a colour.
        steps = max(max(abs(a - b) for a, b in zip(one, other, strict=True)) // APART, 1)
        shades |= {
            tuple(round(a + (b - a) * n / steps) for a, b in zip(one, other, strict=True))
            for n in range(steps + 1)
        }
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for shade in sorted(shades) for part in shade])
    return palette


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


# --------------------------------------------------------------------------------------------- the pen


@dataclass(frozen=True, slots=True)
class Box:
    """Where a text stands, in pixels from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


class Pen:
    """Draws on matplotlib's canvas without its axes, whose bookkeeping costs ten times the drawing.

    Points are (x, y) in pixels from the upper left corner; widths and sizes are in points of 1/72 inch.
    """

    def __init__(self, canvas: RendererAgg | None = None) -> None:
        from matplotlib.backends.backend_agg import RendererAgg

        self.texts: dict[str, Box] = {}  # what was written, and where
        self.canvas = canvas or RendererAgg(WIDTH, HEIGHT, DPI)  # type: ignore[no-untyped-call] # matplotlib has no types here
        self.area([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], "#ffffff")

    def pixels(self) -> memoryview:
        """Return the picture, four bytes a pixel, as long as the pen is kept."""
        pixels: memoryview = self.canvas.buffer_rgba()  # type: ignore[no-untyped-call] # as above
        return pixels

    def area(self, points: Sequence[Point], colour: str) -> None:
        """Fill the shape with these corners."""
        self._path([*points, points[0]], colour, 0, fill=colour)

    def line(
        self,
        points: Sequence[Point],
        colour: str,
        width: float,
        dashes: tuple[float, float] | None = None,
    ) -> None:
        """Draw a line; the lengths of dashes and gaps are in widths."""
        self._path(points, colour, width, dashes=dashes)

    def _path(
        self,
        points: Sequence[Point],
        colour: str,
        width: float,
        *,
        fill: str | None = None,
        dashes: tuple[float, float] | None = None,
    ) -> None:
        from matplotlib.colors import to_rgba
        from matplotlib.path import Path
        from matplotlib.transforms import IdentityTransform

        pen = self.canvas.new_gc()
        pen.set_foreground(to_rgba(colour), isRGBA=True)
        pen.set_linewidth(width)
        pen.set_capstyle("butt")
        pen.set_joinstyle("miter")
        pen.set_snap(None)
        if dashes is not None:
            pen.set_dashes(0, [length * width for length in dashes])
        upright = Path([(x, HEIGHT - y) for x, y in points])
        self.canvas.draw_path(  # type: ignore[no-untyped-call] # as above
            pen, upright, IdentityTransform(), to_rgba(fill) if fill else None
        )

    def text(
        self,
        words: str,
        at: Point,
        colour: str,
        *,
        across: Literal["left", "middle", "right"] = "left",
        down: Literal["top", "middle"] = "middle",
        size: float = TEXT,
        bold: bool = False,
    ) -> None:
        """Write lines of text so that the point lies at this edge or middle of them."""
        from matplotlib.colors import to_rgba

        font = _font(size, bold)
        pen = self.canvas.new_gc()
        pen.set_foreground(to_rgba(colour), isRGBA=True)
        lines = words.split("\n")
        ascent, apart = size * PIXELS * CAP_HEIGHT, size * PIXELS * LINE_HEIGHT
        height = ascent + apart * (len(lines) - 1)
        top = at[1] - height * _PARTS[down]
        widths = [_width(line, size, bold) for line in lines]
        for number, (line, width) in enumerate(zip(lines, widths, strict=True)):
            base = top + ascent + number * apart
            self.canvas.draw_text(pen, at[0] - width * _PARTS[across], base, line, font, 0)  # type: ignore[no-untyped-call] # as above
        left = at[0] - max(widths) * _PARTS[across]
        self.texts[words] = Box(left, top, left + max(widths), top + height)


_PARTS = {"left": 0.0, "top": 0.0, "middle": 0.5, "right": 1.0}


@cache
def _font(size: float, bold: bool) -> FontProperties:  # noqa: FBT001 - private
    from matplotlib.font_manager import FontProperties

    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


@lru_cache(maxsize=1024)  # days and round numbers stand in every picture
def _width(line: str, size: float, bold: bool) -> float:  # noqa: FBT001 - private
    """Return how wide a line of text is, in pixels."""
    width: float = _ruler().get_text_width_height_descent(line, _font(size, bold), ismath=False)[0]  # type: ignore[no-untyped-call] # as above
    return width


@cache
def _ruler() -> RendererAgg:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call] # as above


# ----------------------------------------------------------------------------------------- the picture

Label = tuple[float, str, str, bool]  # leads, words, colour, bold


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where days and leads stand, in pixels; day n reaches from n - 1 to n.

    Attributes:
        totals: leads up to each day that is counted.
    """

    totals: tuple[int, ...]
    days: int
    top: float
    left: float

    right: ClassVar[float] = WIDTH * 0.83
    ceiling: ClassVar[float] = HEIGHT * 0.09
    floor: ClassVar[float] = HEIGHT * 0.865

    def x(self, day: float) -> float:
        return self.left + (day + 0.1) * (self.right - self.left) / (self.days + 0.2)

    def y(self, leads: float) -> float:
        return self.floor - leads * (self.floor - self.ceiling) / self.top


def draw(pen: Pen, picture: Waterfall, locale: Locale) -> None:
    """Draw the waterfall with its scales and labels."""
    totals = tuple(accumulate(picture.new))
    top = top_of(picture, totals)
    ticks = {leads: locale.compact(leads) for leads in range(0, int(top * ROOM) + 1, step(top))}
    left = WIDTH * (0.03 + 0.0145 * max(map(len, ticks.values())))
    frame = _Frame(totals, picture.length, top * ROOM, left)
    for leads in ticks:
        pen.line([(left, frame.y(leads)), (frame.right, frame.y(leads))], LINE, 0.8)
    labels: list[Label] = []
    _draw_leads(pen, frame, picture)
    _draw_forecast(pen, frame, picture, labels, locale)
    _draw_goal(pen, frame, picture, labels, locale)
    if totals:
        _mark_cut_off(pen, frame, picture, labels, locale)
    _write_labels(pen, frame, labels)
    _scales(pen, frame, picture, ticks, locale)


def top_of(picture: Waterfall, totals: Sequence[int]) -> int:
    """Return the highest number that is drawn, at least 1."""
    highest = picture.forecast.high if picture.forecast else 0
    return max(1, picture.goal or 0, highest, *totals[-1:])


def _draw_leads(pen: Pen, frame: _Frame, picture: Waterfall) -> None:
    totals = frame.totals
    if not totals:
        return
    ground = frame.y(0)
    outline = [(frame.x(0), ground)]
    for day, (total, new) in enumerate(zip(totals, picture.new, strict=True)):
        before = frame.y(total - new)
        outline += [(frame.x(day), before), (frame.x(day + 1), before)]
    pen.area([*outline, (frame.x(len(totals)), ground)], PALE)
    for day, (total, new) in enumerate(zip(totals, picture.new, strict=True)):
        if new:
            left, right = frame.x(day + 0.08), frame.x(day + 0.92)
            upper, lower = frame.y(total), frame.y(total - new)
            pen.area([(left, lower), (left, upper), (right, upper), (right, lower)], LEADS)


def _draw_forecast(
    pen: Pen, frame: _Frame, picture: Waterfall, labels: list[Label], locale: Locale
) -> None:
    totals = frame.totals
    forecast = picture.forecast
    if forecast is None or len(totals) == picture.length:
        return
    now = totals[-1] if totals else 0
    ends = picture.remaining()

    def line(end: float) -> list[Point]:
        return [(frame.x(day), frame.y(now + (end - now) * share)) for day, share in ends]

    pen.area([*line(forecast.high), *reversed(line(forecast.low))], FAN)
    pen.line(line(forecast.mean), LEADS, 1.8, (4, 2.5))
    words = locale.gettext("Forecast %(mean)s", mean=locale.compact(half_up(forecast.mean)))
    labels.append((forecast.mean, words, LEADS, False))


def _draw_goal(
    pen: Pen, frame: _Frame, picture: Waterfall, labels: list[Label], locale: Locale
) -> None:
    if not picture.goal:
        return
    # Without a calendar nobody knows what is due when: a line at the goal.
    levels = picture.staircase or (float(picture.goal),) * picture.length
    stairs = [(frame.x(day + n), frame.y(due)) for day, due in enumerate(levels) for n in range(2)]
    pen.line(stairs, INK, 1.4)
    text = locale.gettext("Goal %(goal)s", goal=locale.compact(picture.goal))
    labels.append((float(picture.goal), text, INK, True))


def _mark_cut_off(
    pen: Pen, frame: _Frame, picture: Waterfall, labels: list[Label], locale: Locale
) -> None:
    totals = frame.totals
    # The sum of a part would pass for the month's leads.
    number = locale.compact(totals[-1]) if picture.complete else ""
    if len(totals) == picture.length:
        labels.append((float(totals[-1]), locale.gettext("Actual %(n)s", n=number), LEADS, True))
        return
    x, y = frame.x(len(totals)), frame.y(totals[-1])
    pen.line([(x, frame.ceiling), (x, frame.floor)], MUTED, 1, (1, 2))
    if not number:
        return
    late = len(totals) > picture.length * 0.75
    # Under the line, where nothing else is drawn.
    at = (x - 8 * PIXELS, y + 20 * PIXELS) if late else (x + 7 * PIXELS, y + 4 * PIXELS)
    across: Literal["right", "left"] = "right" if late else "left"
    pen.text(number, at, LEADS, across=across, down="top", size=TEXT + 2, bold=True)


def _write_labels(pen: Pen, frame: _Frame, labels: list[Label]) -> None:
    """Write what the lines are beside their ends, apart from each other and inside the picture."""
    apart, margin = frame.top * 0.24, frame.top * 0.1
    ordered = sorted(labels)
    at = [label[0] for label in ordered]
    if len(at) == 2 and at[1] - at[0] < apart:  # noqa: PLR2004 - goal and one more
        middle = sum(at) / 2
        at = [middle - apart / 2, middle + apart / 2]
    too_high = max(0.0, at[-1] - (frame.top - margin)) if at else 0.0
    for (_, text, colour, bold), leads in zip(ordered, at, strict=True):
        y = frame.y(max(leads - too_high, margin))
        words = "\n".join(text.rsplit(" ", 1))
        pen.text(words, (frame.right + 7 * PIXELS, y), colour, bold=bold)


def _scales(
    pen: Pen, frame: _Frame, picture: Waterfall, ticks: dict[int, str], locale: Locale
) -> None:
    pen.line([(frame.left, frame.floor), (frame.right, frame.floor)], MUTED, 0.8)
    for leads, words in ticks.items():
        pen.text(words, (frame.left - 5 * PIXELS, frame.y(leads)), MUTED, across="right")
    for day in (1, 8, 15, 22, picture.length):
        words = locale.short_day(picture.first) if day == 1 else str(day)
        below = (frame.x(day - 0.5), frame.floor + 8 * PIXELS)
        pen.text(words, below, MUTED, across="middle", down="top")


def step(top: float) -> int:
    """Return a round step that gives three or four lines."""
    steps = (size * 10**power for power in range(12) for size in (1, 2, 5))
    return int(next(step for step in steps if top / step <= MOST_LINES))
