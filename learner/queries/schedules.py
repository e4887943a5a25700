"""How many labels are due after so many environment steps.

Every schedule starts at `queries.initial`, never exceeds `queries.budget` and reaches it exactly
at `total_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import digamma

from learner.config import QueryConfig

# rl-teacher's base: 0.01 of the labels would be left at the end of its schedule.
EXPONENTIAL_REST = 0.01


def labels_due(config: QueryConfig, steps: int, total_steps: int) -> int:
    """Labels that should have been asked for by now, the initial ones included.

    The label rate of "hyperbolic" is proportional to scale / (steps + scale) (Christiano 2017,
    A.1 with 2e6; A.2 and Ibarz 2018, A.3 with 5e6); "staged" lowers that rate in steps, once every
    `scale` steps (Christiano 2017, A.2); "constant" keeps it; "exponential" is rl-teacher's
    1 - 0.01^(steps / total), stretched by 1 / 0.99 so that the budget is used up.

    Args:
        config: budget, initial labels and schedule.
        steps: environment steps taken.
        total_steps: environment steps of the whole run.

    Returns:
        A cumulative count between `config.initial` and `config.budget`.
    """
    assert steps >= 0, steps
    assert total_steps >= 1, total_steps
    if steps >= total_steps:
        return config.budget
    grown = _GROWTH[config.schedule.kind]
    share = grown(steps, total_steps, config.schedule.scale) / grown(
        total_steps, total_steps, config.schedule.scale
    )
    # The nudge keeps a product such as 0.29 * 100 from falling just short of a whole label.
    later = math.floor((config.budget - config.initial) * share + 1e-9)
    return min(config.budget, config.initial + later)


def _hyperbolic(steps: int, _total: int, scale: float) -> float:
    """Integral of scale / (t + scale), over scale."""
    return math.log1p(steps / scale)


def _staged(steps: int, _total: int, scale: float) -> float:
    """Integral of the rate 1, 1/2, 1/3, ... held for `scale` steps each, over scale."""
    stages, rest = divmod(steps / scale, 1.0)
    harmonic = digamma(stages + 1.0) + np.euler_gamma
    return float(harmonic + rest / (stages + 1.0))


def _constant(steps: int, total: int, _scale: float) -> float:
    return steps / total


def _exponential(steps: int, total: int, _scale: float) -> float:
    return 1.0 - math.pow(EXPONENTIAL_REST, steps / total)


_GROWTH: Mapping[str, Callable[[int, int, float], float]] = {
    "hyperbolic": _hyperbolic,
    "staged": _staged,
    "constant": _constant,
    "exponential": _exponential,
}
