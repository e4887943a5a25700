"""The page on regressed rewards: its YAML and its commands are what the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from learner.study.loading import load_any_study
from learner.study.regression.config import RegressionConfig
from learner.study.regression.plan import STAGES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "regressed-rewards.md").read_text()


def test_variants_of_the_page_are_accepted():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    study = RegressionConfig.model_validate({"kind": "regression", **yaml.safe_load(block)})
    assert [one.name for one in study.every_variant()] == ["plain", "masked", "natural"]


def test_commands_of_the_page_load_and_every_stage_is_explained():
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for line in block.splitlines():
        _, command, path, *rest = shlex.split(line, comments=True)
        assert command == "study"
        if "--stage" in rest:
            assert rest.pop() in STAGES
            rest.pop()
        assert load_any_study(ROOT / path, rest).kind == "regression"
    assert re.findall(r"^\| (\w+) \|", PAGE, re.M) == ["stage", *STAGES]
