from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from server import models
from server.errors import Conflict, Invalid, NotFound
from server.models import Answer, Preference, Purpose, Query, QueryState
from server.store import gold, preferences, trajectories
from server.store.assignments import Assignment

if TYPE_CHECKING:
    from conftest import Scene


def mark(scene: Scene, query_ids: list[int], answer: Answer | None = Answer.A) -> None:
    with scene.write() as s:
        for query_id in query_ids:
            gold.set_gold(s, run_id=scene.run_id, query_id=query_id, answer=answer)


def side_of_a(pair: Assignment) -> Any:
    return "left" if pair.a_on_left else "right"


def label(scene: Scene, person: int, count: int, seed: int = 0) -> list[Assignment]:
    """Answer so many pairs, the first side always; what was shown."""
    rng = random.Random(seed)
    shown: list[Assignment] = []
    for number in range(count):
        scene.later(5)
        pairs = scene.next(person, count=2, rng=rng)
        scene.submit(pairs[0], side_of_a(pairs[0]), key=f"{person}-{number}")
        shown.append(pairs[0])
    return shown


def test_gold_comes_in_its_share_and_looks_like_any_other_pair(scene: Scene) -> None:
    scene.rule(gold_share=0.15)
    mark(scene, scene.ask(60))
    scene.ask(150)
    shown = label(scene, scene.person("ada"), 120)
    golden = [n for n, pair in enumerate(shown) if pair.purpose is Purpose.GOLD]
    assert 10 <= len(golden) <= 27  # 18 expected
    gaps = {after - before for before, after in itertools.pairwise(golden)}
    assert len(gaps) > 3  # not every so many
    assert len({pair.query_id for pair in shown}) == 120
    assert scene.counts().total_labels == 120 - len(golden)


def test_gold_alone_is_not_given_to_somebody_who_waits(scene: Scene) -> None:
    scene.rule(gold_share=0.25)
    mark(scene, scene.ask(5))
    person = scene.person("ada")
    assert [scene.next(person) for _ in range(20)] == [[]] * 20
    assert scene.counts().open == 0


def test_an_answer_to_gold_is_stored_and_is_no_label(scene: Scene) -> None:
    scene.rule(gold_share=0.25)
    mark(scene, scene.ask(3))
    scene.ask(40)
    label(scene, scene.person("ada"), 40)
    with scene.database.read() as s:
        rows = preferences.preferences_after(s, run_id=scene.run_id)
        golden = [row for row in rows if row.purpose is Purpose.GOLD]
        assert len(rows) == 40
        assert len(golden) == 3
        assert {s.get_one(Query, row.query_id).state for row in golden} == {QueryState.CLOSED}
    assert scene.counts().total_labels == 37


def test_what_was_answered_as_ordinary_stays_a_label_when_it_becomes_gold(scene: Scene) -> None:
    (query,) = scene.ask()
    ada = scene.person("ada")
    scene.submit(scene.next(ada)[0])
    mark(scene, [query])
    assert scene.counts().total_labels == 1
    scene.rule(gold_share=0.25)
    scene.ask(30)
    assert query not in {pair.query_id for pair in label(scene, ada, 30)}  # seen before
    mark(scene, [query], None)
    with scene.database.read() as s:
        assert s.get_one(Query, query).gold is None


def test_what_becomes_gold_in_somebodys_hands_is_answered_as_gold(scene: Scene) -> None:
    (query,) = scene.ask()
    ada, bob = scene.person("ada"), scene.person("bob")
    (pair,) = scene.next(ada)
    mark(scene, [query])
    stored = scene.submit(pair, side_of_a(pair), key="one")
    assert stored.purpose is Purpose.GOLD
    assert scene.submit(pair, side_of_a(pair), key="one").id == stored.id
    assert (scene.counts().total_labels, scene.progress(ada).left) == (0, 1000)
    with scene.database.read() as s:
        score = gold.gold_score(s, run_id=scene.run_id, person_id=ada)
    assert (score.right, score.given) == (1, 1)
    _, again = scene.undo(ada, "u")
    assert again is not None
    assert again.purpose is Purpose.GOLD
    corrected = scene.submit(again, "tie", key="two")
    mark(scene, [query], None)
    with pytest.raises(Conflict, match="answered already"):
        scene.submit(pair, "tie", key="three")
    assert corrected.purpose is Purpose.GOLD
    assert scene.next(bob)[0].query_id == query  # nobody's label yet


