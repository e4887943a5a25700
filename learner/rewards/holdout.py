"""Which labels each member of an ensemble learns from, and which it is judged on.

Split by what one rollout holds of an episode (or by pieces of it, see `learner.queries.pairs`),
called an episode here: none is on both sides of one member. A member keeps the side it gave
an episode for good, because warm refits carry what they learned from it; bootstrap counts
are drawn once per label for the same reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from learner.preferences import LabelledPairs

_CUTS_TRIED = 8  # places from which a cut through linked episodes is grown

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
        side together, so that no label is lost. Which groups of them are held out is drawn for
        each member alone and for the new ones alone: nothing is caught up on later, else all
        members would withhold the same labels at the same time. Where more episodes are linked
        than may be held out, links are cut if that holds out more labels than it loses: those
        with an episode on either side are used by neither.

        Args:
            labels: all labels of this fit.
            share: of new ones to be held out (1/e in Christiano 2017), in the mean.
            rng: decides which of the new episodes.

        Returns:
            (P,) labels to learn from; (P,) labels to be judged on. Never both.
        """
        names, codes = np.unique(np.array(labels.episodes), return_inverse=True)
        edges = codes[labels.pairs]
        sides = np.array([self.sides.get(name, -1) for name in names.tolist()], dtype=np.int64)
        _follow(sides, edges)
        _draw(sides, edges, share, rng)
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
    sides: NDArray[np.int64], edges: NDArray[np.int64], share: float, rng: np.random.Generator
) -> None:
    """Hold out groups of linked new episodes with a share of the new labels, in place.

    The share is rounded up or down at random and a group too large for what is left of it is
    held out with the probability that keeps the mean, so a single new label is held out with
    probability `share`. At most half of all labels are.
    """
    fresh = edges[(sides[edges] == -1).all(axis=1)]
    room = math.floor(share * len(fresh) + rng.random())
    most = len(edges) // 2 - np.count_nonzero((sides[edges] == 1).all(axis=1))
    groups = _groups(len(sides), fresh)
    size = np.bincount(groups[fresh[:, 0]], minlength=len(sides))
    for group in rng.permutation(np.flatnonzero(size)):
        if min(room, most) <= 0:
            break
        nodes = np.flatnonzero((groups == group) & (sides == -1))
        held = int(size[group])
        if held > room:
            part, kept = _cut(nodes, fresh[groups[fresh[:, 0]] == group], min(room, most), rng)
            if kept:
                nodes, held = part, kept
            elif held > most or rng.random() * held >= room:
                continue
        elif held > most:
            continue
        sides[nodes] = 1
        room, most = room - held, most - held
    sides[sides == -1] = 0


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
    nodes: NDArray[np.int64], edges: NDArray[np.int64], room: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], int]:
    """The part of a linked group that is best held out, and how many labels that holds out.

    Grown greedily from several episodes (Karypis and Kumar 1998, section 3.2.2: graph growing),
    always by the episode that gains most: labels held out less labels lost.

    Args:
        nodes: (n,) episodes of the group.
        edges: (e, 2) their labels.
        room: most labels to hold out.
        rng: where to begin, and the order of equals.

    Returns:
        Episodes and count; none and 0 where every cut loses as many labels as it holds out.
    """
    nodes = rng.permutation(nodes)
    places = np.searchsorted(np.sort(nodes), edges)
    places = np.argsort(nodes)[places]
    count = len(nodes)
    ones = np.ones(2 * len(edges))
    ends = np.concatenate([places, places[:, ::-1]])
    links = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(count, count)).tocsr()
    own = links.diagonal() / 2  # labels that compare an episode with itself
    outer = np.asarray(links.sum(axis=1)).reshape(-1) - 2 * own
    best, best_gain, best_held = nodes[:0], 0.0, 0
    for seed in range(min(_CUTS_TRIED, count)):
        order, gains, held = _grow(seed, links, own, outer, room)
        if len(gains) and gains.max() > best_gain:
            size = int(np.argmax(gains)) + 1
            best, best_gain, best_held = nodes[order[:size]], gains.max(), int(held[size - 1])
    return best, best_held


def _grow(
    seed: int,
    links: csr_array,
    own: NDArray[np.float64],
    outer: NDArray[np.float64],
    room: int,
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Grow a part from an episode until it holds `room` labels.

    Args:
        seed: index of the first episode.
        links: (n, n) labels between episodes.
        own: (n,) labels within each.
        outer: (n,) labels of each with others.
        room: most labels in the part.

    Returns:
        The episodes in order; after each, labels held out less labels lost; labels held out.
    """
    count = len(own)
    inner = np.zeros(count)  # labels of each with the part so far
    free = np.ones(count, np.bool_)
    order: list[int] = []
    gains, held = [], []
    gain = total = 0.0
    pick = seed
    while total + inner[pick] + own[pick] <= room and free[pick]:
        order.append(pick)
        free[pick] = False
        total += inner[pick] + own[pick]
        gain += 3 * inner[pick] + own[pick] - outer[pick]
        gains.append(gain)
        held.append(total)
        begin, end = links.indptr[pick], links.indptr[pick + 1]
        inner[links.indices[begin:end]] += links.data[begin:end]
        worth = np.where(free & (inner > 0), 3 * inner + own - outer, -np.inf)
        pick = int(np.argmax(worth))
    return order, np.array(gains), np.array(held)
