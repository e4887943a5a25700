"""The tables of finished grids, on figures whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.grid import Grid
from experiments.tables import Column, ordering

FIGURE = "true return, unseen levels"


def column(*values: float) -> Column:
    outcomes: list[dict[str, Any]] = [
        {"seed": seed, "figures": {FIGURE: {"value": value}}} for seed, value in enumerate(values)
    ]
    return Column(tuple(outcomes), FIGURE)


@pytest.fixture
def grid() -> Grid:
    return Grid(
        title="Known",
        config=Path("known.yaml"),
        figure=FIGURE,
        curve="",
        baseline="whole",
        seeds=(0, 1, 2),
        tasks={"task": ()},
        variants={"whole": (), "same": (), "worse": (), "none": ()},
    )


def test_variants_are_ordered_and_only_sure_differences_are_named(grid: Grid) -> None:
    columns = {
        ("task", "whole"): column(100.0, 200.0, 300.0),
        ("task", "same"): column(130.0, 160.0, 325.0),
        ("task", "worse"): column(49.0, 151.0, 250.0),
        ("task", "none"): column(),
    }
    (line,) = ordering(grid, columns)
    assert "the best first: same, whole, worse." in line
    # Means of (-51, -49, -50) with Student's interval: 4.303 * 1 / sqrt(3) = 2.48 to either side.
    assert line.endswith("seed by seed (95 %): worse (-50 (-52 to -48)).")


def test_nothing_is_ordered_before_two_variants_have_two_seeds(grid: Grid) -> None:
    assert ordering(grid, {("task", "whole"): column(1.0, 2.0), ("task", "same"): column()}) == []
    assert ordering(grid, {("task", "whole"): column(1.0), ("task", "same"): column(2.0)}) == []
