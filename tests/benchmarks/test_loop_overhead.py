"""What the loop's overhead is measured on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.loop_overhead import FEW, FULL, LABELS, WARM_UP, make_config
from learner.config import parse_config
from learner.queries.schedules import labels_due, untrained_steps


@pytest.mark.parametrize("labels", [FEW, FULL])
@pytest.mark.parametrize("rounds", [2, 5])
def test_first_labels_come_at_once_and_then_as_many_in_each_turn(labels: int, rounds: int) -> None:
    config = parse_config(make_config("coinrun", rounds, labels, 256))
    assert untrained_steps(config) == config.rollout_steps
    assert config.reward.buffer == FULL
    due = [labels_due(config, done * config.rollout_steps) for done in range(WARM_UP + rounds + 1)]
    assert due[:2] == [0, labels]
    assert all(abs(new - old - LABELS) <= 1 for old, new in pairwise(due[1:]))
