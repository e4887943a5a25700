from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from learner.checkpoints import Checkpoint
from learner.config import parse_config
from learner.control import Control
from learner.loop import TrainingLoop
from learner.replay import Replay
from learner.rewards.packing import unpack
from learner.study import assessment
from learner.study.assessment import assess, record_unseen


@pytest.fixture
def trained(workplace, tiny_maze):
    """A run of a maze with a reward model and kept checkpoints."""
    records = workplace.lease("test", name=workplace.create_run(tiny_maze))
    TrainingLoop(records, Control()).run()
    values, contents = workplace.kept_checkpoints(records.name)
    config = parse_config(values)
    model = unpack(workplace.reward_model(records.name)[1])
    return config, [Checkpoint.from_bytes(content) for content in contents], model


@pytest.fixture
def tiny_maze():
    return parse_config(
        {
            "total_steps": 4 * 8 * 40,
            "threads": 1,
            "precision": "float32",
            "environment": {
                "id": "maze/random-goal",
                "num_envs": 8,
                "options": {"size": 4, "terminating": False},
            },
            "agent": {"network": "mlp", "n_steps": 40, "batch_size": 160, "n_epochs": 1},
            "segments": {"length": 10},
            "reward": {"network": "mlp", "hidden": [8], "initial_epochs": 2, "epochs": 1},
            "queries": {"budget": 16, "initial": 6, "candidates": 3},
            "teacher": {"kind": "synthetic"},
            "evaluation": {"episodes": 2, "interim_episodes": 2, "every": 2, "video_seconds": 1},
        }
    ).model_dump(mode="json")


def test_a_run_is_judged_on_unseen_levels_beside_its_baselines(trained):
    config, checkpoints, model = trained
    assert len(checkpoints) >= 2
    bank = record_unseen(config, checkpoints, 12, lambda _: None)
    assert [one.level for one in bank.entries] == [1_000_000 + n for n in range(12)]
    assert len({one.checkpoint for one in bank.entries}) > 1
    results = assess(config, checkpoints, model, 12, lambda _: None)
    rows = {one["name"]: one for one in results["table"]}
    assert rows["baseline: true"]["true"] == 1.0
    assert rows["baseline: zero"]["true"] == 0.5
    assert 0 <= rows["reward model"]["true"] <= 1
    assert rows["sign-flipped"]["true"] == pytest.approx(1 - rows["reward model"]["true"])
    assert results["sets"]["true_aligned"]["clock"] == 0.5
    assert np.isfinite(results["agent"]["test"]["value"])
    assert results["figures"]["baseline: length"]["returns"]["spearman"]["n"] == 12


def test_what_episodes_show_is_held_in_memory_one_at_a_time(trained, monkeypatch):
    """A quarter of a megabyte a step, so that copies are not overlooked."""
    config, checkpoints, _ = trained
    shown = {}

    def replay(trajectory):
        first = trajectory.level % 251
        shown[trajectory.level] = first
        seen = np.full((trajectory.steps, 512, 512), first, np.uint8)
        return Replay(seen, trajectory.rewards, trajectory.ends)

    monkeypatch.setattr(assessment, "replay", replay)
    tracemalloc.start()
    bank = record_unseen(config, checkpoints, 6, lambda _: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bank.observations.nbytes == bank.offsets[-1] << 18
    # One episode and, for a moment, its bytes or the one before it.
    assert peak < 2 * (int(bank.lengths.max()) << 18) + (4 << 20)
    assert peak < 0.7 * bank.observations.nbytes
    for index, entry in enumerate(bank.entries):
        part = bank.observations[bank.steps(index)]
        assert (part.min(), part.max()) == (shown[entry.level], shown[entry.level])
