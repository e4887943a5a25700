"""Rendering goes on past what cannot be rendered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from learner.control import Control, Stopped
from learner.loop import Progress, TrainingLoop
from learner.records import Workplace
from learner.renderer import render_pending, rendering
from server.models import Checkpoint, Query, QueryState, Segment, Trajectory

Build = Callable[..., dict[str, Any]]

CARTPOLE: dict[str, Any] = {
    "environment": {"id": "CartPole-v1"},
    "agent": {"network": "mlp"},
    "reward": {"network": "mlp"},
}


@pytest.mark.slow
def test_a_recipe_or_episode_that_is_gone_is_set_aside_and_the_rest_is_rendered(
    workplace: Workplace, tiny: Build
) -> None:
    queries = {"min_preferences": 100, "open_target": 3, "initial": 3, "budget": 3}
    name = workplace.create_run(tiny(teacher={"kind": "person"}, queries=queries))
    records = workplace.lease("test", name=name)
    assert records is not None
    control = Control()

    def leave(_: Progress) -> None:
        control.stop("enough")

    with pytest.raises(Stopped, match="enough"):
        TrainingLoop(records, control, leave).run()
    first, *_ = records.segments_without_clip(10)
    with workplace.database.read() as s:
        recipe = s.scalars(
            select(Trajectory.artifact)
            .join(Segment, Segment.trajectory_id == Trajectory.id)
            .where(Segment.id == first)
        ).one()
        showing = s.scalars(select(Checkpoint.showing)).one()
    assert showing is not None
    for artifact in (recipe, showing):
        workplace.artifacts.delete(artifact)

    rendered = 0
    while render_pending(records):
        rendered += 1
        assert rendered < 20, "it tries the same again and again"
    with workplace.database.read() as s:
        states = sorted(state.value for state in s.scalars(select(Query.state)))
        video = s.scalars(select(Checkpoint.video)).one()
    assert states == sorted([QueryState.SET_ASIDE.value, *[QueryState.OPEN.value] * 2])
    assert video == ""


@pytest.mark.slow
def test_it_ends_with_its_run_also_where_sdl_draws(workplace: Workplace, tiny: Build) -> None:
    queries = {"min_preferences": 100, "open_target": 3, "initial": 3, "budget": 3}
    config = tiny(**CARTPOLE, teacher={"kind": "person"}, queries=queries)
    name = workplace.create_run(config)
    records = workplace.lease("test", name=name)
    assert records is not None
    control = Control()

    def leave(_: Progress) -> None:
        control.stop("enough")

    with pytest.raises(Stopped, match="enough"):
        TrainingLoop(records, control, leave).run()
    with rendering(records):
        until = time.monotonic() + 60
        while records.segments_without_clip(1) and time.monotonic() < until:
            time.sleep(0.2)
        assert not records.segments_without_clip(1)
        left = time.monotonic()
    assert time.monotonic() - left < 15
