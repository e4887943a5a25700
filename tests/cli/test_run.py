"""`clipwise run`: to its end, and on from where it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from server.database import Database
from server.models import Metric, Preference, Query, Trajectory
from server.settings import Settings


def stored(settings: Settings) -> dict[str, list[Any]]:
    """What a run left in the database, without times."""
    database = Database(settings.database_url)
    with database.read() as s:
        answers = s.execute(
            select(Preference.answer, Query.iteration, Query.selection)
            .join(Query, Query.id == Preference.query_id)
            .where(Query.trial_id.is_(None))
            .order_by(Preference.id)
        )
        metrics = s.execute(
            select(Metric.name, Metric.step, Metric.value)
            .where(Metric.name.not_like("time/%"), Metric.name.not_like("system/%"))
            .order_by(Metric.name, Metric.step)
        )
        recipes = s.scalars(select(Trajectory.artifact).order_by(Trajectory.id))
        found = {
            "answers": [tuple(row) for row in answers],
            "metrics": [tuple(row) for row in metrics],
            "recipes": list(recipes),
        }
    database.close()
    return found


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    command, make_command, tiny, assert_artifacts_whole
) -> None:
    other_command = make_command("unbroken")
    unbroken = other_command.start("run", tiny)
    killed = command.start("run", tiny)
    command.wait_for(lambda: "640 / 1,280 steps" in command.printed(killed)[0])
    killed.kill()
    killed.wait(20)
    assert "1,280 / 1,280 steps" not in command.printed(killed)[0]
    assert_artifacts_whole()
    done = command.run("run", tiny)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert unbroken.wait(120) == 0
    assert_artifacts_whole()
    whole = stored(other_command.settings)
    assert len(whole["answers"]) == 16
    assert stored(command.settings) == whole

    out, err = other_command.printed(unbroken)
    lines = out.strip().splitlines()
    assert "gym" not in (out + err).lower()
    assert any(line.startswith("1,280 / 1,280 steps") for line in lines)
    assert "true return, unseen levels" in out
    result = json.loads(Path(lines[-1]).read_text())
    assert Path(lines[-1]) == other_command.settings.var / "runs" / "tiny" / "result.json"
    assert (result["run"], result["steps"], result["labels"]) == ("tiny", 1280, 16)
    accuracy = result["figures"]["preference accuracy, unseen levels"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    resumed = json.loads(Path(done.stdout.strip().splitlines()[-1]).read_text())
    assert resumed["figures"] == result["figures"]


@pytest.mark.slow
def test_overrides_change_the_config_and_make_another_run(command, tiny) -> None:
    for name in ("tiny", "tiny-2"):
        changes = ["total_steps=640", "queries.budget=8", "queries.initial=8", f"seed={len(name)}"]
        done = command.run("run", tiny, *changes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(f"runs/{name}/result.json")
    result = json.loads(Path(done.stdout.strip().splitlines()[-1]).read_text())
    assert (result["steps"], result["labels"], result["config"]["seed"]) == (640, 8, 6)
