"""What accuracy is drawn against: all labels given, however few a fit looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.models import Answer, Query
from server.store import labels, versions, worth
from server.store.labellers import exclude
from server.store.preferences import record_known

if TYPE_CHECKING:
    from conftest import Scene

FIGURES = {"reward_model/accuracy_heldout": 0.8, "reward_model/decided_heldout": 30}


def fit(scene: Scene, seen: int, last: int | None) -> None:
    with scene.write() as s:
        versions.add_reward_model(
            s,
            run_id=scene.run_id,
            artifact="0" * 64,
            iteration=1,
            steps=1000,
            preferences=seen,
            last_preference_id=last,
            metrics=FIGURES,
            now=scene.now,
        )


def drawn(scene: Scene) -> list[int]:
    with scene.database.read() as s:
        return [one.labels for one in worth.fits(s, run_id=scene.run_id)]


def test_labels_beyond_the_buffer_count(scene: Scene) -> None:
    ada, ben = scene.person("Ada"), scene.person("Ben")
    scene.ask(9)
    stored = [scene.submit(scene.next(ada)[0], key=f"answer-{n:03}") for n in range(4)]
    fit(scene, 2, stored[-1].id)  # a buffer of two
    scene.undo(ada, "undo-0001", stored[-1].id)
    more = [scene.submit(scene.next(ben)[0], key=f"more-{n:03}") for n in range(3)]
    fit(scene, 2, more[-1].id)
    assert drawn(scene) == [4, 6]
    with scene.write() as s:
        exclude(s, run_id=scene.run_id, person_id=ben, by_id=None, excluded=True, now=scene.now)
    assert drawn(scene) == [4, 3]
    with scene.database.read() as s:
        assert labels.count_labels(s, run_id=scene.run_id) == 3


def test_a_ranking_is_drawn_by_what_follows_from_it(scene: Scene) -> None:
    for query_id in scene.ask(2):
        with scene.write() as s:
            query = s.get_one(Query, query_id)
            known = {"query": query, "settings": {}, "answer": Answer.A, "now": scene.now}
            last = record_known(s, kind="ranking", **known).id
    fit(scene, 2, last)
    fit(scene, 2, None)
    assert drawn(scene) == [2, 2]
