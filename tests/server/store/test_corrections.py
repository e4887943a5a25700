from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Strength
from server.store import corrections, labelling

if TYPE_CHECKING:
    from conftest import Scene


def correct(scene: Scene, person: int, row: int, side: Any, key: str, **more: Any) -> Preference:
    with scene.write() as s:
        return corrections.correct(
            s,
            preference_id=row,
            person_id=person,
            side=side,
            seconds=1.0,
            submission_key=key,
            now=scene.now,
            **more,
        )


def history(scene: Scene, person: int) -> list[tuple[int, Answer]]:
    with scene.database.read() as s:
        rows = labelling.own_answers(s, run_id=scene.run_id, person_id=person, limit=50)
        return [(row.id, row.answer) for row in rows]


def test_strength_flag_and_comment_are_stored_as_given(scene: Scene) -> None:
    scene.rule(strengths=True)
    scene.ask(2)
    weak, flagged = scene.next(scene.person("ada"), count=2)
    stored = scene.submit(weak, "left", strength=Strength.BETTER)
    assert (stored.strength, stored.flagged, stored.comment) == (Strength.BETTER, False, "")
    comment = "<b>\u202ealles</b>; DROP TABLE 'x'"
    stored = scene.submit(flagged, "tie", comment=comment)
    assert (stored.strength, stored.flagged, stored.comment) == (None, True, comment)


@pytest.mark.parametrize(
    ("side", "more"),
    [
        ("tie", {"strength": Strength.BETTER}),
        ("left", {"comment": "x" * 2001}),
        ("left", {"comment": "a\0b"}),
    ],
)
def test_what_cannot_be_said_is_refused(scene: Scene, side: Any, more: dict[str, Any]) -> None:
    scene.rule(strengths=True)
    scene.ask()
    with pytest.raises(Invalid):
        scene.submit(scene.next(scene.person("ada"))[0], side, **more)
    assert scene.total(Preference) == 0


def test_a_retry_must_say_the_same(scene: Scene) -> None:
    scene.rule(strengths=True)
    scene.ask()
    (pair,) = scene.next(scene.person("ada"))
    scene.submit(pair, "left", key="k", strength=Strength.MUCH_BETTER)
    with pytest.raises(Conflict, match="submission key"):
        scene.submit(pair, "left", key="k", strength=Strength.BETTER)


def test_a_strength_that_the_run_does_not_ask_for_is_refused(scene: Scene) -> None:
    scene.ask()
    ada = scene.person("ada")
    (pair,) = scene.next(ada)
    with pytest.raises(Conflict, match="this run asks for no strength"):
        scene.submit(pair, "left", strength=Strength.BETTER)
    row = scene.submit(pair, "left").id
    with pytest.raises(Conflict, match="this run asks for no strength"):
        correct(scene, ada, row, "right", "c", strength=Strength.BETTER)
    assert scene.total(Preference) == 1


def test_a_correction_is_a_new_row_that_replaces(scene: Scene) -> None:
    scene.ask(2)
    ada = scene.person("ada")
    first, second = (scene.submit(pair, "left") for pair in scene.next(ada, count=2))
    fixed = correct(scene, ada, first.id, "right", "c1", comment="slipped")
    assert fixed.replaces_id == first.id
    assert {first.answer, fixed.answer} == {Answer.A, Answer.B}
    assert (fixed.a_on_left, fixed.assignment_id) == (first.a_on_left, first.assignment_id)
    assert (scene.total(Preference), scene.counts().total_labels) == (3, 2)
    assert history(scene, ada) == [(fixed.id, fixed.answer), (second.id, second.answer)]
    assert correct(scene, ada, first.id, "right", "c1", comment="slipped").id == fixed.id
    again = correct(scene, ada, fixed.id, "tie", "c2")
    assert history(scene, ada)[0] == (again.id, Answer.TIE)


def test_only_what_stands_and_is_ones_own_can_be_corrected(scene: Scene) -> None:
    scene.ask(2)
    ada, eve = scene.person("ada"), scene.person("eve")
    (pair,) = scene.next(ada)
    row = scene.submit(pair, "left").id
    with pytest.raises(Forbidden):
        correct(scene, eve, row, "right", "k")
    with pytest.raises(NotFound):
        correct(scene, ada, 999, "right", "k")
    with pytest.raises(Conflict, match="submission key"):
        correct(scene, ada, row, "right", f"{pair.id}-{scene.now.timestamp()}")
    fixed = correct(scene, ada, row, "right", "fix")
    with pytest.raises(Conflict, match="corrected"):
        correct(scene, ada, row, "tie", "again")
    with pytest.raises(Conflict, match="submission key"):
        correct(scene, ada, fixed.id, "tie", "fix")
    scene.undo(ada, "u", preference_id=fixed.id)
    with pytest.raises(Conflict, match="taken back"):
        correct(scene, ada, fixed.id, "tie", "late")
    assert scene.counts().total_labels == 0
