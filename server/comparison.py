"""Several runs side by side: grouped by what differs in their configs, averaged over seeds.

Pure arithmetic. Aggregates follow Agarwal et al. 2021, "Deep reinforcement learning at the edge of
the statistical precipice" (rliable): interquartile means and performance profiles, with intervals
from a bootstrap within each task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[int, float]

SEED_KEYS = frozenset({"seed", "name", "goal", "instructions"})
"""Keys in which runs of one experiment may differ."""

GRID = 200
"""Steps at which curves are averaged."""

RESAMPLES = 2000
_CURVE_RESAMPLES = 500
_TAILS = (0.025, 0.975)
_TAUS = 101
_TOLD = 10
ABSENT = "–"
"""Stands for a value that a config does not have."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; both ends are the figure itself where there is one run.

    Attributes:
        n: runs behind it.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Band:
    """A mean curve.

    Attributes:
        steps: increasing.
        mean: of the runs that are as far.
        low, high: its 95 % interval over runs; the mean itself where only one is.
    """

    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]

    @property
    def told(self) -> list[int]:
        """Which of its steps a table has: a few, evenly spaced, the last among them."""
        if not self.steps:
            return []
        last = len(self.steps) - 1
        return sorted({round(last * share / _TOLD) for share in range(_TOLD + 1)})


@dataclass(frozen=True)
class Group:
    """Runs of one config but for the seed.

    Attributes:
        label: what sets it apart, as "key value, key value"; the runs' name if nothing does.
        runs: names.
    """

    label: str
    runs: tuple[str, ...]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A config as dotted keys with their values in words."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = _word(value)
    return flat


