"""How many labels are due after so many environment steps.

Every schedule reaches `queries.initial` with the untrained policy's last step, never exceeds
`queries.budget` and reaches it where the last rollout begins: the fit after that rollout is the
last, so what is asked later would teach nothing. Where all rollouts but the last are the untrained
policy's, that is at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import digamma

from learner.config import RunConfig

# rl-teacher's base: 0.01 of the labels would be left at the end of its schedule.
EXPONENTIAL_REST = 0.01


def untrained_steps(config: RunConfig) -> int:
    """Environment steps of the untrained policy, in whole rollouts; they count as any others.

    `queries.initial_steps`, or enough for the initial pairs to be of different steps; at most a
    quarter of the run then. Pairs out of a single short rollout show the same steps again and
    again, of few episodes.
    """
    queries, rollout = config.queries, config.rollout_steps
    if queries.initial_steps is not None:
        return rollout * max(1, math.ceil(queries.initial_steps / rollout))
    rollouts = math.ceil(2 * queries.initial * config.segments.length / rollout)
    return rollout * max(1, min(rollouts, config.total_steps // (4 * rollout)))


def last_asking_steps(config: RunConfig) -> int:
    """Environment steps after which pairs are asked for the last time: the last rollout's start."""
    num_envs, rollout = config.environment.num_envs, config.rollout_steps
    taken = config.total_steps // num_envs * num_envs
    return rollout * ((taken - 1) // rollout)


def initial_share(config: RunConfig, steps: int) -> float:
    """Share of the initial pairs that should have been asked for after so many steps."""
    return min(1.0, steps / untrained_steps(config))


def labels_due(config: RunConfig, steps: int) -> int:
    """Labels that should have been asked for by now, the initial ones included.

    The initial ones are spread evenly over the untrained policy's steps; those of the schedule
    follow. The label rate of "hyperbolic" is proportional to scale / (steps + scale) (Christiano
    2017, A.1 with 2e6; A.2 and Ibarz 2018, A.3 with 5e6); "staged" lowers that rate in steps, once
    every `scale` steps (Christiano 2017, A.2); "constant" keeps it; "exponential" is rl-teacher's
    1 - 0.01^(steps / total), stretched by 1 / 0.99 so that the budget is used up. The total is that
    of `last_asking_steps`.

    Args:
        config: of the run.
        steps: environment steps taken, the untrained ones among them.

    Returns:
        A cumulative count up to `queries.budget`.
    """
    assert steps >= 0, steps
    queries, begun, total = config.queries, untrained_steps(config), last_asking_steps(config)
    if steps >= total:
        return queries.budget
    if steps < begun:
        return math.floor(queries.initial * steps / begun + 1e-9)

    def grown(at: int) -> float:
        return _GROWTH[queries.schedule.kind](at, total, queries.schedule.scale)

    share = (grown(steps) - grown(begun)) / (grown(total) - grown(begun))
    # The nudge keeps a product such as 0.29 * 100 from falling just short of a whole label.
    later = math.floor((queries.budget - queries.initial) * share + 1e-9)
    return min(queries.budget, queries.initial + later)


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
