"""Snippets of ranked demonstrations, drawn in pairs that inherit their order.

Which snippets are paired decides what a model can learn from the order. Under the rule of the
T-REX Atari code the better snippet never starts earlier, so a clock orders nearly all pairs; the
rules that draw both starts alike leave a clock nothing. Equal ranks are ties, never an order.

`draw_together` draws the same pairs in groups whose snippets overlap, so that a network sees
each frame once per batch (docs/decisions/0012-pairs-of-a-batch-share-demonstrations.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from learner.rankings.orders import Ranking, RankingError

Rule = Literal["paper_atari", "paper_mujoco", "time_aligned", "length_matched", "true_labels"]
RULES: tuple[Rule, ...] = get_args(Rule)

_MATCHED = 1.25  # most ratio of two lengths that count as matched
_ROUNDS = 200  # of drawing again what was tied and is to be dropped
_UNCOMPARED = 2
_SILENT = (
    "no two snippets differ in their true reward, so true labels say nothing; take longer "
    "snippets or other demonstrations"
)

Ints = NDArray[np.int64]


class SnippetConfig(BaseModel):
    """How snippets are cut from demonstrations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Rule = Field("time_aligned", description="which pairs of snippets are compared")
    pairs: int = Field(6000, ge=1, description="pairs drawn (6,000 in T-REX's Atari code)")
    min_length: int = Field(32, ge=1, description="steps; a shorter demonstration is taken whole")
    max_length: int = Field(32, ge=1, description="steps; T-REX draws from 50 to 99")
    stride: int = Field(2, ge=1, description="every so many frames are seen (T-REX: 2)")
    jitter: int = Field(
        4, ge=0, description="time_aligned: most steps that either start moves from the common one"
    )
    ties: Literal["half", "drop"] = Field(
        "half", description="what equal ranks, or equal true rewards, count as"
    )
    label_starts: Literal["independent", "aligned"] = Field(
        "independent", description="true_labels: where the two snippets start"
    )

    @model_validator(mode="after")
    def _ordered(self) -> SnippetConfig:
        if self.min_length > self.max_length:
            raise ValueError("snippets.min_length is larger than snippets.max_length; lower it")
        return self

    @property
    def frames(self) -> int:
        """Most frames of a snippet that a model sees."""
        return -(-self.max_length // self.stride)


class Sharing(BaseModel):
    """How many pairs are drawn among how few demonstrations, so that they share frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    demonstrations: int = Field(16, ge=2, description="of one group")
    pairs: int = Field(128, ge=1, description="drawn among them; a batch holds whole groups")


@dataclass(frozen=True)
class Snippets:
    """Pairs of windows of demonstrations; both of a pair are equally long.

    Attributes:
        demonstrations: (P, 2) which ones.
        starts: (P, 2) first step of each window within its episode.
        lengths: (P, 2) steps.
        targets: (P,) in [0, 1]: 1 = first is better, 0.5 = tie.
        groups: (P,) pairs of one group overlap; None where pairs were drawn one by one.
    """

    demonstrations: Ints
    starts: Ints
    lengths: Ints
    targets: NDArray[np.float64]
    groups: Ints | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class _Pairs:
    """Demonstrations to compare: `order` is 1 where the first is better, -1 worse, 0 tied."""

    demonstrations: Ints
    lengths: Ints  # (P, 2) of the demonstrations
    window: Ints  # (P,) of the snippets
    order: Ints


@dataclass(frozen=True)
class _Ranked:
    """What pairs are drawn from.

    Attributes:
        order: (n, n) as `Ranking.compare`.
        lengths: (n,) steps.
        rewards: per demonstration, (steps,) true rewards.
        grid: frames are seen where (step - grid) is a multiple of the stride; None = anywhere.
    """

    order: NDArray[np.int8]
    lengths: Ints
    rewards: Sequence[NDArray[np.floating[Any]]]
    grid: int | None = None

    def among(self, members: Ints, grid: int) -> _Ranked:
        """Some of them."""
        rewards = [self.rewards[int(one)] for one in members]
        return _Ranked(self.order[np.ix_(members, members)], self.lengths[members], rewards, grid)

    def comparable(self) -> Ints:
        """(pairs, 2) that may be compared."""
        return np.stack(np.nonzero(np.triu(self.order != _UNCOMPARED, k=1)), axis=1)


def draw_snippets(
    ranking: Ranking,
    rewards: Sequence[NDArray[np.floating[Any]]],
    config: SnippetConfig,
    rng: np.random.Generator,
) -> Snippets:
    """Draw pairs of snippets of ranked demonstrations by a named rule.

    Args:
        ranking: over the demonstrations; `true_labels` reads only what may be compared from it.
        rewards: per demonstration, (steps,) true rewards. Read for its length by every rule, for
            its values by `true_labels` alone.
        config: rule, lengths, ties.
        rng: source of every draw.

    Raises:
        RankingError: no pair of demonstrations can be compared.
    """
    drawn = _drawn(_ranked(ranking, rewards, config), config, rng, rounds=_ROUNDS)
    if not len(drawn):
        raise RankingError(_SILENT)
    return drawn


def draw_together(
    ranking: Ranking,
    rewards: Sequence[NDArray[np.floating[Any]]],
    config: SnippetConfig,
    sharing: Sharing,
    rng: np.random.Generator,
) -> Snippets:
    """Draw the pairs of `draw_snippets` in groups, each among a few demonstrations.

    Every pair that may be compared is as likely as without groups: a group grows around one such
    pair, drawn uniformly, so it is drawn in proportion to how many of its pairs may be compared.
    Starts lie on one grid of `stride` steps per group, so that snippets that overlap show the
    same frames; the grid's place is drawn for each group.

    Args and errors as of `draw_snippets`; `sharing` says how large groups are.
    """
    whole = _ranked(ranking, rewards, config)
    candidates = whole.comparable()
    found: list[Snippets] = []
    missing, vain = config.pairs, 0
    while missing and vain < _ROUNDS:
        members = _around(candidates[rng.integers(len(candidates))], len(rewards), sharing, rng)
        part = whole.among(members, int(rng.integers(config.stride)))
        few = config.model_copy(update={"pairs": min(sharing.pairs, missing)})
        drawn = _drawn(part, few, rng, rounds=1)
        vain = 0 if len(drawn) else vain + 1
        missing -= len(drawn)
        groups = np.full(len(drawn), len(found))
        found.append(replace(drawn, demonstrations=members[drawn.demonstrations], groups=groups))
    if missing == config.pairs:
        raise RankingError(_SILENT)
    return join(found)


def _around(pair: Ints, count: int, sharing: Sharing, rng: np.random.Generator) -> Ints:
    """Two demonstrations and random others."""
    others = np.delete(np.arange(count), pair)
    more = min(sharing.demonstrations - 2, len(others))
    return np.concatenate([pair, rng.choice(others, more, replace=False)])


def join(parts: Sequence[Snippets]) -> Snippets:
    """Several draws as one; their groups stay apart."""
    names = ("demonstrations", "starts", "lengths", "targets")
    joint = Snippets(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))
    groups, first = [], 0
    for one in parts:
        if one.groups is None:
            return joint
        _, own = np.unique(one.groups, return_inverse=True)
        groups.append(own + first)
        first += int(own.max(initial=-1)) + 1
    return replace(joint, groups=np.concatenate(groups))


def _ranked(
    ranking: Ranking, rewards: Sequence[NDArray[np.floating[Any]]], config: SnippetConfig
) -> _Ranked:
    """Checked demonstrations; at least two of them may be compared."""
    lengths = np.array([len(one) for one in rewards], dtype=np.int64)
    assert len(lengths) == len(ranking.ranks), (len(lengths), len(ranking.ranks))
    for number in np.flatnonzero(lengths == 0):
        raise RankingError(f"demonstration {number} has no steps; remove it")
    found = _Ranked(_comparable(ranking, lengths, config), lengths, rewards)
    if not len(found.comparable()):
        raise RankingError(
            f"no two of {len(lengths)} demonstrations can be compared by {config.rule}; take more "
            "demonstrations"
        )
    return found


def _drawn(
    ranked: _Ranked, config: SnippetConfig, rng: np.random.Generator, *, rounds: int
) -> Snippets:
    """Pairs among demonstrations of which some may be compared."""
    candidates = ranked.comparable()
    if config.rule == "true_labels":
        return _truly_labelled(candidates, ranked, config, rng, rounds)
    which = candidates[rng.integers(len(candidates), size=config.pairs)]
    order = ranked.order[which[:, 0], which[:, 1]]
    pairs = _windows(which, order, ranked.lengths, config, rng)
    starts = _on_grid(_STARTS[config.rule](pairs, config, rng), ranked.grid, config.stride)
    return _assemble(pairs, starts, (1 + pairs.order) / 2, rng)


def _on_grid(starts: Ints, grid: int | None, stride: int) -> Ints:
    """Starts moved back to the grid, where there is room; their order stays."""
    if grid is None:
        return starts
    moved = starts - (starts - grid) % stride
    return np.where(moved < 0, starts, moved)


def too_short(lengths: Sequence[int], config: SnippetConfig) -> list[int]:
    """Demonstrations shorter than a snippet; their pairs are as long as they are."""
    return [number for number, steps in enumerate(lengths) if steps < config.min_length]


def _comparable(ranking: Ranking, lengths: Ints, config: SnippetConfig) -> NDArray[np.int8]:
    """(n, n) as `Ranking.compare`, with what the rule leaves out marked as not compared."""
    order = ranking.compare()
    if config.rule == "true_labels":
        order[:] = 0
    elif config.ties == "drop":
        order[order == 0] = _UNCOMPARED
    if config.rule == "length_matched":
        shorter = np.minimum(lengths[:, None], lengths[None, :])
        longer = np.maximum(lengths[:, None], lengths[None, :])
        order[longer > _MATCHED * shorter] = _UNCOMPARED
    return order


def _windows(
    which: Ints, order: NDArray[np.int8], lengths: Ints, config: SnippetConfig,
    rng: np.random.Generator,
) -> _Pairs:  # fmt: skip
    """Draw each pair's snippet length: both demonstrations must hold it."""
    there = lengths[which]
    most = np.minimum(there.min(axis=1), config.max_length)
    least = np.minimum(config.min_length, most)
    window = rng.integers(least, most + 1)
    return _Pairs(which, there, window, order.astype(np.int64))


def _later_start(pairs: _Pairs, _: SnippetConfig, rng: np.random.Generator) -> Ints:
    """T-REX's Atari code: the better snippet never starts earlier than the worse one."""
    room = pairs.lengths - pairs.window[:, None]
    tossed = rng.random(len(pairs.order)) < 0.5  # of a tie, either may be called the better
    first_better = np.where(pairs.order == 0, tossed, pairs.order > 0)
    worse = rng.integers(room.min(axis=1) + 1)
    last = np.where(first_better, room[:, 0], room[:, 1])
    better = rng.integers(worse, last + 1)
    return np.where(
        first_better[:, None], np.stack([better, worse], 1), np.stack([worse, better], 1)
    )


def _independent(pairs: _Pairs, _: SnippetConfig, rng: np.random.Generator) -> Ints:
    """T-REX's MuJoCo code: starts are drawn anywhere; longer demonstrations give later ones."""
    starts: Ints = rng.integers(pairs.lengths - pairs.window[:, None] + 1)
    return starts


def _within_shorter(pairs: _Pairs, _: SnippetConfig, rng: np.random.Generator) -> Ints:
    """Independent starts, both within the shorter demonstration's length."""
    room = pairs.lengths.min(axis=1) - pairs.window
    starts: Ints = rng.integers(np.stack([room, room], axis=1) + 1)
    return starts


def _aligned(pairs: _Pairs, config: SnippetConfig, rng: np.random.Generator) -> Ints:
    """One start for both, each moved by its own jitter; exchanging the two changes nothing."""
    room = pairs.lengths.min(axis=1) - pairs.window
    common = rng.integers(room + 1)
    moved = common[:, None] + rng.integers(-config.jitter, config.jitter + 1, (len(room), 2))
    starts: Ints = np.clip(moved, 0, room[:, None])
    return starts


_STARTS: Mapping[str, Callable[[_Pairs, SnippetConfig, np.random.Generator], Ints]] = {
    "paper_atari": _later_start,
    "paper_mujoco": _independent,
    "time_aligned": _aligned,
    "length_matched": _within_shorter,
}


def _truly_labelled(
    candidates: Ints,
    ranked: _Ranked,
    config: SnippetConfig,
    rng: np.random.Generator,
    rounds: int,
) -> Snippets:
    """Snippets labelled by their own true reward; ties that are to go are drawn again, at most
    so many rounds.
    """
    summed = [np.concatenate([[0.0], np.cumsum(one, dtype=np.float64)]) for one in ranked.rewards]
    unmoved = config.model_copy(update={"jitter": 0})
    place = _aligned if config.label_starts == "aligned" else _independent
    found: list[Snippets] = []
    missing = config.pairs
    for _ in range(rounds):
        which = candidates[rng.integers(len(candidates), size=missing)]
        pairs = _windows(which, np.zeros(missing, np.int8), ranked.lengths, config, rng)
        starts = _on_grid(place(pairs, unmoved, rng), ranked.grid, config.stride)
        sums = _sums(summed, which, starts, pairs.window)
        targets = 0.5 + 0.5 * np.sign(np.round(sums[:, 0] - sums[:, 1], 6))
        kept = np.flatnonzero((targets != 0.5) | (config.ties == "half"))
        found.append(_select(_assemble(pairs, starts, targets, rng), kept))
        missing -= len(kept)
        if not missing:
            break
    return join(found)


def _sums(
    summed: Sequence[NDArray[np.float64]], which: Ints, starts: Ints, window: Ints
) -> NDArray[np.float64]:
    """(P, 2) true reward of each snippet."""
    return np.array(
        [
            [summed[demo][start + steps] - summed[demo][start] for demo, start in sides]
            for sides, steps in zip(np.stack([which, starts], 2), window, strict=True)
        ]
    )


def _assemble(
    pairs: _Pairs, starts: Ints, targets: NDArray[np.floating[Any]], rng: np.random.Generator
) -> Snippets:
    """Snippets with their sides exchanged by a coin toss, so that no side is the better one."""
    turned = rng.random(len(targets)) < 0.5
    sides = np.where(turned[:, None], [[1, 0]], [[0, 1]])
    return Snippets(
        demonstrations=np.take_along_axis(pairs.demonstrations, sides, 1),
        starts=np.take_along_axis(starts, sides, 1),
        lengths=np.stack([pairs.window, pairs.window], axis=1),
        targets=np.where(turned, 1 - targets, targets),
    )


def _select(snippets: Snippets, kept: Ints) -> Snippets:
    return Snippets(
        snippets.demonstrations[kept],
        snippets.starts[kept],
        snippets.lengths[kept],
        snippets.targets[kept],
    )
