"""Which labels each member of an ensemble learns from, and which it is judged on.

Split by episode: no episode is on both sides of one member. A member keeps the side it gave
an episode for good, because warm refits carry what they learned from it; bootstrap counts
are drawn once per label for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from learner.preferences import LabelledPairs

_MOST_GIVEN_UP = 0.25  # of the labels, where few episodes are compared with one another

Mask = NDArray[np.bool_]


@dataclass
class HoldOut:
    """The episodes one member has seen, and on which side of its split they are.

    Attributes:
        sides: True = held out, by episode name.
    """

    sides: dict[str, bool] = field(default_factory=dict)

    def split(
        self, labels: LabelledPairs, share: float, rng: np.random.Generator
    ) -> tuple[Mask, Mask]:
        """Give new episodes a side and sort the labels.

        Episodes that are compared with one another, directly or through others, go to one
        side together, so that no label is lost. Only where nearly all are linked (few, long
        episodes) are links cut: labels with an episode on either side are then used by neither.

        Args:
            labels: all labels of this fit.
            share: of them to be held out (1/e in Christiano 2017).
            rng: decides which of the new episodes.

        Returns:
            (P,) labels to learn from; (P,) labels to be judged on. Never both.
        """
        names, codes = np.unique(np.array(labels.episodes), return_inverse=True)
        edges = codes[labels.pairs]
        sides = np.array([self.sides.get(name, -1) for name in names.tolist()], dtype=np.int64)
        _follow(sides, edges)
        _draw(sides, edges, round(share * len(edges)), rng)
        self.sides.update(zip(names.tolist(), (sides == 1).tolist(), strict=True))
        first, second = sides[edges[:, 0]], sides[edges[:, 1]]
        return (first == 0) & (second == 0), (first == 1) & (second == 1)

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"sides": dict(self.sides)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.sides = dict(state["sides"])


def bootstrap_counts(ids: NDArray[np.int64], seed: int, member: int) -> NDArray[np.int64]:
    """How often each label occurs in a member's bag: Poisson(1), drawn once per label.

    The limit of drawing as many labels with replacement as there are (Oza 2005), but a label
    keeps its count when others arrive.

    Args:
        ids: (P,) row ids of the labels.
        seed: of the ensemble.
        member: its index.

    Returns:
        (P,) counts; all 1 where every one would be 0.
    """
    uniform = np.array([_uniform(seed, member, int(label)) for label in ids])
    counts = np.searchsorted(_POISSON, uniform, side="right")
    return counts if counts.any() else np.ones(len(ids), dtype=np.int64)


# Cumulative probabilities of Poisson(1); more than 12 of one label never occur.
_POISSON = np.cumsum(np.exp(-1.0) / np.cumprod(np.r_[1.0, np.arange(1.0, 13.0)]))


def _uniform(seed: int, member: int, label: int) -> float:
    """One number in [0, 1) that depends on its arguments only."""
    state = np.random.SeedSequence([seed, member, label]).generate_state(1, np.uint64)
    return float(state[0] / 2.0**64)


def _draw(
    sides: NDArray[np.int64], edges: NDArray[np.int64], wanted: int, rng: np.random.Generator
) -> None:
    """Hold out whole groups of linked new episodes until enough labels are, in place."""
    room = wanted - np.count_nonzero((sides[edges] == 1).all(axis=1))
    fresh = (sides[edges] == -1).all(axis=1)
    groups = _groups(len(sides), edges)
    size = np.bincount(groups[edges[fresh, 0]], minlength=len(sides))
    candidates = np.flatnonzero(size)
    for group in rng.permutation(candidates):
        if size[group] <= room:
            sides[(groups == group) & (sides == -1)] = 1
            room -= size[group]
    sides[sides == -1] = 0
    tangled = candidates[size[candidates] > room]
    if 2 * room > wanted and len(tangled) and fresh.all():
        members = np.flatnonzero(np.isin(groups, tangled) & (sides == 0))
        _cut(sides, edges, rng.permutation(members), wanted)


def _follow(sides: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
    """New episodes take the side of known ones that they are compared with, in place."""
    changed = True
    while changed:
        known = sides[edges] >= 0
        changed = False
        for here, there in ((0, 1), (1, 0)):
            # Reversed, so that the oldest label decides where several disagree.
            rows = np.flatnonzero(known[:, here] & ~known[:, there])[::-1]
            sides[edges[rows, there]] = sides[edges[rows, here]]
            changed = changed or len(rows) > 0
            known = sides[edges] >= 0


def _groups(nodes: int, edges: NDArray[np.int64]) -> NDArray[np.int32]:
    """(nodes,) number of the connected group each is in."""
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    groups: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return groups


def _cut(
    sides: NDArray[np.int64], edges: NDArray[np.int64], order: NDArray[np.int64], wanted: int
) -> None:
    """Hold out single episodes of a linked group, in place, while few labels are lost."""
    for episode in order:
        sides[episode] = 1
        held = (sides[edges] == 1).all(axis=1)
        crossing = sides[edges[:, 0]] != sides[edges[:, 1]]
        if crossing.mean() > _MOST_GIVEN_UP or held.sum() > wanted:
            sides[episode] = 0
            return
