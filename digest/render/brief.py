"""The short form of an edition, from which Slack, Teams and whatever comes next are packed."""

from __future__ import annotations

from digest.model import Brief, BriefFigure
from digest.render.locales import Locale
from digest.render.view import Line, View
from digest.render.words import NONE, segment_name

_LONGEST_LINK = 2_000
_WORTH_A_ROW = ("bad", "warning")


def brief(view: View, locale: Locale, *, title: str, segments_first: tuple[str, ...] = ()) -> Brief:
    """Choose and arrange what a short message says.

    Args:
        view: the edition with every segment in its table.
        locale: of the reader.
        title: the mail's subject.
        segments_first: names of the segments that the reader wants to see whatever their status.
    """
    return Brief(
        title=title,
        summary=f"{view.pill.word}: {view.headline} {view.preheader}",
        status=(view.pill.word, view.pill.sign, view.pill.look),
        sentences=(view.headline, *view.support),
        warnings=view.banner,
        figures=tuple(
            BriefFigure(figure.label, figure.number, tuple(filter(None, figure.notes)))
            for figure in view.figures
        ),
        changes=tuple(_changes(view, locale)),
        columns=_columns(view, locale),
        rows=tuple(_row(line) for line in _lines(view, locale, segments_first)),
        total=_row(view.table.total),
        link=(locale.gettext("See all the figures"), view.link)
        if view.link and len(view.link) <= _LONGEST_LINK
        else None,
        facts=tuple(fact for fact in view.footer if fact[0] in _facts(locale)),
        corrected=locale.gettext("Corrected, see the thread"),
        correction=tuple(_correction(view, locale)),
    )


def _correction(view: View, locale: Locale) -> list[str]:
    said = view.correction
    if said is None:
        return []
    figures = [
        locale.gettext("%(label)s: %(value)s", label=what, value=moved)
        for what, moved in said.figures
    ]
    return [said.heading, *filter(None, [said.reason]), *figures, *filter(None, [said.more])]


def _changes(view: View, locale: Locale) -> list[str]:
    lines = []
    if view.change is not None:
        lines.append(f"{view.change.summary}.")
        lines += [f"{locale.gettext('Correction:')} {line}" for line in view.change.corrections]
    if view.new_month is not None:
        facts = ", ".join(f"{label} {number}" for label, number in view.new_month.facts)
        lines.append(f"{view.new_month.heading}: {facts}.")
    return lines


def _columns(view: View, locale: Locale) -> tuple[str, ...]:
    return (
        locale.gettext("Segment"),
        locale.gettext("Status"),
        locale.gettext("Actual"),
        locale.gettext("Goal") if view.table.closed else locale.gettext("Expected"),
        locale.gettext("Gap"),
        locale.gettext("Of goal"),
    )


def _row(line: Line) -> tuple[str, ...]:
    status = f"{line.pill.sign} {line.pill.word}" if line.pill else NONE
    return (line.name, status, line.actual, line.expected, line.gap, line.attainment)


def _lines(view: View, locale: Locale, segments_first: tuple[str, ...]) -> list[Line]:
    """Pick the rows; those asked for lead the view's table, in which the largest shortfall comes first."""
    if len(view.table.lines) == 1:
        return []  # a lone segment is the total
    asked = {segment_name(locale, name) for name in segments_first}
    lines = [line for line in view.table.lines if line.name in asked or line.look in _WORTH_A_ROW]
    return sorted(lines, key=lambda line: line.name not in asked and line.look != "bad")


def _facts(locale: Locale) -> tuple[str, ...]:
    return (locale.gettext("Counted up to"), locale.gettext("Source"), locale.gettext("Calendar"))
