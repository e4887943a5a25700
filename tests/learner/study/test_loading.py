from __future__ import annotations

from pathlib import Path

import pytest

from learner.study.config import StudyConfig
from learner.study.loading import load_any_study
from learner.study.regression.config import RegressionConfig
from learner.yaml_file import ConfigError


def study(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_study_is_of_the_kind_that_it_names_and_else_of_rankings(tmp_path):
    path = study(tmp_path, "name: some\n")
    assert type(load_any_study(path)) is StudyConfig
    found = load_any_study(path, ["kind=regression", "model.hidden=[8]"])
    assert type(found) is RegressionConfig
    assert found.model.hidden == (8,)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["agents.constant=ranked"],
            r"agents\.squash: sigmoid .* agents\.constant: ranked would",
        ),
        (
            [
                "sweep.variants=[{name: even, centred_per_step: true}]",
                "agents.variants=[even]",
            ],
            r"agents\.squash: sigmoid .* centred_per_step of sweep\.variants even would be ignored",
        ),
    ],
)
def test_what_a_sigmoid_would_leave_out_is_refused_in_one_line(tmp_path, overrides, told):
    path = study(tmp_path, "name: some\n")
    assert load_any_study(path, overrides).agents.squash == "none"
    assert load_any_study(path, ["agents.squash=sigmoid"]).agents.constant == "centred"
    with pytest.raises(ConfigError, match=told) as error:
        load_any_study(path, ["agents.squash=sigmoid", *overrides])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("kind=rankins", "kind is 'rankins'; studies are of the kinds rankings, regression"),
        ("sweep.seeds=2", "unknown key sweep"),
        ("agents.paid=[{model: maskd}]", r"names the model 'maskd', variants are .*'plain'"),
        ("transitions.train=1", "greater than or equal to 10"),
    ],
)
def test_a_slip_is_told_in_one_line(tmp_path, override, told):
    path = study(tmp_path, "kind: regression\n")
    with pytest.raises(ConfigError, match=told) as error:
        load_any_study(path, [override])
    assert "\n" not in str(error.value)
