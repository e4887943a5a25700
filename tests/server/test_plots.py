from __future__ import annotations

import pytest

from server.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, curves, round_values


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 983_040, [0, 200_000, 400_000, 600_000, 800_000]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (0.51, 0.58, [0.52, 0.54, 0.56, 0.58]),
        (4, 4, [4]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, values: list[float]) -> None:
    assert round_values(low, high) == pytest.approx(values)


def places(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in points.split())]


def test_curves_fill_their_box_and_bands_lie_around_them() -> None:
    line = Curve("g0", "a", [0, 5, 10], [0.0, 0.5, 1.0], [0.0, 0.25, 1.0], [0.0, 0.75, 1.0])
    plot = curves([line], across=str, up=str, between=(0.0, 1.0))
    assert plot is not None
    (drawn,) = plot.curves
    assert places(drawn.line) == [
        (LEFT, HEIGHT - BOTTOM),
        ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2),
        (WIDTH - RIGHT, TOP),
    ]
    there, back = places(drawn.area)[:3], places(drawn.area)[3:]
    assert there[1][1] < places(drawn.line)[1][1] < back[1][1]  # y grows downwards


def test_one_run_has_no_band_and_one_point_is_a_dot() -> None:
    line = Curve("g0", "a", [7], [2.0], [2.0], [2.0])
    plot = curves([line], across=str, up=str)
    assert plot is not None
    assert (plot.curves[0].area, plot.curves[0].dot is None) == ("", False)
    assert curves([Curve("g0", "a", [], [], [], [])], across=str, up=str) is None