def test_an_answer_before_a_pair_became_gold_is_not_given_again_as_gold(scene: Scene) -> None:
    (query,) = scene.ask(answers_wanted=2)
    ada = scene.person("ada")
    (pair,) = scene.next(ada)
    scene.submit(pair, key="one")
    mark(scene, [query])
    with pytest.raises(Conflict, match="answered already"):
        scene.submit(pair, key="two")
    assert scene.counts().total_labels == 1


def test_marking_takes_a_pair_out_of_the_queue_and_back(scene: Scene) -> None:
    (query,) = scene.ask()
    mark(scene, [query])
    assert (scene.counts().open, scene.counts().answered) == (0, 1)
    mark(scene, [query], None)
    assert [pair.query_id for pair in scene.next(scene.person("ada"))] == [query]


def test_gold_whose_clips_are_still_made_is_shown_when_they_are(scene: Scene) -> None:
    with scene.write() as s:
        query = scene.ask_one(s, clip=None)
    mark(scene, [query])
    with scene.write() as s:
        row = s.get_one(Query, query)
        assert row.state is QueryState.PENDING
        for segment in (row.segment_a_id, row.segment_b_id):
            trajectories.set_clip(s, segment_id=segment, clip="1" * 64)
        s.refresh(row)
        assert row.state is QueryState.CLOSED
    scene.rule(practice=1)
    assert [pair.query_id for pair in scene.next(scene.person("ada"))] == [query]


def test_what_cannot_be_gold_is_refused(scene: Scene) -> None:
    with scene.write() as s:
        lost = scene.ask_one(s)
        trajectories.clip_failed(s, segment_id=s.get_one(Query, lost).segment_a_id)
    (query,) = scene.ask()
    for query_id, answer, error in (
        (999, Answer.A, NotFound),
        (query, Answer.INCOMPARABLE, Invalid),
        (query, Answer.WITHDRAWN, Invalid),
        (lost, Answer.A, Conflict),
    ):
        with pytest.raises(error):
            mark(scene, [query_id], answer)


def test_repeats_come_later_once_with_the_sides_swapped(scene: Scene) -> None:
    scene.rule(repeat_share=0.25, repeat_after=10)
    scene.ask(200)
    person = scene.person("ada")
    shown = label(scene, person, 120)
    repeats = [(n, pair) for n, pair in enumerate(shown) if pair.purpose is Purpose.REPEAT]
    assert 15 <= len(repeats) <= 45  # 30 expected, fewer at the start
    assert len({pair.query_id for _, pair in repeats}) == len(repeats)
    for n, pair in repeats:
        ((before, first),) = [
            (m, one) for m, one in enumerate(shown) if one.query_id == pair.query_id and m != n
        ]
        assert n - before > 8  # one or two pairs are laid out ahead
        assert first.purpose is Purpose.ORDINARY
        assert first.a_on_left is not pair.a_on_left
        assert first.left_segment_id == pair.right_segment_id
    assert scene.counts().total_labels == 120 - len(repeats)


def test_a_repeat_is_answered_once_and_can_be_taken_back(scene: Scene) -> None:
    scene.rule(repeat_share=0.25, repeat_after=1)
    scene.ask(60)
    person = scene.person("ada")
    repeat = next(pair for pair in label(scene, person, 50) if pair.purpose is Purpose.REPEAT)
    with pytest.raises(Conflict, match="answered already"):
        scene.submit(repeat, key="again")
    with scene.database.read() as s:
        answers = s.scalars(select(Preference).where(Preference.query_id == repeat.query_id)).all()
    first, second = sorted(answers, key=lambda row: row.id)
    assert (first.purpose, second.purpose) == (Purpose.ORDINARY, Purpose.REPEAT)
    _, pair = scene.undo(person, "u", preference_id=second.id)
    assert pair is not None
    assert pair.purpose is Purpose.REPEAT
    assert scene.next(person)[0].id == min(pair.id, scene.next(person)[0].id)
    scene.submit(pair, key="once more")
    _, pair = scene.undo(person, "u2", preference_id=first.id)
    assert pair is not None
    assert pair.purpose is Purpose.ORDINARY


