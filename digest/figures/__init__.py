"""Where every number of an edition comes from, down to settings, cells and questions to a source."""

from __future__ import annotations

from digest.figures.book import Places, ScenarioPlaces
from digest.figures.figure import (
    Asked,
    Before,
    Figure,
    Figures,
    Input,
    Label,
    Number,
    Origin,
    Place,
    Rounding,
    Unit,
)
from digest.figures.make import figures_of
from digest.figures.tags import figure_of, tagged, with_figures

__all__ = [
    "Asked",
    "Before",
    "Figure",
    "Figures",
    "Input",
    "Label",
    "Number",
    "Origin",
    "Place",
    "Places",
    "Rounding",
    "ScenarioPlaces",
    "Unit",
    "figure_of",
    "figures_of",
    "tagged",
    "with_figures",
]
