"""Which reward models a study fits."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from learner.study.cells import cells


@pytest.mark.parametrize("variants", [[], [{"name": "wide", "reward": {"hidden": [32]}}]])
def test_shuffled_labels_are_fitted_for_every_game_and_seed(tiny, variants):
    games = ["maze/coin-flip", "maze/random-goal"]
    study = tiny(games=games, sweep={"seeds": 3, "variants": variants})
    shuffled = [cell for cell in cells(study) if cell.variant == "shuffled"]
    assert Counter((one.game, one.seed) for one in shuffled) == {
        (game, seed): 1 for game in games for seed in range(3)
    }
    assert {(one.count, one.rule) for one in shuffled} == {(20, "time_aligned")}
    others = [cell for cell in cells(study) if cell.variant not in ("plain", "shuffled")]
    assert len(others) == len(variants) * len(games)
    names = [cell.name for cell in cells(study)]
    assert len(set(names)) == len(names)


def test_the_name_of_the_control_is_its_own(tiny):
    with pytest.raises(ValidationError, match="shuffled is the name of the control"):
        tiny(sweep={"variants": [{"name": "shuffled", "reward": {"hidden": [32]}}]})
    with pytest.raises(ValidationError, match="two variants named wide"):
        tiny(sweep={"variants": [{"name": "wide"}, {"name": "wide", "shuffled": True}]})
