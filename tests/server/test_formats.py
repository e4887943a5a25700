"""Numbers and times as pages write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.formats import age, ago, figure, span, sparkline, steps


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_216, "9,216"),
        (16_384, "16 k"),
        (999_499, "999 k"),
        (999_500, "1 M"),
        (1_310_000, "1.31 M"),
        (5_000_000, "5 M"),
        (100_000_000, "100 M"),
        (2_500_000_000, "2500 M"),
    ],
)
def test_steps(count: int, text: str) -> None:
    assert steps(count) == text


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "number", "–"),
        (0.0, "number", "0"),
        (0.00855, "number", "0.00855"),
        (-2.5, "number", "-2.50"),
        (123.4, "number", "123"),
        (1480.3, "number", "1,480"),
        (2_345_678.0, "number", "2.35 M"),
        (0.7688, "percent", "76.9 %"),
        (142.0, "count", "142"),
    ],
)
def test_figures(value: float | None, kind: str, text: str) -> None:
    assert figure(value, kind) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (7200, "2 h"),
        (36 * 3600, "2 d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_times_name_the_exact_moment() -> None:
    moment = datetime.now(UTC) - timedelta(minutes=3)
    assert ago(moment).endswith(">3 min ago</time>")
    assert age(moment).endswith(">3 min</time>")
    assert moment.strftime('title="%Y-%m-%d %H:%M:%S UTC"') in ago(moment)
    assert ago(None) == "never"


def test_a_sparkline_fills_its_box_and_a_constant_is_its_middle() -> None:
    assert sparkline([1.0, 3.0, 2.0], 96, 24) == "2.0,22.0 48.0,2.0 94.0,12.0"
    assert sparkline([5.0, 5.0], 96, 24) == "2.0,12.0 94.0,12.0"
    assert sparkline([]) == ""
