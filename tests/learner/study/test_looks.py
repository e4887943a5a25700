"""The best of several models, picked on the demonstrations that score it, is less sure."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.looks import picked


def test_an_interval_of_the_best_of_several_is_wider_about_the_same_value(
    finished: Any, folder: Any
) -> None:
    _, _, results = finished
    name = "maze-coin-flip-time_aligned-0020-0"
    (cell,) = results.of("maze/coin-flip", rule="time_aligned", count=20)
    shown = cell["figures"]["returns"]["spearman_given_length"]["value"]
    once, best = picked(folder, name, 9)
    assert once.value == best.value == pytest.approx(shown, abs=1e-6)
    assert best.low < once.low < once.high < best.high
    assert picked(folder, name, 1) == (once, once)
