from __future__ import annotations

import copy as copies
import json
import multiprocessing
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from learner.study.agents import agent_tasks, train_agent
from learner.study.folder import StudyError, StudyFolder
from learner.study.plan import plan_tasks
from learner.study.report import write_report
from learner.study.stages import run_stages, run_study
from learner.study.summary import table


def run(study, root):
    said: list[str] = []
    return run_stages(study, root, said.append), said


def test_a_study_runs_from_demonstrations_to_a_report_of_one_page(finished):
    _, root, results = finished
    assert results.problems == {}
    assert len(results.cells) == 2 * 2 + 1
    page = (root / "report.html").read_text()
    for shown in ("maze/coin-flip", "paper_atari", "baseline: length", "sign-flipped", "shuffled"):
        assert shown in page
    assert page.count("data:image/png;base64,") >= 6
    assert "http" not in page.replace("http://www.w3.org", "")
    # Wide tables scroll by keys as well, and say what they are.
    assert page.count('<div class="scroll" tabindex="0" role="region" aria-label=') == 2


def test_every_figure_is_there_for_machines_with_its_baselines(finished):
    _, root, _ = finished
    results = json.loads((root / "results.json").read_text())
    table = results["table"]["maze/coin-flip"]
    rows = {(row["name"], row["demonstrations"]): row for row in table}
    true = rows["baseline: true", ""]
    assert (true["true"], true["spearman"]) == (1.0, pytest.approx(1.0))
    assert rows["baseline: zero", ""]["true"] == 0.5
    assert rows["baseline: clock", ""]["rho_t"] == pytest.approx(1.0)
    plain, turned = rows["time_aligned", "20"], rows["time_aligned, sign-flipped", "20"]
    assert turned["true"] == pytest.approx(1 - plain["true"])
    assert turned["spearman_given_length"] == pytest.approx(-plain["spearman_given_length"])
    low, high = plain["spearman_given_length_interval"]
    assert turned["spearman_given_length_interval"] == pytest.approx([-high, -low])
    sets = results["baselines"]["maze/coin-flip"]["sets"]
    assert sets["true_aligned"]["clock"] == 0.5


def test_demonstrations_can_be_watched_strong_to_weak_in_both_views(finished):
    _, root, _ = finished
    page = (root / "gallery-maze-coin-flip.html").read_text()
    assert page.count('src="data:video/mp4;base64,') == 2 * 3
    returns = [float(one) for one in re.findall(r"return <strong>([-\d.]+)", page)]
    assert returns == sorted(returns, reverse=True)
    assert 'href="gallery-maze-coin-flip.html"' in (root / "report.html").read_text()


def test_sets_that_a_clock_wins_are_marked(finished):
    _, root, results = finished
    sets = results.baselines["maze/coin-flip"]["sets"]
    assert sets["paper_atari"]["clock"] > 0.9
    assert "no evidence of learning" in sets["paper_atari"]["warning"]
    assert sets["true_aligned"]["warning"] == ""
    assert sets["paper_atari"]["warning"] in (root / "report.html").read_text()


def test_what_is_finished_is_never_run_again_and_what_is_missing_is(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    folder = StudyFolder(copy)
    cells = [task for task in plan_tasks(study) if task.stage == "reward models"]
    lost, kept = cells[0].marker(folder), cells[1].marker(folder)
    before, kept_at = json.loads(lost.read_text()), kept.stat().st_mtime_ns
    lost.unlink()
    _, said = run(study, copy)
    assert [line for line in said if "finished" in line and line.startswith("[")] == [
        line for line in said if cells[0].name in line
    ]
    assert kept.stat().st_mtime_ns == kept_at
    after = json.loads(lost.read_text())
    assert after["figures"] == before["figures"]


STAGES_BEGUN = {
    "experts": "experts/*/000000000512.pt",
    "demonstrations": "demonstrations/*/train/00007.npz",
    "reward models": "cells/*-0008-0.pt",
    "agents": "agents/*-plus_one-0.json",
}


@pytest.mark.slow
def test_a_study_that_is_killed_in_every_stage_goes_on_to_the_same_figures(finished, tmp_path):
    study, root, _ = finished
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["learner.study.stages"])
    for stage, pattern in STAGES_BEGUN.items():
        child = context.Process(target=run_study, args=(study, tmp_path, str))
        child.start()
        while not list(tmp_path.glob(pattern)):
            assert child.is_alive(), stage
            child.join(0.005)
        child.kill()
        child.join()
        assert not (tmp_path / "results.json").exists(), stage
    run_study(study, tmp_path, str)
    resumed, unbroken = (
        json.loads((folder / "results.json").read_text()) for folder in (tmp_path, root)
    )
    assert resumed["problems"] == {}
    for key in ("baselines", "agents", "table"):
        assert resumed[key] == unbroken[key]
    assert [one["figures"] for one in resumed["cells"]] == [
        one["figures"] for one in unbroken["cells"]
    ]