def differing(configs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Keys in which flattened configs differ, seeds and names left out, in their order."""
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    return [
        key
        for key in keys
        if key not in SEED_KEYS
        and len({config.get(key, ABSENT) for config in configs.values()}) > 1
    ]


def grouped(configs: Mapping[str, Mapping[str, str]], *, within: bool = True) -> list[Group]:
    """Runs with equal configs but for the seed, in the order in which they first come.

    Args:
        configs: flattened, by the runs' names.
        within: whether runs of different environments are kept apart.
    """
    keys = [key for key in differing(configs) if within or not of_environment(key)]
    members: dict[tuple[str, ...], list[str]] = {}
    for name, config in configs.items():
        members.setdefault(tuple(config.get(key, ABSENT) for key in keys), []).append(name)
    groups = []
    for values, names in members.items():
        told = ", ".join(_told(key, value, keys) for key, value in zip(keys, values, strict=True))
        groups.append(Group(told or _stem(names), tuple(names)))
    return groups


def of_environment(key: str) -> bool:
    """Whether a config's key says what is played, and not how it is learned."""
    return key.split(".")[0] == "environment" and key != "environment.num_envs"


def tasks_of(configs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What each run plays: its environment, and its settings where others of that id differ.

    Args:
        configs: flattened, by the runs' names.
    """
    played = {
        name: {key: value for key, value in config.items() if of_environment(key)}
        for name, config in configs.items()
    }
    ids = {name: _id(section) for name, section in played.items()}
    found = {}
    for name, section in played.items():
        alike = {other: played[other] for other, id in ids.items() if id == ids[name]}
        keys = differing(alike)
        told = [_told(key, section.get(key, ABSENT), keys) for key in keys]
        found[name] = " ".join([ids[name], *([f"({', '.join(told)})"] if told else [])])
    return found


def _id(section: Mapping[str, str]) -> str:
    return section.get("environment.id", section.get("environment", ABSENT))


def to_unit(finals: Mapping[str, float], tasks: Mapping[str, str]) -> dict[str, float]:
    """Scores on one scale: in each task 0 is the least of the compared runs and 1 the greatest.

    Tasks in which all score the same cannot tell runs apart and are left out.

    Args:
        finals: score by run.
        tasks: environment by run.
    """
    by_task: dict[str, list[float]] = {}
    for name, score in finals.items():
        by_task.setdefault(tasks[name], []).append(score)
    ends = {task: (min(scores), max(scores)) for task, scores in by_task.items()}
    return {
        name: (score - low) / (high - low)
        for name, score in finals.items()
        for low, high in (ends[tasks[name]],)
        if high > low
    }


def mean_curve(curves: Sequence[Sequence[Point]]) -> Band:
    """The mean over runs, with its interval, on an even grid of steps.

    Between its points a run is taken to change evenly; beyond its last one it is left out.
    """
    known = [curve for curve in curves if curve]
    if not known:
        return Band([], [], [], [])
    first, last = min(curve[0][0] for curve in known), max(curve[-1][0] for curve in known)
    steps = np.unique(np.linspace(first, last, GRID).round().astype(np.int64))
    values = np.stack([_along(curve, steps) for curve in known])
    low, high = _bootstrapped_mean(values)
    mean = _mean(values)
    there = ~np.isnan(mean)
    columns = ([float(f"{v:.6g}") for v in one[there]] for one in (mean, low, high))
    return Band(steps[there].tolist(), *columns)


def interquartile_mean(scores: Sequence[Sequence[float]]) -> Interval:
    """Mean of the middle half of all scores, resampled within each task.

    Args:
        scores: per task, one per run.
    """
    tasks = [np.asarray(task, dtype=np.float64) for task in scores if len(task)]
    pooled = np.concatenate(tasks)
    value = float(_trimmed(pooled[np.newaxis])[0])
    if len(pooled) < 2:
        return Interval(value, value, value, len(pooled))
    low, high = np.quantile(_trimmed(_resampled(tasks)), _TAILS)
    return Interval(value, float(low), float(high), len(pooled))


def mean(scores: Sequence[Sequence[float]]) -> Interval:
    """Plain mean of all scores, resampled within each task."""
    tasks = [np.asarray(task, dtype=np.float64) for task in scores if len(task)]
    pooled = np.concatenate(tasks)
    value = float(pooled.mean())
    if len(pooled) < 2:
        return Interval(value, value, value, len(pooled))
    low, high = np.quantile(_resampled(tasks).mean(axis=1), _TAILS)
    return Interval(value, float(low), float(high), len(pooled))


def thresholds(scores: Sequence[float]) -> list[float]:
    """Scores at which profiles are drawn: from a little below the least to a little above."""
    least, most = min(scores), max(scores)
    room = 0.05 * (most - least) or 0.5
    return [float(tau) for tau in np.linspace(least - room, most + room, _TAUS)]


def profile(
    scores: Sequence[Sequence[float]], taus: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Share of runs above each score, and the ends of its 95 % interval.

    Args:
        scores: per task, one per run.
        taus: scores.
    """
    tasks = [np.asarray(task, dtype=np.float64) for task in scores if len(task)]
    pooled = np.concatenate(tasks)
    levels = np.asarray(taus)
    above = (pooled[:, None] > levels).mean(axis=0)
    if len(pooled) < 2:
        return above.tolist(), above.tolist(), above.tolist()
    drawn = _resampled(tasks, _CURVE_RESAMPLES)
    shares = (drawn[:, :, None] > levels).mean(axis=1)
    low, high = np.quantile(shares, _TAILS, axis=0)
    return above.tolist(), low.tolist(), high.tolist()


def _told(key: str, value: str, keys: Sequence[str]) -> str:
    """A setting in a label, its key as short as it is clear; an environment speaks for itself."""
    if key in ("environment", "environment.id"):
        return value
    last = key.split(".")[-1]
    alike = sum(other.split(".")[-1] == last for other in keys)
    return f"{last if alike == 1 else key} {value}"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | dict):
        return ", ".join(str(one) for one in value) or ABSENT
    return str(value) or ABSENT


def _stem(names: Sequence[str]) -> str:
    """What runs of one config are called together: the shortest of their names."""
    return min(names, key=len)


def _along(curve: Sequence[Point], steps: NDArray[np.int64]) -> Floats:
    x, y = np.array(curve, dtype=np.float64).T
    values: Floats = np.interp(steps, x, y)
    values[(steps < x[0]) | (steps > x[-1])] = np.nan
    return values


def _mean(values: Floats) -> Floats:
    """Column means without NaN; NaN where there is nothing."""
    there = ~np.isnan(values)
    counts = there.sum(axis=0)
    sums = np.where(there, values, 0.0).sum(axis=0)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def _bootstrapped_mean(values: Floats) -> tuple[Floats, Floats]:
    """(runs, steps) -> the ends of the mean's interval over runs."""
    runs = len(values)
    if runs == 1:
        return values[0], values[0]
    rng = np.random.default_rng(0)  # equal runs, equal intervals
    # How often each run is drawn: a matrix product instead of many copies of the curves.
    weights = rng.multinomial(runs, np.full(runs, 1 / runs), size=_CURVE_RESAMPLES)
    there = ~np.isnan(values)
    counts = weights @ there
    sums = weights @ np.where(there, values, 0.0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), _mean(values))
    low, high = np.quantile(means, _TAILS, axis=0)
    return low, high


def _resampled(tasks: Sequence[Floats], resamples: int = RESAMPLES) -> Floats:
    """(resamples, runs): each task's runs drawn with replacement among themselves."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [task[rng.integers(len(task), size=(resamples, len(task)))] for task in tasks], axis=1
    )


def _trimmed(scores: Floats) -> Floats:
    """Row means of the middle half, a quarter of the runs cut from either end (scipy's rule)."""
    ordered = np.sort(scores, axis=1)
    cut = int(0.25 * ordered.shape[1])
    middle: Floats = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return middle
