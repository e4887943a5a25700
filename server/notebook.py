"""What a run's answers tell of each person: speed, agreement, gold, repeats, habits.

Pure arithmetic. Agreement is between first answers only, and never with somebody who is excluded.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from server.agreement import Agreement, krippendorff_alpha, raw_agreement
from server.models import Answer, Purpose
from server.store.judgements import Judgement

VALUES = {Answer.A: 1.0, Answer.TIE: 0.0, Answer.B: -1.0}
"""A tie lies between the two sides; "can't tell" says nothing about the clips."""

PAUSE_SECONDS = 120.0
"""Longer between two answers is a pause: it does not count as time at work."""

RESAMPLES = 500
_PLACES = {answer: place for place, answer in enumerate(VALUES)}
_FIRST = (Purpose.ORDINARY, Purpose.GOLD)


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """Between 0 and 1; None of nothing."""
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True)
class Concord:
    """How far answers to the same pairs agree.

    Attributes:
        alpha: Krippendorff's, at the interval level; None where it is not defined.
        raw: share of pairs of answers that are equal.
    """

    alpha: Agreement | None
    raw: float | None


@dataclass(frozen=True)
class Notes:
    """What one person's answers tell.

    Attributes:
        answers: all that count, checks among them.
        labels: of these, ordinary ones.
        median_seconds: from a pair's first playing to its answer.
        per_minute: answers per minute at work.
        others: agreement with other people.
        gold: right answers to pairs whose answer is known.
        repeats: the same answer to the same pair again.
        left: of the decided answers, those for the clip on the left.
        ties: of all.
        cannot_tell: of all.
        newest: when the last one came.
    """

    answers: int
    labels: int
    median_seconds: float | None
    per_minute: float | None
    others: Concord
    gold: Share
    repeats: Share
    left: Share
    ties: Share
    cannot_tell: Share
    newest: datetime


@dataclass(frozen=True)
class Notebook:
    """A run's people.

    Attributes:
        notes: by teacher; only those who have answers that count.
        crowd: agreement among all who are not excluded.
    """

    notes: Mapping[int, Notes]
    crowd: Concord


def read_notebook(given: Sequence[Judgement], excluded: Collection[int]) -> Notebook:
    """Judge everybody by the answers of a run.

    Args:
        given: answers that count, oldest first.
        excluded: teachers with whom nobody's agreement is measured.
    """
    answered = _first_answers(given)
    own: dict[int, list[Judgement]] = defaultdict(list)
    for one in given:
        own[one.teacher_id].append(one)
    queries: dict[int, list[int]] = defaultdict(list)
    for query, answers in answered.items():
        for teacher in answers:
            queries[teacher].append(query)
    return Notebook(
        notes={
            teacher: _notes(
                rows, _with_others({n: answered[n] for n in queries[teacher]}, teacher, excluded)
            )
            for teacher, rows in own.items()
        },
        crowd=_concord(_trusted(answered, excluded)),
    )


def read_crowd(given: Sequence[Judgement], excluded: Collection[int]) -> Concord:
    """How far all people agree who are not excluded; `read_notebook` tells more of each."""
    return _concord(_trusted(_first_answers(given), excluded))


def _first_answers(given: Sequence[Judgement]) -> dict[int, dict[int, Answer]]:
    """By query, each teacher's first answer that takes a side or calls it a tie."""
    answered: dict[int, dict[int, Answer]] = defaultdict(dict)
    for one in given:
        if one.purpose in _FIRST and one.answer in VALUES:
            answered[one.query_id].setdefault(one.teacher_id, one.answer)
    return answered


def _trusted(
    answered: Mapping[int, Mapping[int, Answer]], excluded: Collection[int]
) -> list[list[Answer]]:
    return [
        [answer for teacher, answer in answers.items() if teacher not in excluded]
        for answers in answered.values()
    ]


def _with_others(
    answered: Mapping[int, Mapping[int, Answer]], teacher: int, excluded: Collection[int]
) -> Concord:
    """How a person's answers agree with each other person's to the same pairs."""
    beside = [
        (query, [answers[teacher], answer])
        for query, answers in answered.items()
        for other, answer in answers.items()
        if other != teacher and other not in excluded
    ]
    return _concord([pair for _, pair in beside], [query for query, _ in beside])


def _concord(items: Sequence[Sequence[Answer]], clusters: Sequence[int] | None = None) -> Concord:
    counts = np.zeros((len(items), len(VALUES)), dtype=np.int64)
    for row, answers in zip(counts, items, strict=True):
        for answer in answers:
            row[_PLACES[answer]] += 1
    rng = np.random.default_rng(0)  # equal answers, equal interval
    values = list(VALUES.values())
    alpha = krippendorff_alpha(
        counts, values, "interval", rng=rng, clusters=clusters, resamples=RESAMPLES
    )
    raw = raw_agreement(counts)
    return Concord(
        alpha=None if math.isnan(alpha.value) else alpha, raw=None if math.isnan(raw) else raw
    )


def _notes(rows: Sequence[Judgement], others: Concord) -> Notes:
    seconds = [row.seconds for row in rows if row.seconds is not None]
    first = {row.query_id: row.answer for row in rows if row.purpose in _FIRST}
    golden = [row for row in rows if row.purpose is Purpose.GOLD and row.gold is not None]
    again = [row for row in rows if row.purpose is Purpose.REPEAT and row.query_id in first]
    sided = [
        (row.answer is Answer.A) == row.a_on_left
        for row in rows
        if row.answer in (Answer.A, Answer.B) and row.a_on_left is not None
    ]
    return Notes(
        answers=len(rows),
        labels=sum(row.purpose is Purpose.ORDINARY for row in rows),
        median_seconds=statistics.median(seconds) if seconds else None,
        per_minute=_rate([row.created_at for row in rows]),
        others=others,
        gold=Share(sum(row.answer is row.gold for row in golden), len(golden)),
        repeats=Share(sum(row.answer is first[row.query_id] for row in again), len(again)),
        left=Share(sum(sided), len(sided)),
        ties=_share_of(rows, Answer.TIE),
        cannot_tell=_share_of(rows, Answer.INCOMPARABLE),
        newest=rows[-1].created_at,
    )


def _share_of(rows: Sequence[Judgement], answer: Answer) -> Share:
    return Share(sum(row.answer is answer for row in rows), len(rows))


def _rate(moments: Sequence[datetime]) -> float | None:
    """Answers per minute, pauses left out; None before the second in a row."""
    gaps = [(after - before).total_seconds() for before, after in pairwise(moments)]
    at_work = [gap for gap in gaps if 0 <= gap <= PAUSE_SECONDS]
    return 60 * len(at_work) / sum(at_work) if sum(at_work) > 0 else None
