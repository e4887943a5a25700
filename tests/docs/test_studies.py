"""The guide to studies: its YAML and its commands are what the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from learner.rankings.snippets import RULES
from learner.study.cells import cells
from learner.study.config import StudyConfig, load_study

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "studies.md").read_text()


def test_variants_of_the_guide_are_accepted():
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)
    study = StudyConfig.model_validate(yaml.safe_load(block))
    names = {cell.variant for cell in cells(study)}
    plain = {"plain", "shuffled", "l1", "absolute"}
    assert names == plain | {"augmented", "spectral", "centred", "adversary"}


def test_studies_of_the_guide_exist_and_every_rule_is_explained():
    named = set(re.findall(r"experiments/study-[a-z-]+\.yaml", GUIDE))
    assert len(named) == 4
    for path in named:
        load_study(ROOT / path)
    for rule in RULES:
        assert f"| `{rule}`" in GUIDE
