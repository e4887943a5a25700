"""What a regressed reward makes of Atari frames: with the score, without it, and where it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from learner.envs.atari import score_window
from learner.rewards.regression import RegressedReward
from learner.saliency.methods import gradient, occlusion
from learner.study.folder import StudyFolder
from learner.study.regression.cases import Case, Fitted, Stage
from learner.study.regression.config import RegressionConfig
from learner.study.regression.transitions import Transitions, read

Floats = NDArray[np.float32]
Maps = dict[str, Floats]
"""(H, W) by method."""

_FRAMES = 4  # of which maps are drawn: two rewarded, two not
_TRACE = 300  # steps


@dataclass(frozen=True)
class Reading:
    """A reward on steps as they come.

    Attributes:
        policy: who played: untrained or trained.
        score: whether the score could be seen.
        steps: how many.
        rewarded_share: of them, truly.
        error: mean squared error.
        rewarded: mean prediction where the true reward is not 0; NaN without any.
        unrewarded: where it is 0.
        spread: standard deviation of the predictions where it is 0.
        misplaced: of all that would be paid, in absolute value, the share paid where the true
            reward is 0.
        ranked: probability that a rewarded step is predicted above an unrewarded one.
    """

    policy: str
    score: bool
    steps: int
    rewarded_share: float
    error: float
    rewarded: float
    unrewarded: float
    spread: float
    misplaced: float
    ranked: float


@dataclass(frozen=True)
class Trace:
    """A reward along some steps of one environment.

    Attributes:
        true: (steps,) true rewards.
        predicted: by title, (steps,).
    """

    true: Floats
    predicted: dict[str, Floats]


def streams(study: RegressionConfig, folder: StudyFolder, case: Case) -> dict[str, Transitions]:
    """Steps as they come, by who played them."""
    if not study.stream:
        return {}
    return {stage: read(case.stream(folder, stage)) for stage in get_args(Stage)}


def readings(
    reward: RegressedReward, fitted: Fitted, found: dict[str, Transitions]
) -> list[Reading]:
    """A reward on every stream; without the score too, if it was learned in sight of it."""
    result = []
    for policy, steps in found.items():
        for score, seen in _views(steps, fitted).items():
            predicted = reward.rewards(seen.before, seen.after)
            result.append(reading(predicted, seen.rewards, policy=policy, score=score))
    return result


def reading(predicted: Floats, true: Floats, *, policy: str, score: bool) -> Reading:
    """The figures of (n,) predictions beside (n,) true rewards."""
    paid = true != 0
    there, elsewhere = predicted[paid], predicted[~paid]
    total = float(np.abs(predicted).sum())
    return Reading(
        policy=policy,
        score=score,
        steps=len(true),
        rewarded_share=float(paid.mean()),
        error=float(np.square(predicted - true).mean()),
        rewarded=float(there.mean()) if len(there) else float("nan"),
        unrewarded=float(elsewhere.mean()),
        spread=float(elsewhere.std()),
        misplaced=float(np.abs(elsewhere).sum()) / total if total else float("nan"),
        ranked=_above(there, elsewhere),
    )


def trace(steps: Transitions, reward: RegressedReward, fitted: Fitted, environments: int) -> Trace:
    """The stretch of one environment that is rewarded most often.

    Args:
        steps: of all environments, by time.
        reward: the one that is asked.
        fitted: what it was learned from.
        environments: how many were stepped side by side.
    """
    true = steps.rewards.reshape(-1, environments)
    length = min(_TRACE, len(true))
    counts = np.cumsum(np.vstack([np.zeros(environments), true != 0]), axis=0)
    within = counts[length:] - counts[:-length]  # (starts, environments)
    start, environment = np.unravel_index(int(within.argmax()), within.shape)
    chosen = (np.arange(start, start + length)) * environments + environment
    some = steps.some(chosen)
    predicted = {}
    for score, seen in _views(some, fitted).items():
        title = "the score in sight" if score else "the score black"
        predicted[title] = reward.rewards(seen.before, seen.after)
    return Trace(some.rewards, predicted)


def striking(test: Transitions, reward: RegressedReward, fitted: Fitted) -> Transitions:
    """The rewarded steps that are predicted highest, and the unrewarded ones likewise."""
    seen = test.masked(fitted.case.game) if fitted.variant.masked else test
    predicted = reward.rewards(seen.before, seen.after)
    paid = seen.rewards != 0
    best = np.argsort(np.where(paid, -predicted, np.inf), kind="stable")[: _FRAMES // 2]
    worst = np.argsort(np.where(paid, np.inf, -predicted), kind="stable")[: _FRAMES // 2]
    return seen.some(np.concatenate([best, worst]))


def saliency(reward: RegressedReward, frame: NDArray[np.uint8]) -> Maps:
    """Both kinds of map of one (H, W, C) frame."""
    with torch.inference_mode():
        picture = reward.pictures(None, frame[None])[0]
    picture = picture.clone()  # out of inference mode, so that gradients can flow
    return {
        "gradient": np.abs(gradient(reward, picture)).max(axis=0),
        "occlusion": occlusion(reward, picture),
    }


def score_shares(maps: list[Maps], game: str) -> dict[str, float]:
    """Of each method's total, the share that lies where the score is; and the share of its area."""
    window = score_window(game)
    if window is None:
        return {}
    found = {
        method: float(np.mean([one[method][window].sum() / one[method].sum() for one in maps]))
        for method in maps[0]
    }
    picture = maps[0]["gradient"]
    return {**found, "area": picture[window].size / picture.size}


def _views(steps: Transitions, fitted: Fitted) -> dict[bool, Transitions]:
    """Steps as a reward can be shown them: with the score in sight or not."""
    hidden = steps.masked(fitted.case.game)
    return {False: hidden} if fitted.variant.masked else {True: steps, False: hidden}


def _above(rewarded: Floats, unrewarded: Floats) -> float:
    """The probability that one of the first is above one of the second (ties half)."""
    if not len(rewarded) or not len(unrewarded):
        return float("nan")
    order = np.sort(unrewarded)
    below = np.searchsorted(order, rewarded, "left") + np.searchsorted(order, rewarded, "right")
    return float(below.mean() / (2 * len(order)))
