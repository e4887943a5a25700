from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from server.errors import NotFound
from server.models import Person, Teacher
from server.store import people

if TYPE_CHECKING:
    from conftest import Scene


def test_there_is_one_local_person_and_one_teacher_for_them(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    def come(_: int) -> tuple[int, int]:
        with scene.write() as s:
            person = people.local_person(s, now=scene.now)
            return person.id, people.teacher_for_person(s, person_id=person.id).id

    assert len(set(at_once(come, list(range(8))))) == 1
    assert scene.total(Person) == scene.total(Teacher) == 1


def test_nobody_has_no_teacher(scene: Scene) -> None:
    with scene.write() as s, pytest.raises(NotFound, match="no person 999"):
        people.teacher_for_person(s, person_id=999)


def test_synthetic_teachers_belong_to_their_run(scene: Scene) -> None:
    with scene.write() as s:
        other = scene.add_run(s, "other").id
        ids = [
            people.synthetic_teacher(s, run_id=run, name=name, settings={"gamma": 0.9}).id
            for run in (scene.run_id, other)
            for name in ("oracle", "oracle", "noisy")
        ]
    assert len(set(ids)) == 4
    assert ids[0] == ids[1]
