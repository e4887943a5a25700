"""What an iteration leaves behind, as it is handed to the records and comes back from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from learner.trajectories import Segment, Trajectory

Answering = Literal["synthetic", "demonstration", "ranking"]
"""Teachers that answer at once: a simulated one, demonstrations, which are always better than the
agent, and an order among demonstrations."""


@dataclass(frozen=True)
class NewQuery:
    """A pair to ask.

    Attributes:
        a: first segment; the same object in several pairs is stored once.
        b: second segment.
        selection: strategy, score and whether uniform selection would have asked it too.
        priority: higher ones are shown to people first.
        answer: 'a', 'b', 'tie' or 'incomparable' where it is known already; None to ask people.
        teacher: whose answer that is.
    """

    a: Segment
    b: Segment
    selection: dict[str, Any]
    priority: float = 0.0
    answer: str | None = None
    teacher: Answering = "synthetic"


@dataclass(frozen=True)
class Trust:
    """Shares of right answers of one teacher; None where there is nothing to tell them from.

    Attributes:
        one_coin: by pairs that others answered too.
        crowd_bt: by segments that others compared too.
        learned: by the reward model.
        answers: decided answers that they rest on.
    """

    one_coin: float | None
    crowd_bt: float | None
    learned: float | None
    answers: int


@dataclass(frozen=True)
class NewRanking:
    """An order over demonstrations that this iteration's pairs were derived from.

    Attributes:
        kind: what it rests on, a `learner.rankings.orders.RankingKind`.
        places: trajectories, the best first; those of one place are tied.
        settings: how pairs were drawn.
        preferences: how many follow from it.
    """

    kind: str
    places: Sequence[Sequence[Trajectory]]
    settings: dict[str, Any]
    preferences: int


@dataclass(frozen=True)
class NewVersion:
    """A reward model that the agent uses from now on, and what its fit tells of its teachers."""

    content: bytes
    preferences: int
    last_preference_id: int | None
    metrics: dict[str, Any]
    trust: Mapping[int, Trust] = field(default_factory=dict)


@dataclass(frozen=True)
class Iteration:
    """What one iteration leaves behind; stored whole or not at all."""

    number: int
    steps: int
    steps_per_second: float | None
    queries: Sequence[NewQuery]
    metrics: dict[str, float]
    version: NewVersion | None
    checkpoint: bytes
    keep: bool
    """Whether later iterations leave the checkpoint where it is; kept ones are scored."""
    ranking: NewRanking | None = None
    changes: Sequence[int] = ()
    """Rows of the changes of settings that it was the first to go by."""


@dataclass(frozen=True)
class AskedPair:
    """Row ids of a stored query and its segments."""

    query: int
    a: int
    b: int


@dataclass(frozen=True)
class LatestCheckpoint:
    """Where a run goes on from.

    Attributes:
        content: as `store_iteration` was given it.
        unscored: whether the run was left between keeping this checkpoint and scoring it.
    """

    content: bytes
    unscored: bool
