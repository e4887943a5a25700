from __future__ import annotations

import json
import re
import shutil

import pytest

from learner.study.folder import StudyError, StudyFolder
from learner.study.report import write_report
from learner.study.stages import run_stages
from learner.study.tasks import plan_tasks


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


def test_a_folder_is_one_studys(finished, tmp_path, tiny):
    study, _, _ = finished
    StudyFolder(tmp_path).claim(study.model_dump(mode="json"))
    with pytest.raises(StudyError, match=r"another reward\.hidden"):
        StudyFolder(tmp_path).claim(tiny(reward={"hidden": [8]}).model_dump(mode="json"))


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
    assert name in write_report(results, StudyFolder(copy)).read_text()
