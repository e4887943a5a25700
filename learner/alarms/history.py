"""What alarms are raised from: the newest figures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Point = tuple[int, float]

Kind = Literal["hacking", "clock", "ties", "disagreement", "ensemble", "negatives", "sign", "disk"]

NEWEST = 400
"""Points of each curve that alarms look back on."""


@dataclass(frozen=True)
class Trial:
    """A blind trial: a newer checkpoint's clips beside an older one's.

    Attributes:
        step: of the newer one.
        older: step of the older one.
        wins: pairs in which the newer one's was preferred.
        losses: pairs in which the older one's was.
        ties: neither.
    """

    step: int
    older: int
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class History:
    """A run so far.

    Attributes:
        curves: by name, (step, value) in the order of steps, the newest `NEWEST` of each.
        members: predictors in the reward model's ensemble.
        target_std: the standard deviation that rewards of labelled data are scaled to.
        trials: oldest first.
        by_people: whether people judge them; else the true return does.
    """

    curves: Mapping[str, Sequence[Point]]
    members: int = 3
    target_std: float = 0.05
    trials: Sequence[Trial] = field(default_factory=tuple)
    by_people: bool = False

    def points(self, name: str) -> Sequence[Point]:
        """A curve; empty if there is none of that name."""
        return self.curves.get(name, ())

    def newest(self, name: str) -> float | None:
        """A curve's last value."""
        points = self.points(name)
        return points[-1][1] if points else None

    def last(self, name: str, count: int) -> list[float]:
        """A curve's last values, at most so many."""
        return [value for _, value in self.points(name)[-count:]]

    def at(self, name: str, steps: Sequence[int]) -> list[float | None]:
        """A curve's values at some steps; None where it has none."""
        known = dict(self.points(name))
        return [known.get(step) for step in steps]


@dataclass(frozen=True)
class Alarm:
    """Something that does not look right.

    Attributes:
        kind: which idea raised it.
        text: one sentence that explains itself, figures included.
        evidence: where to look: "chart-KEY" on the run's page, or the last part of a page of its.
    """

    kind: Kind
    text: str
    evidence: str
