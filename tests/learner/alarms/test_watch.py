"""No alarm at any time of three runs that went well; planted faults: ../test_vigil.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learner.alarms.history import NEWEST, History
from learner.alarms.watch import NAMES, alarms

HEALTHY = sorted((Path(__file__).parent / "healthy").glob("*.json"))


def as_of(run: dict[str, Any], step: int) -> History:
    """What was known of a run after a step."""
    curves = {
        name: [(at, value) for at, value in points if at <= step][-NEWEST:]
        for name, points in run["curves"].items()
    }
    return History(curves, members=run["members"], target_std=run["target_std"])


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
def test_healthy_runs_raise_none_at_any_iteration(path: Path) -> None:
    run = json.loads(path.read_text())
    steps = [step for step, _ in run["curves"]["preferences/total"]]
    raised = {
        (alarm.kind, step): alarm.text for step in steps for alarm in alarms(as_of(run, step))
    }
    assert len(steps) >= 20
    assert raised == {}


def test_there_are_three_of_them_and_they_have_what_alarms_look_at() -> None:
    assert len(HEALTHY) >= 3
    for path in HEALTHY:
        known = set(json.loads(path.read_text())["curves"])
        missing = {name for name in NAMES if not name.startswith(("system/", "preferences/alpha"))}
        assert missing <= known


def test_a_run_without_figures_raises_none() -> None:
    assert alarms(History({})) == []
