"""The tables of studies of regressed rewards, and the page they are put into."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.marks import END, begin
from experiments.regression import shown, write_page
from learner.study.loading import load_any_study


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (45056, "45,056"),
        ("plain", "plain"),
        (2.1e-5, "2.1e-05"),
        ({"mean": 0.9541, "low": 0.9, "high": 1.0, "seeds": 5}, "0.954 [0.900, 1.000]"),
        ({"mean": 0.5, "low": 0.5, "high": 0.5, "seeds": 1}, "0.500"),
        ({"mean": None, "low": None, "high": None, "seeds": 0}, "–"),
    ],
)
def test_values_are_shown_with_their_range(value, text):
    assert shown(value) == text


def test_tables_go_between_the_marks_and_what_people_wrote_stays(tmp_path):
    study = load_any_study(Path("experiments/maze.yaml"), ["seeds=2"])
    folder = tmp_path / "maze"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "maze-coin-flip-0-plain-saliency.png").write_bytes(b"picture")
    row = {"model": "plain", "maze": "no goal", "step": "no goal anywhere", "published": 0.954}
    results = {
        "study": study.model_dump(mode="json"),
        "tables": {"maze/coin-flip": {"counterfactuals": [row], "readings": []}},
        "problems": {},
    }
    (folder / "results.json").write_text(json.dumps(results))
    page = tmp_path / "mazes.md"
    page.write_text(f"# Mazes\n\n{begin('regression')}\nold\n{END}\n\nAfter.\n")

    write_page(page, folder)
    write_page(page, folder)

    lines = page.read_text().splitlines()
    assert lines[0] == "# Mazes"
    assert lines[-1] == "After."
    assert "    clipwise study experiments/maze.yaml seeds=2" in lines
    assert "| plain | no goal anywhere | 0.954 |" in lines
    assert "old" not in lines
    assert not [line for line in lines if "readings" in line]
    assert (tmp_path / "maze-maze-coin-flip-0-plain-saliency.png").read_bytes() == b"picture"