def test_practice_comes_first_and_is_no_label(scene: Scene) -> None:
    scene.rule(practice=3, gold_share=0.0)
    mark(scene, scene.ask(5))
    scene.ask(10)
    ada, bob = scene.person("ada"), scene.person("bob")
    shown = label(scene, ada, 8)
    assert [pair.purpose for pair in shown] == [Purpose.PRACTICE] * 3 + [Purpose.ORDINARY] * 5
    assert (scene.counts().total_labels, scene.progress(ada).total) == (5, 5)
    assert scene.next(bob)[0].purpose is Purpose.PRACTICE
    with scene.database.read() as s:
        judged = s.scalar(select(Preference.id).where(Preference.purpose == Purpose.PRACTICE))
    with pytest.raises(Conflict, match="practice"):
        scene.undo(ada, "u", preference_id=judged)


def test_somebody_who_has_begun_needs_no_practice(scene: Scene) -> None:
    queries = scene.ask(5)
    ada = scene.person("ada")
    label(scene, ada, 1)
    mark(scene, queries[3:])
    scene.rule(practice=2)
    assert scene.next(ada)[0].purpose is Purpose.ORDINARY


def answer_gold(scene: Scene, person: int, right: int, wrong: int) -> None:
    with scene.write() as s:
        for number in range(right + wrong):
            query = scene.ask_one(s)
            gold.set_gold(s, run_id=scene.run_id, query_id=query, answer=Answer.A)
            pair = models.Assignment(
                query_id=query,
                person_id=person,
                purpose=Purpose.GOLD,
                a_on_left=True,
                leased_at=scene.now,
                expires_at=scene.now,
            )
            s.add(pair)
            s.flush()
            gold_pair = (pair.id, "left" if number < right else "incomparable")
            from server.store.assignments import submit

            submit(
                s,
                assignment_id=gold_pair[0],
                person_id=person,
                side=gold_pair[1],  # type: ignore[arg-type]
                seconds=1.0,
                submission_key=f"gold-{pair.id}",
                now=scene.now,
            )


def test_below_the_threshold_a_person_is_paused_until_let_in_again(scene: Scene) -> None:
    scene.rule(gold_threshold=0.7, gold_minimum=10)
    scene.ask(10)
    ada, bob = scene.person("ada"), scene.person("bob")
    (held,) = scene.next(ada)
    answer_gold(scene, ada, right=5, wrong=4)
    assert len(scene.next(ada)) == 1  # nine are too few to judge by
    answer_gold(scene, ada, right=1, wrong=0)
    assert scene.next(ada) == []
    assert scene.next(bob)[0].query_id == held.query_id  # what they held goes to others
    assert scene.submit(held).id  # what was on the screen is kept
    with scene.write() as s:
        assert gold.is_paused(s, run_id=scene.run_id, person_id=ada)
        gold.unpause(s, run_id=scene.run_id, person_id=ada)
    assert len(scene.next(ada)) == 1
    answer_gold(scene, ada, right=7, wrong=3)
    assert len(scene.next(ada)) == 1  # counted afresh, and not below
    with scene.database.read() as s:
        found = {
            person.name: (score.right, score.given, paused_at)
            for person, score, paused_at in gold.labellers(s, run_id=scene.run_id)
        }
    assert found["ada"] == (7, 10, None)


def test_nobody_is_paused_where_no_threshold_is_set(scene: Scene) -> None:
    scene.ask(3)
    ada = scene.person("ada")
    answer_gold(scene, ada, right=0, wrong=15)
    assert len(scene.next(ada)) == 1


def test_a_lost_clip_takes_gold_and_repeats_away(scene: Scene) -> None:
    scene.rule(practice=1)
    (query,) = scene.ask()
    mark(scene, [query])
    person = scene.person("ada")
    (pair,) = scene.next(person)
    with scene.write() as s:
        assert trajectories.clip_failed(s, segment_id=pair.left_segment_id) == 1
    assert scene.next(person) == []
    with scene.database.read() as s:
        assert s.get_one(Query, query).state is QueryState.SET_ASIDE
