"""The quick count of labels is the count that fits see, whatever happened meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.models import Answer, Preference, Query
from server.store import labels
from server.store.labellers import exclude
from server.store.preferences import given, record_known


def both(scene: Any) -> tuple[int, int]:
    with scene.database.read() as s:
        slow = select(func.count()).where(Preference.run_id == scene.run_id, given())
        return labels.count_labels(s, run_id=scene.run_id), s.scalar(slow) or 0


@pytest.mark.parametrize("fresh", [0, 3, 200])
def test_it_counts_what_counts(scene: Any, monkeypatch: pytest.MonkeyPatch, fresh: int) -> None:
    monkeypatch.setattr(labels, "_FRESH", fresh)
    people = [scene.person(name) for name in ("Ann", "Bob")]
    scene.ask(8)
    for turn in range(4):
        for person in people:
            stored = scene.submit(scene.next(person)[0], key=f"{turn}-{person}")
            if turn == 2:
                scene.undo(person, f"undo-{person}", stored.id)
        assert len(set(both(scene))) == 1
    assert both(scene) == (6, 6)
    with scene.write() as s:
        change = {"run_id": scene.run_id, "person_id": people[0], "by_id": None, "now": scene.now}
        exclude(s, excluded=True, **change)
    assert both(scene) == (3, 3)
    with scene.write() as s:
        exclude(s, excluded=False, **change)
    assert both(scene) == (6, 6)


@pytest.mark.parametrize(
    ("kind", "counted"), [("synthetic", 3), ("demonstration", 0), ("ranking", 0)]
)
def test_answers_that_follow_without_asking_use_up_no_labels(
    scene: Any, kind: Any, counted: int
) -> None:
    for query_id in scene.ask(3):
        with scene.write() as s:
            query = s.get_one(Query, query_id)
            record_known(s, query=query, kind=kind, settings={}, answer=Answer.A, now=scene.now)
    assert both(scene) == (counted, counted)
    assert scene.progress(scene.person("Ann")).left == 1000 - counted


def test_what_is_rolled_back_was_never_counted(scene: Any) -> None:
    person = scene.person("Ann")
    scene.ask(2)
    scene.submit(scene.next(person)[0])

    with pytest.raises(InterruptedError), scene.write() as s:
        _add_another(s, scene.run_id)
    assert both(scene) == (1, 1)


def _add_another(s: Session, run_id: int) -> None:
    """Add a row, count, and fail before it is stored."""
    row = s.scalars(select(Preference)).one()
    names = [column.name for column in Preference.__table__.columns if column.name != "id"]
    s.add(Preference(**{name: getattr(row, name) for name in names} | {"submission_key": "other"}))
    s.flush()
    assert labels.count_labels(s, run_id=run_id) == 2
    raise InterruptedError
