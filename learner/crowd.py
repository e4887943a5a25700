"""How far each teacher of a run can be trusted, as one estimate per model of a crowd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from learner.iteration import Trust
from learner.preferences import PreferenceRow, effective
from learner.reliability import (
    Answers,
    ReliabilityError,
    crowd_bradley_terry,
    one_coin,
)

_SIDES = ("a", "b")
_FIRST_ANSWERS = ("ordinary", "gold")  # a repeat tells of memory, practice comes with feedback


def trust(rows: Iterable[PreferenceRow], noise: Mapping[int, float]) -> dict[int, Trust]:
    """Estimate every teacher's reliability from all rows of a run.

    Args:
        rows: those of excluded teachers among them: they are to be judged as well.
        noise: the reward model's share of random answers by teacher; empty if it learns none.

    Returns:
        By teacher; only those that gave a decided answer.
    """
    decided = [
        row for row in effective(rows) if row.answer in _SIDES and row.purpose in _FIRST_ANSWERS
    ]
    if not decided:
        return {}
    teachers, person = np.unique([row.teacher for row in decided], return_inverse=True)
    _, items = np.unique([(row.first, row.second) for row in decided], return_inverse=True)
    first, second = items.reshape(-1, 2).T
    answers = Answers(first, second, person, np.array([row.answer == "a" for row in decided]))
    by_pair = one_coin(answers).accuracy
    by_segment = _by_segment(answers)
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs_shared = _shared(low * answers.items + high, person)
    segments_shared = _shared(np.concatenate([first, second]), np.concatenate([person, person]))
    counts = np.bincount(person)
    return {
        int(teacher): Trust(
            one_coin=float(by_pair[k]) if pairs_shared[k] else None,
            crowd_bt=float(by_segment[k])
            if by_segment is not None and segments_shared[k]
            else None,
            learned=1 - noise[int(teacher)] / 2 if int(teacher) in noise else None,
            answers=int(counts[k]),
        )
        for k, teacher in enumerate(teachers)
    }


def _by_segment(answers: Answers) -> NDArray[np.float64]:
    """Crowd-BT's accuracies; empty if it does not converge, which must not stop a run."""
    try:
        return crowd_bradley_terry(answers).accuracy
    except ReliabilityError:
        return np.zeros(0)


def _shared(thing: NDArray[np.int64], person: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(people,) whether a person judged anything that somebody else judged as well."""
    uses = np.unique(np.stack([thing, person], axis=1), axis=0)
    judges = np.bincount(uses[:, 0])
    found = np.zeros(int(person.max()) + 1, dtype=bool)
    np.logical_or.at(found, uses[:, 1], judges[uses[:, 0]] > 1)
    return found
