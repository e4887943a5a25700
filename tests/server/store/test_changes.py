from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.errors import Conflict, Invalid
from server.models import Change, Run, RunState
from server.rules import STRATEGIES, STRATEGY_WORDS
from server.store import changes

if TYPE_CHECKING:
    from conftest import Scene


def change(scene: Scene, budget: int | None = None, strategy: Any = None) -> Change | None:
    with scene.write() as s:
        run = s.get_one(Run, scene.run_id)
        return changes.change(
            s, run=run, label_budget=budget, strategy=strategy, person_id=None, now=scene.now
        )


def test_a_change_is_kept_and_people_go_by_the_new_budget_at_once(scene: Scene) -> None:
    row = change(scene, 50, "entropy")
    assert row is not None
    assert changes.told(row) == "label budget 50, strategy entropy"
    with scene.write() as s:
        run = s.get_one(Run, scene.run_id)
        assert run.label_budget == 50
        assert changes.strategy_of(s, run=run) == "entropy"
        changes.taken_up(s, ids=[row.id], iteration=7, now=scene.now)
        changes.taken_up(s, ids=[row.id], iteration=8, now=scene.now)
    with scene.database.read() as s:
        (stored,) = changes.list_changes(s, run_id=scene.run_id)
        assert stored.iteration == 7


def test_what_is_as_it_was_is_no_change(scene: Scene) -> None:
    assert change(scene, 1000, "disagreement") is None
    row = change(scene, 1000, "bald")
    assert row is not None
    assert (row.label_budget, row.strategy) == (None, "bald")


@pytest.mark.parametrize(
    ("budget", "strategy"), [(0, None), (-5, None), (10_000_001, None), (None, "guess")]
)
def test_what_cannot_be_is_refused(scene: Scene, budget: int | None, strategy: Any) -> None:
    with pytest.raises(Invalid, match="must be"):
        change(scene, budget, strategy)


def test_a_strategy_that_the_rest_of_the_config_forbids_is_refused(scene: Scene) -> None:
    with scene.write() as s:
        run = s.get_one(Run, scene.run_id)
        run.config = {**run.config, "queries": {"strategy": "uniform", "uniform_share": 0.0}}
    with pytest.raises(Conflict, match="uniform_share is 0"):
        change(scene, 50, "entropy")
    with scene.database.read() as s:
        assert s.get_one(Run, scene.run_id).label_budget == 1000  # all of it or nothing
    assert change(scene, 50, "uniform") is not None


def test_every_strategy_has_its_words() -> None:
    assert tuple(STRATEGY_WORDS) == STRATEGIES


def test_a_run_that_asks_nothing_or_has_ended_takes_no_change(scene: Scene) -> None:
    with scene.write() as s:
        run = s.get_one(Run, scene.run_id)
        run.config = {**run.config, "agent": {"reward": "true"}}
    with pytest.raises(Conflict, match="asks nothing"):
        change(scene, 50)
    with scene.write() as s:
        run = s.get_one(Run, scene.run_id)
        run.config, run.state = {"name": "maze"}, RunState.FINISHED
    with pytest.raises(Conflict, match="finished"):
        change(scene, 50)
