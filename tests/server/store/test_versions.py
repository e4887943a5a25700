from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.errors import NotFound
from server.store import versions

if TYPE_CHECKING:
    from conftest import Scene


def keep(
    scene: Scene, iteration: int, artifact: str, kept: bool = False, showing: str = ""
) -> list[str]:
    with scene.write() as s:
        checkpoint, gone = versions.add_checkpoint(
            s,
            run_id=scene.run_id,
            iteration=iteration,
            steps=iteration * 100,
            artifact=artifact,
            kept=kept,
            now=scene.now,
        )
        if showing:
            versions.set_showing(s, checkpoint_id=checkpoint.id, showing=showing)
        return gone


def kept(scene: Scene) -> list[tuple[int, str]]:
    with scene.database.read() as s:
        rows = versions.list_checkpoints(s, run_id=scene.run_id)
        return [(row.iteration, row.artifact) for row in rows]


def test_a_checkpoint_gives_way_to_the_next_unless_it_is_kept(scene: Scene) -> None:
    with scene.database.read() as s:
        assert versions.latest_checkpoint(s, run_id=scene.run_id) is None
    assert keep(scene, 1, "a") == []
    assert keep(scene, 2, "b", kept=True) == ["a"]
    assert keep(scene, 3, "c") == []
    assert keep(scene, 4, "d") == ["c"]
    assert kept(scene) == [(4, "d"), (2, "b")]
    with scene.database.read() as s:
        latest = versions.latest_checkpoint(s, run_id=scene.run_id)
    assert latest is not None
    assert (latest.iteration, latest.steps, latest.artifact) == (4, 400, "d")


def test_an_iteration_repeated_after_a_kill_replaces_its_checkpoint(scene: Scene) -> None:
    keep(scene, 1, "a", kept=True)
    assert keep(scene, 1, "b", kept=True) == ["a"]
    assert kept(scene) == [(1, "b")]


def test_an_artifact_that_a_row_still_names_is_not_given_up(scene: Scene) -> None:
    keep(scene, 1, "same", kept=True)
    keep(scene, 2, "same")
    assert keep(scene, 3, "same") == []
    assert keep(scene, 4, "new") == []


def test_the_newest_kept_checkpoint_gets_its_video_first(scene: Scene) -> None:
    keep(scene, 1, "a", kept=True, showing="ea")
    keep(scene, 2, "b", kept=True, showing="eb")
    keep(scene, 3, "c", kept=True)
    keep(scene, 4, "d", showing="ed")
    order = []
    with scene.write() as s:
        while row := versions.next_without_video(s, run_id=scene.run_id):
            order.append(row.showing)
            versions.set_video(s, checkpoint_id=row.id, video="v")
        with pytest.raises(NotFound):
            versions.set_video(s, checkpoint_id=999, video="v")
    assert order == ["eb", "ea"]


def test_reward_models_are_numbered_per_run(scene: Scene) -> None:
    with scene.write() as s:
        other = scene.add_run(s, "other").id
        for run_id in (scene.run_id, scene.run_id, other):
            versions.add_reward_model(
                s,
                run_id=run_id,
                artifact="m",
                iteration=1,
                steps=100,
                preferences=5,
                last_preference_id=None,
                metrics={"reward_model/loss": 0.5},
                now=scene.now,
            )
        newest, first = versions.list_reward_models(s, run_id=scene.run_id)
        assert (newest.version, first.version) == (2, 1)
        assert newest.metrics == {"reward_model/loss": 0.5}
        assert [row.version for row in versions.list_reward_models(s, run_id=other)] == [1]
