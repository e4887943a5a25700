"""The pairs that a cell's reward model learns from: drawn by its rule, then labelled.

They go through the tables' own types and the trainer of every run; no person's answer differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.evaluation import baselines
from learner.preferences import LabelledPairs, PreferenceRow, WindowStore, labelled_pairs
from learner.rankings.orders import RankingError
from learner.rankings.snippets import (
    SnippetConfig,
    Snippets,
    draw_snippets,
    draw_together,
    join,
    too_short,
)
from learner.study.bank import Bank
from learner.study.config import StudyConfig
from learner.study.ranking import rank

_ANSWERS = {1.0: "a", 0.5: "tie", 0.0: "b"}
_TEACHER = 1  # there is but one, the ranking


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs over the chosen demonstrations, and which of these are held out.

    Attributes:
        snippets: the pairs, by the demonstrations' index in the bank.
        sides: True = held out, by episode.
        known: demonstrations, by index in the bank, to read the reward's constant off: those
            held out, or, where these are all tied, all.
        facts: for the report.
    """

    snippets: Snippets
    sides: dict[str, bool]
    known: NDArray[np.int64]
    facts: dict[str, Any]

    def shuffled(self, rng: np.random.Generator) -> TrainingPairs:
        """The same pairs under labels that do not belong to them."""
        targets = baselines.shuffled_labels(self.snippets.targets, rng)
        return replace(self, snippets=replace(self.snippets, targets=targets))


def draw_pairs(
    study: StudyConfig,
    train: Bank,
    chosen: NDArray[np.int64],
    config: SnippetConfig,
    holdout: float,
    rng: np.random.Generator,
) -> TrainingPairs:
    """Pairs among the demonstrations to learn from, and among those held out.

    Raises:
        RankingError: nothing among the demonstrations to learn from can be compared.
    """
    rewards = train.reward_lists()
    held = chosen[: max(2, round(holdout * len(chosen)))]
    rest = chosen[len(held) :]
    note = ""
    share = round(config.pairs * holdout)
    try:
        few = config.model_copy(update={"pairs": max(1, share)})
        outside = _among(study, train, held, rewards, few, rng)
    except RankingError:
        note, outside, rest, share = "held-out demonstrations are all tied", None, chosen, 0
    many = config.model_copy(update={"pairs": config.pairs - share})
    inside = _among(study, train, rest, rewards, many, rng)
    joint = inside if outside is None else join([inside, outside])
    sides = {episode_name(int(one)): False for one in rest}
    if outside is not None:
        sides |= {episode_name(int(one)): True for one in held}
    short = too_short([int(train.lengths[one]) for one in chosen], config)
    facts = {
        "held_out": sum(sides.values()),
        "note": note,
        "shorter_than_a_snippet": [train.entries[int(chosen[one])].number for one in short],
        "ties": float(np.mean(joint.targets == 0.5)),
    }
    return TrainingPairs(joint, sides, chosen if outside is None else held, facts)


def label(
    snippets: Snippets,
    observations: NDArray[Any],
    actions: NDArray[Any],
    offsets: NDArray[np.int64],
    config: SnippetConfig,
) -> LabelledPairs:
    """The pairs as preferences of a teacher, over windows of the demonstrations.

    Args:
        snippets: the pairs.
        observations: (steps, ...) of all demonstrations, one behind the other.
        actions: (steps, ...).
        offsets: (demonstrations + 1,) first step of each.
        config: how they were cut.
    """
    times = np.arange(len(actions)) - np.repeat(offsets[:-1], np.diff(offsets))
    store = WindowStore(config.frames, observations.view(np.ndarray), actions, times)
    rows = []
    sides = zip(
        snippets.demonstrations, snippets.starts, snippets.lengths, snippets.targets, strict=True
    )
    for number, (demos, starts, lengths, target) in enumerate(sides):
        for side in (0, 1):
            demo = int(demos[side])
            first = int(offsets[demo] + starts[side])
            window = range(first, first + int(lengths[side]), config.stride)
            store.add_window(2 * number + side, window, episode_name(demo))
        answer = _ANSWERS[float(target)]
        rows.append(PreferenceRow(number, number, _TEACHER, 2 * number, 2 * number + 1, answer))
    return replace(labelled_pairs(rows, store), groups=snippets.groups)


def _among(
    study: StudyConfig,
    train: Bank,
    members: NDArray[np.int64],
    rewards: list[NDArray[np.float32]],
    config: SnippetConfig,
    rng: np.random.Generator,
) -> Snippets:
    """Snippets of some demonstrations, by their index in the bank."""
    ranking = rank(study, [train.entries[int(one)] for one in members])
    own = [rewards[int(one)] for one in members]
    if study.sharing is None:
        drawn = draw_snippets(ranking, own, config, rng)
    else:
        drawn = draw_together(ranking, own, config, study.sharing, rng)
    return replace(drawn, demonstrations=members[drawn.demonstrations])


def episode_name(index: int) -> str:
    """What a demonstration is called in hold-out splits."""
    return f"demonstration-{index}"
