from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.errors import Invalid
from server.models import Answer, Query, QueryState
from server.store import queries

if TYPE_CHECKING:
    from conftest import Scene


def test_counts_say_how_the_queue_stands(scene: Scene) -> None:
    scene.ask(4)
    with scene.write() as s:
        scene.ask_one(s, clip=None)
        aside = scene.ask_one(s)
        s.get_one(Query, aside).state = QueryState.SET_ASIDE
    person = scene.person("ada")
    first, second, third = scene.next(person, count=3)
    scene.submit(first, "tie")
    scene.submit(second, "incomparable")
    scene.undo(person, "u")
    scene.submit(third, "tie")
    counts = scene.counts()
    assert counts == queries.QueueCounts(
        pending=1,
        open=2,
        begun=0,
        owed=0,
        leased=1,
        answered=2,
        set_aside=1,
        labels={Answer.TIE: 2},
    )
    assert counts.total_labels == 2
    scene.later(121)
    assert scene.counts().leased == 0


def test_a_query_needs_two_segments_of_its_run(scene: Scene) -> None:
    with scene.write() as s:
        mine, other_run = scene.segment(s), scene.add_run(s, "other").id
        theirs = scene.segment(s)
        for run_id, b in ((scene.run_id, mine), (other_run, theirs), (scene.run_id, 999)):
            with pytest.raises(Invalid, match="two different segments"):
                queries.add_query(
                    s,
                    run_id=run_id,
                    segment_a_id=mine,
                    segment_b_id=b,
                    iteration=0,
                    now=scene.now,
                )
