"""The results page of studies: the command it names runs the study that was run."""

from __future__ import annotations

import shlex
from pathlib import Path

from experiments.generalisation import command
from learner.study.config import load_study

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
