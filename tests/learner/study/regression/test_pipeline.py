"""From a policy to the report: whole, stage by stage, gone on with, and in Atari."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from learner.study.folder import CHECKSUMS, StudyError, StudyFolder
from learner.study.regression.config import RegressionConfig
from learner.study.regression.plan import STAGES, plan_tasks
from learner.study.stages import run_stages, run_study


def test_one_call_goes_from_policies_to_a_page_that_needs_nothing_beside_it(finished):
    study, root, results = finished
    assert results.problems == {}
    assert all(task.finished(StudyFolder(root)) for task in plan_tasks(study))
    page = (root / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 + 2  # of one model; curves of two mazes
    for shown in ("goals on every second cell", "-1.489", "maze/two-goals", "plain"):
        assert shown in page
    assert "http" not in page


def test_every_figure_is_a_mean_with_its_range_over_seeds(finished):
    _, root, _ = finished
    results = json.loads((root / "results.json").read_text())
    found = results["tables"]["maze/coin-flip"]
    (no_goal,) = [row for row in found["counterfactuals"] if row["maze"] == "no goal"]
    values = [
        one["models"]["plain"]["counterfactuals"][1]["predicted"] for one in results["figures"]
    ]
    assert no_goal["predicted"]["mean"] == pytest.approx(sum(values) / 2)
    assert (no_goal["predicted"]["low"], no_goal["predicted"]["high"]) == (min(values), max(values))
    assert no_goal["published"] == 0.954
    assert [(row["trained in"], row["paid"]) for row in found["agents"]] == [
        (place, paid)
        for place in ("maze/coin-flip", "maze/two-goals")
        for paid in ("true", "plain")
    ]


def test_checksums_name_every_artifact_as_sha256sum_reads_them(finished):
    _, root, _ = finished
    listed = dict(
        reversed(line.split("  ", 1)) for line in (root / CHECKSUMS).read_text().splitlines()
    )
    for place in ("results.json", "models/maze-coin-flip-1-plain.pt", "config.json"):
        assert listed[place] == hashlib.sha256((root / place).read_bytes()).hexdigest()
    kept = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert {path for path in kept if not path.startswith("compute/")} == {CHECKSUMS, *listed}


def test_a_stage_runs_alone_where_those_before_it_are_finished(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    shutil.rmtree(copy / "figures")
    shutil.rmtree(copy / "agents")
    before = {path.name: path.stat().st_mtime_ns for path in (copy / "models").iterdir()}

    results = run_study(study, copy, str, ["figures"])

    assert results.problems == {}
    assert len(results.figures) == 2
    assert results.agents == []
    assert (copy / "report.html").exists()
    assert before == {path.name: path.stat().st_mtime_ns for path in (copy / "models").iterdir()}
    unbroken = json.loads((root / "results.json").read_text())
    assert json.loads((copy / "results.json").read_text())["figures"] == unbroken["figures"]


def test_a_stage_alone_says_what_it_lacks(maze_study, tmp_path):
    results = run_stages(maze_study(seeds=1), tmp_path, str, ["models"])

    (problem,) = results.problems.values()
    assert problem == "transitions-maze-coin-flip-0-newest-natural-train did not finish"


def test_a_stage_that_there_is_not_is_refused(maze_study, tmp_path):
    with pytest.raises(StudyError, match=rf"no stage 'model'; it has {', '.join(STAGES)}"):
        run_stages(maze_study(), tmp_path, str, ["model"])


def test_what_is_lost_is_made_again_as_it_was(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    lost = [
        "models/maze-coin-flip-0-plain.json",
        "agents/maze-coin-flip-0-in-maze-two-goals-plain.json",
    ]
    for place in lost:
        (copy / place).unlink()

    run_study(study, copy, str)

    for place in lost:
        made, first = (json.loads((base / place).read_text()) for base in (copy, root))
        assert {**made, "seconds": 0} == {**first, "seconds": 0}


def test_a_damaged_artifact_is_named(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    transitions = copy / "transitions" / "maze-coin-flip-0-newest-natural-train.npz"
    transitions.write_bytes(transitions.read_bytes()[:500])
    (copy / "models" / "maze-coin-flip-0-plain.json").unlink()

    results = run_stages(study, copy, str)

    assert f"{transitions} is damaged" in results.problems["model-maze-coin-flip-0-plain"]


@pytest.mark.slow
def test_atari_runs_from_balanced_transitions_to_masked_predictions_and_agents(tmp_path):
    pytest.importorskip("ale_py")
    ppo = {
        "network": "nature",
        "n_steps": 32,
        "batch_size": 64,
        "n_epochs": 1,
        "clip_rewards": True,
    }
    study = RegressionConfig.model_validate(
        {
            "kind": "regression",
            "games": ["ALE/Seaquest-v5"],
            "seeds": 1,
            "precision": "float32",
            "threads": 1,
            "environment": {"num_envs": 2, "frame_stack": 4, "options": {"mask": []}},
            "experts": {"total_steps": 64, "checkpoints": 2, "agent": ppo},
            "transitions": {"train": 10, "test": 10, "balanced": True, "side_by_side": 4},
            "model": {"network": "nature", "reads": "after", "epochs": 1},
            "variants": [{"name": "masked", "masked": True}],
            "stream": 80,
            "agents": {
                "total_steps": 64,
                "episodes": 1,
                "paid": [{"model": "masked", "threshold": 0.5}],
                "agent": ppo,
            },
            "executor": {"kind": "inline"},
        }
    )

    results = run_study(study, tmp_path, str)

    assert results.problems == {}
    found = results.as_dict()["tables"]["ALE/Seaquest-v5"]
    assert [row["rewarded"]["mean"] for row in found["models"]] == [0.5, 0.5]
    asked = [(row["model"], row["policy"], row["score"]) for row in found["readings"]]
    assert ("plain", "trained", True) in asked
    assert ("plain", "trained", False) in asked
    assert ("masked", "trained", True) not in asked  # it has never seen a score
    assert [row["paid"] for row in found["agents"]] == ["masked-over-0.5"]
    pictures = {path.name for path in (tmp_path / "figures").glob("*.png")}
    assert {
        f"ale-seaquest-v5-0-{model}-{kind}.png"
        for model in ("plain", "masked")
        for kind in ("predictions", "saliency")
    } == pictures
