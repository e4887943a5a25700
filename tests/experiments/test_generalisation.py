"""The results page of studies: the command it names runs the study that was run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from experiments import generalisation
from experiments.generalisation import command, keep, tables
from learner.study.config import load_study
from learner.study.summary import row

SMOKE = Path("experiments/study-smoke.yaml")


def test_a_study_as_its_file_says_needs_no_more_than_the_file():
    config = load_study(SMOKE, ["executor.workers=7", "threads=3"]).model_dump(mode="json")
    assert command(config) == f"clipwise study {SMOKE}"


def test_what_was_set_otherwise_is_in_the_command_and_makes_the_same_study():
    changes = ["sharing=null", "sweep.counts=[12]", "agents.constant=ranked", "sweep.variants=[]"]
    study = load_study(SMOKE, changes)
    words = shlex.split(command(study.model_dump(mode="json")))
    assert sorted(words[3:]) == sorted(changes)
    assert load_study(SMOKE, words[3:]) == study


def test_how_well_labels_were_fitted_is_kept_and_shown_where_it_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(generalisation, "KEPT", tmp_path / "kept")
    fitted = row([{"figures": {}, "fit": {"reward_model/accuracy_heldout": 0.71}}], "x", "9", None)
    shown = [{"true_return": 1.0, "length": 3}]
    results = {
        "study": load_study(SMOKE).model_dump(mode="json"),
        "table": {"fruitbot": [fitted]},
        "agents": [],
        "problems": {},
        "baselines": {"fruitbot": {"demonstrations": shown}},
        "cells": [],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    kept = json.loads(keep(tmp_path).read_text())
    lines = tables([kept])
    (heads,) = [line for line in lines if line.startswith("| rule")]
    (cells,) = [line for line in lines if line.startswith("| x")]
    assert heads == "| rule | demos | fit held out |"
    assert cells == "| x | 9 | 0.71 |"
