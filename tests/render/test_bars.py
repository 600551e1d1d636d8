from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.render.view import bar

SHARES = st.fractions(0, 3)


@given(SHARES, st.none() | SHARES)
def test_cells_sum_to_100_and_none_is_empty(filled: Fraction, marker: Fraction | None) -> None:
    cells = bar(filled, marker)

    assert sum(cell.width for cell in cells) == 100
    assert all(cell.width > 0 for cell in cells)


@pytest.mark.parametrize("percent", ["0", "0.4", "1", "50", "99.6", "100", "250"])
@pytest.mark.parametrize("marker", [None, 0, 45, 100, 180])
def test_the_known_troublemakers_are_drawn(percent: str, marker: int | None) -> None:
    expected = None if marker is None else Fraction(marker, 100)

    cells = bar(Fraction(percent) / 100, expected)

    assert sum(cell.width for cell in cells) == 100
    assert all(cell.width > 0 for cell in cells)
    assert ("marker" in {cell.kind for cell in cells}) == (marker is not None)


def test_an_empty_bar_has_no_fill_and_a_full_one_no_track() -> None:
    assert {cell.kind for cell in bar(Fraction(0), None)} == {"track"}
    assert {cell.kind for cell in bar(Fraction(5, 2), None)} == {"fill"}


def test_the_marker_stands_where_the_plan_is() -> None:
    before = 0
    for cell in bar(Fraction(39, 100), Fraction(45, 100)):
        if cell.kind == "marker":
            break
        before += cell.width

    assert before == 44
