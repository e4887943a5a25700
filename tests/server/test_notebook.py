"""What answers tell of people: known answers, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.models import Answer, Purpose
from server.notebook import Notes, read_notebook
from server.store.judgements import Judgement

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ONE = Judgement(
    teacher_id=1,
    query_id=1,
    purpose=Purpose.ORDINARY,
    answer=Answer.A,
    a_on_left=True,
    seconds=2.0,
    gold=None,
    created_at=NOON,
)


def answers(teacher: int, said: str, **more: object) -> list[Judgement]:
    """One letter per query, from the first on: a, b, t (tie), n (cannot tell)."""
    letters = {"a": Answer.A, "b": Answer.B, "t": Answer.TIE, "n": Answer.INCOMPARABLE}
    return [
        replace(ONE, teacher_id=teacher, query_id=query, answer=letters[letter], **more)
        for query, letter in enumerate(said, start=1)
        if letter in letters
    ]


def notes(given: list[Judgement], excluded: tuple[int, ...] = (), teacher: int = 1) -> Notes:
    return read_notebook(given, excluded).notes[teacher]


def test_speed_leaves_pauses_out() -> None:
    moments = [0, 4, 8, 8 + 3600, 8 + 3604]
    given = [
        replace(ONE, query_id=n, created_at=NOON + timedelta(seconds=at), seconds=float(n))
        for n, at in enumerate(moments)
    ]
    found = notes(given)
    assert (found.answers, found.median_seconds, found.per_minute) == (5, 2.0, 15.0)
    assert found.newest == given[-1].created_at
    assert notes([replace(ONE, seconds=None)]).median_seconds is None
    assert notes([ONE]).per_minute is None


def test_agreement_is_with_each_other_person_over_the_same_pairs() -> None:
    given = answers(1, "aabb") + answers(2, "aab-") + answers(3, "b---")
    found = notes(given)
    assert found.others.raw == 3 / 4  # a-a, a-b; a-a; b-b
    assert found.others.alpha is not None
    # By hand: D_o = 1/4 and of 8 ratings 5 are a, 3 are b: D_e = 2 * 5 * 3 / (8 * 7).
    assert found.others.alpha.value == pytest.approx(1 - (1 / 4) / (30 / 56))
    assert found.others.alpha.low <= found.others.alpha.value <= found.others.alpha.high


def test_many_others_who_agree_make_the_interval_no_narrower() -> None:
    said, theirs = "abab" * 6 + "aabb", "abab" * 6 + "bbaa"
    one = notes(answers(1, said) + answers(2, theirs)).others.alpha
    given = [row for teacher in range(2, 22) for row in answers(teacher, theirs)]
    many = notes(answers(1, said) + given).others.alpha
    assert one is not None
    assert many is not None
    assert (one.n, many.n) == (28, 560)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)


def test_a_tie_is_half_a_disagreement_and_cannot_tell_is_none_at_all() -> None:
    tie = notes(answers(1, "aabb") + answers(2, "aabt")).others
    other = notes(answers(1, "aabb") + answers(2, "aaba")).others
    assert tie.alpha is not None
    assert other.alpha is not None
    assert tie.raw == other.raw == 3 / 4
    assert tie.alpha.value > other.alpha.value
    assert notes(answers(1, "aab") + answers(2, "aan")).others.raw == 1.0


def test_the_excluded_are_compared_with_the_others_but_nobody_with_them() -> None:
    given = answers(1, "aabb") + answers(2, "aabb") + answers(3, "bbaa")
    book = read_notebook(given, excluded={3})
    assert book.notes[1].others.raw == book.crowd.raw == 1.0
    assert book.notes[3].others.raw == 0.0
    assert read_notebook(given, ()).crowd.raw == pytest.approx(1 / 3)


def test_gold_repeats_and_habits() -> None:
    given = [
        *answers(1, "abtn"),
        *answers(1, "-----ab", purpose=Purpose.GOLD, gold=Answer.A),
        *answers(1, "aa", purpose=Purpose.REPEAT, a_on_left=False),
    ]
    found = notes(given)
    assert (found.answers, found.labels) == (8, 4)
    assert (found.gold.part, found.gold.whole) == (1, 2)
    assert (found.repeats.part, found.repeats.whole) == (1, 2)
    # a with a on the left: left; b: right; gold a: left, b: right; repeated a on the right, twice.
    assert (found.left.part, found.left.whole) == (2, 6)
    assert (found.ties.value, found.cannot_tell.value) == (1 / 8, 1 / 8)


def test_one_person_alone_agrees_with_nobody() -> None:
    found = notes(answers(1, "aab"))
    assert (found.others.alpha, found.others.raw) == (None, None)
    assert found.gold.value is None
    assert read_notebook([], ()).crowd.raw is None