def test_an_agent_that_was_killed_goes_on_to_the_same_scores(finished, tmp_path, tiny):
    _, root, _ = finished
    scores = []
    for place, killed in (("unbroken", False), ("resumed", True)):
        copy = tmp_path / place
        shutil.copytree(root, copy)
        ppo = {"network": "mlp", "n_steps": 8, "batch_size": 64}
        study = tiny(agents={"total_steps": 12 * 64, "agent": ppo, "constant": "centred"})
        task = agent_tasks(study)[0]
        folder = StudyFolder(copy)
        folder.agent(task.name).unlink()
        if killed:
            with pytest.raises(Killed):
                train_agent(study, folder, task, die)
            assert folder.agent(task.name).with_suffix(".pt").exists()
        train_agent(study, folder, task, str)
        scores.append(json.loads(folder.agent(task.name).read_text()))
    assert scores[0] == scores[1]


def test_agents_can_be_paid_the_constant_that_whole_demonstrations_speak_for(
    finished, tmp_path, tiny
):
    _, root, results = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    study, folder = tiny(agents={"constant": "ranked"}), StudyFolder(copy)
    (task, *_) = agent_tasks(study)
    (cell,) = results.of("maze/coin-flip", rule="time_aligned", count=20)
    kept = folder.cell(task.cell.name).with_suffix(".npz")
    with np.load(kept) as arrays:
        changed = {**arrays, "constant": np.array(0.25)}
    np.savez(kept, **changed)
    folder.agent(task.name).unlink()
    train_agent(study, folder, task, str)
    assert folder.agent(task.name).exists()
    np.savez(kept, **{name: one for name, one in changed.items() if name != "constant"})
    with pytest.raises(StudyError, match="speaks for no constant"):
        train_agent(study, folder, task, str)
    assert cell["figures"]["returns"].get("spearman_ranked", {"n": 12})["n"] == 12


def die(_):
    raise Killed


class Killed(BaseException):
    """As a signal would: raised out of whatever is under way."""


def test_a_folder_is_one_studys(finished, tmp_path, tiny):
    study, _, _ = finished
    StudyFolder(tmp_path).claim(study.model_dump(mode="json"))
    with pytest.raises(StudyError, match=r"another reward\.hidden"):
        StudyFolder(tmp_path).claim(tiny(reward={"hidden": [8]}).model_dump(mode="json"))


def test_a_study_begun_before_a_key_was_added_goes_on(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    kept = json.loads((copy / "config.json").read_text())
    del kept["sharing"], kept["agents"]["constant"]
    (copy / "config.json").write_text(json.dumps(kept))
    results, said = run(study, copy)
    assert results.problems == {}
    assert not [line for line in said if line.startswith("[")]


def test_a_cell_that_cannot_be_made_is_reported_and_the_rest_goes_on(finished, tmp_path, tiny):
    _, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    (copy / "config.json").unlink()
    broken = {"name": "broken", "snippets": {"min_length": 50}}
    study = tiny(sweep={"variants": [broken, {"name": "wide", "reward": {"hidden": [32]}}]})
    results, _ = run(study, copy)
    ((name, problem),) = results.problems.items()
    assert name == "maze-coin-flip-time_aligned-0020-0-broken"
    assert "min_length is larger" in problem
    assert len(results.of("maze/coin-flip", variant="wide")) == 1
    # Shuffled labels are a control whatever variants are named.
    assert "time_aligned, shuffled" in [one["name"] for one in table(results, "maze/coin-flip")]
    assert name in write_report(results, StudyFolder(copy)).read_text()


def test_what_is_damaged_is_named_and_the_rest_is_reported(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    damaged = copy / "cells" / "maze-coin-flip-paper_atari-0008-0.json"
    damaged.write_text(damaged.read_text()[:100])
    results, _ = run(study, copy)
    assert list(results.problems) == [damaged.stem]
    assert f"{damaged} is damaged; remove it" in results.problems[damaged.stem]
    assert len(results.cells) == 4
    assert damaged.stem in write_report(results, StudyFolder(copy)).read_text()


def test_predictions_that_are_cut_short_are_named(finished, tmp_path):
    study, root, results = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    damaged = copy / "cells" / "maze-coin-flip-time_aligned-0020-0.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(StudyError, match=f"{damaged} is damaged; remove"):
        write_report(results, StudyFolder(copy))
    task = next(one for one in agent_tasks(study) if one.cell)
    with pytest.raises(StudyError, match=f"{damaged} is damaged; remove"):
        train_agent(study, StudyFolder(copy), task, str)


def test_demonstrations_shorter_than_a_snippet_are_listed(finished, tmp_path, tiny):
    _, root, results = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    cells = copies.deepcopy(results.cells)
    cells[0]["snippets"]["shorter_than_a_snippet"] = [3, 11]
    longer = tiny(snippets={"min_length": 1000, "max_length": 1000})
    changed = replace(results, cells=cells, study=longer)
    page = write_report(changed, StudyFolder(copy)).read_text()
    assert "train demonstrations shorter than a snippet, taken whole: 3, 11<" in page
    numbers = ", ".join(str(number) for number in range(12))
    assert f"test demonstrations shorter than a snippet, taken whole: {numbers}<" in page
    assert "taken whole" not in (root / "report.html").read_text()
