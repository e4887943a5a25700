"""Whose answers count, and how far people are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from server.errors import NotFound
from server.models import Preference
from server.store import labellers, people, queries

if TYPE_CHECKING:
    from conftest import Scene


@dataclass(frozen=True)
class Found:
    one_coin: float | None = 0.9
    crowd_bt: float | None = None
    learned: float | None = None
    answers: int = 7


def decide(scene: Scene, person: int, excluded: bool) -> bool:
    with scene.write() as s:
        return labellers.exclude(
            s,
            run_id=scene.run_id,
            person_id=person,
            excluded=excluded,
            by_id=None,
            now=scene.now,
        )


def test_excluded_answers_leave_the_labels_and_come_back(scene: Scene) -> None:
    ada, ben = scene.person("Ada"), scene.person("Ben")
    scene.ask(4)
    for person in (ada, ben):
        for pair in scene.next(person, 2):
            scene.submit(pair)
    assert scene.counts().total_labels == 4
    assert decide(scene, ada, True)
    assert not decide(scene, ada, True)  # it is so already
    assert scene.counts().total_labels == 2
    assert scene.progress(ada).total == 2  # nobody is told
    assert scene.progress(ben).left == 998
    assert scene.total(Preference) == 4
    assert decide(scene, ada, False)
    assert scene.counts().total_labels == 4


def test_it_holds_for_one_run_alone(scene: Scene) -> None:
    ada = scene.person("Ada")
    scene.ask(1)
    scene.submit(scene.next(ada)[0])
    with scene.write() as s:
        other = scene.add_run(s, "other").id
        labellers.exclude(s, run_id=other, person_id=ada, excluded=True, by_id=None, now=scene.now)
        assert labellers.excluded_teachers(s, run_id=scene.run_id) == {}
        assert queries.counts(s, run_id=scene.run_id, now=scene.now).total_labels == 1


def test_every_decision_is_a_row_that_the_learner_reads_in_order(scene: Scene) -> None:
    ada, ben = scene.person("Ada"), scene.person("Ben")
    for person, excluded in ((ada, True), (ben, True), (ada, False)):
        decide(scene, person, excluded)
    with scene.write() as s:
        teachers = [people.teacher_for_person(s, person_id=one).id for one in (ada, ben)]
        rows = labellers.exclusions_after(s, run_id=scene.run_id, after_id=0)
        assert [row[1:] for row in rows] == [
            (teachers[0], True),
            (teachers[1], True),
            (teachers[0], False),
        ]
        last = rows[1][0]
        assert labellers.exclusions_after(s, run_id=scene.run_id, after_id=last) == rows[2:]
        assert labellers.excluded_teachers(s, run_id=scene.run_id) == {teachers[1]: scene.now}


def test_nobody_cannot_be_excluded(scene: Scene) -> None:
    with pytest.raises(NotFound, match="no person 99"):
        decide(scene, 99, True)


def test_new_estimates_replace_the_old_and_are_of_people(scene: Scene) -> None:
    ada, ben = scene.person("Ada"), scene.person("Ben")
    with scene.write() as s:
        first, second = (people.teacher_for_person(s, person_id=one).id for one in (ada, ben))
        machine = people.synthetic_teacher(s, run_id=scene.run_id, name="synthetic", settings={}).id
        for found in ({first: Found(), machine: Found()}, {second: Found(crowd_bt=0.4)}):
            labellers.store_reliabilities(s, run_id=scene.run_id, found=found, now=scene.now)
        (row,) = labellers.reliabilities(s, run_id=scene.run_id).values()
        assert (row.teacher_id, row.one_coin, row.crowd_bt, row.answers) == (second, 0.9, 0.4, 7)
