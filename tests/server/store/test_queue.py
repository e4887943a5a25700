"""Overlap, third opinions, skipping and the label budget: what the queue gives to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from server.errors import Conflict
from server.models import Query, QueryState, Run
from server.rules import Rules, rules_of
from server.store import assignments, queries

if TYPE_CHECKING:
    from conftest import Scene


def shared(scene: Scene, people: int = 2, limit: int = 3) -> int:
    (query,) = scene.ask(answers_wanted=people, answers_limit=limit)
    return query


def state(scene: Scene, query_id: int) -> tuple[QueryState, int]:
    with scene.database.read() as s:
        query = s.get_one(Query, query_id)
        return query.state, query.answers_wanted


def answer(scene: Scene, name: str, prefer_a: bool | None) -> int:
    """Answer the next pair with a, b or a tie."""
    person = scene.person(name)
    (pair,) = scene.next(person)
    side: Any = "tie" if prefer_a is None else "left" if pair.a_on_left is prefer_a else "right"
    return scene.submit(pair, side).id


def test_where_two_agree_nobody_else_is_asked(scene: Scene) -> None:
    query = shared(scene)
    answer(scene, "ada", True)
    answer(scene, "bob", True)
    assert state(scene, query) == (QueryState.CLOSED, 2)


@pytest.mark.parametrize("other", [False, None])
def test_where_two_differ_a_third_is_asked(scene: Scene, other: bool | None) -> None:
    query = shared(scene)
    answer(scene, "ada", True)
    answer(scene, "bob", other)
    assert state(scene, query) == (QueryState.OPEN, 3)
    answer(scene, "cyd", None)
    assert state(scene, query) == (QueryState.CLOSED, 3)


def test_two_who_differ_at_once_lead_to_one_third_opinion(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    asked = [shared(scene) for _ in range(8)]
    people = [scene.person("ada"), scene.person("bob")]
    pairs = [scene.next(person, count=8) for person in people]
    at_once(
        lambda pair: scene.submit(
            pair, "left" if pair.a_on_left == (pair.person_id == people[0]) else "right"
        ),
        pairs[0] + pairs[1],
    )
    assert [state(scene, query) for query in asked] == [(QueryState.OPEN, 3)] * 8


def test_a_correction_that_ends_agreement_asks_a_third(scene: Scene) -> None:
    from server.store import corrections

    query = shared(scene)
    answer(scene, "ada", True)
    last = answer(scene, "bob", True)
    with scene.write() as s:
        row = s.get_one(assignments.Preference, last)
        held = s.get_one(assignments.models.Assignment, row.assignment_id)
        corrections.correct(
            s,
            preference_id=last,
            person_id=held.person_id,
            side="right" if held.a_on_left else "left",
            seconds=None,
            submission_key="correction",
            now=scene.now,
        )
    assert state(scene, query) == (QueryState.OPEN, 3)


def test_the_share_that_several_people_get_is_that_of_the_rules(scene: Scene) -> None:
    with scene.write() as s:
        wanted = []
        for query_id in [scene.ask_one(s) for _ in range(300)]:
            query = s.get_one(Query, query_id)
            queries.share_out(query, Rules(overlap=0.2, answers=3))
            wanted.append((query.answers_wanted, query.answers_limit))
    assert set(wanted) == {(1, 1), (3, 4)}
    assert 40 <= wanted.count((3, 4)) <= 80


def test_pairs_that_wait_for_others_are_told_apart(scene: Scene) -> None:
    scene.ask(2)
    shared(scene)
    shared(scene)
    ada = scene.person("ada")
    for pair in scene.next(ada, count=4):
        scene.submit(pair)
    counts = scene.counts()
    assert (counts.open, counts.begun, counts.owed, counts.answered) == (2, 2, 2, 2)


def skip(scene: Scene, pair: assignments.Assignment) -> None:
    with scene.write() as s:
        assignments.skip(s, assignment_id=pair.id, person_id=pair.person_id, now=scene.now)


def test_skipping_is_off_unless_the_run_has_it(scene: Scene) -> None:
    scene.ask()
    with pytest.raises(Conflict, match="no skipping"):
        skip(scene, scene.next(scene.person("ada"))[0])


def test_what_is_skipped_comes_back_last(scene: Scene) -> None:
    scene.rule(skip="later")
    scene.ask(3)
    ada = scene.person("ada")
    (first,) = scene.next(ada)
    skip(scene, first)
    skip(scene, first)
    order = []
    while pairs := scene.next(ada):
        order.append(pairs[0].query_id)
        scene.submit(pairs[0])
    assert len(order) == 3
    assert order[-1] == first.query_id


def test_what_is_skipped_goes_to_others_only(scene: Scene) -> None:
    scene.rule(skip="others")
    (query,) = scene.ask()
    ada, bob = scene.person("ada"), scene.person("bob")
    skip(scene, scene.next(ada)[0])
    assert scene.next(ada) == []
    assert [pair.query_id for pair in scene.next(bob)] == [query]


def test_what_is_skipped_is_ignored(scene: Scene) -> None:
    scene.rule(skip="ignore")
    scene.ask()
    skip(scene, scene.next(scene.person("ada"))[0])
    assert scene.next(scene.person("bob")) == []
    assert scene.counts().set_aside == 1


def budget(scene: Scene, labels: int) -> None:
    with scene.write() as s:
        s.get_one(Run, scene.run_id).label_budget = labels


def test_no_more_pairs_are_given_than_labels_are_wanted(scene: Scene) -> None:
    scene.ask(10)
    budget(scene, 3)
    ada, bob = scene.person("ada"), scene.person("bob")
    held = scene.next(ada, count=2)
    assert len(scene.next(bob, count=2)) == 1
    scene.later(121)  # nobody works on them any more
    assert len(scene.next(scene.person("cyd"), count=5)) == 3
    assert scene.submit(held[0]).late is True
    assert scene.progress(ada).left == 2


def test_many_who_ask_at_once_do_not_overdraw_the_budget(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    scene.ask(30)
    budget(scene, 10)
    people = [scene.person(f"p{number}") for number in range(12)]
    given = at_once(lambda person: scene.next(person, count=2), people)
    assert sum(map(len, given)) == 10


def test_rules_that_nobody_has_checked_are_those_by_default() -> None:
    assert rules_of({}) == rules_of({"labelling": {"overlap": "half"}}) == Rules()
    assert rules_of({"labelling": {"overlap": 0.5}}).overlap == 0.5
