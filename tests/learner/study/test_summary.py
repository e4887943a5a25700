"""The tables of a study: what its rows say of several seeds."""

from __future__ import annotations

from typing import Any

import pytest
import scipy.stats

from learner.study.summary import interval, row

PARTIAL = ("returns", "spearman_given_length")


def seeds(*values: float | None, section: str = "returns") -> list[dict[str, Any]]:
    """Cells with a figure each, and its own interval over demonstrations."""
    key = PARTIAL[1] if section == "returns" else "true_aligned"
    return [
        {"figures": {section: {key: {"value": v, "low": v and v - 0.2, "high": v and v + 0.1}}}}
        for v in values
    ]


def test_the_interval_of_one_seed_is_that_of_its_demonstrations() -> None:
    assert interval(seeds(0.4), PARTIAL) == pytest.approx((0.2, 0.5))
    assert interval(seeds(None, 0.4), PARTIAL) == pytest.approx((0.2, 0.5))
    assert interval(seeds(None), PARTIAL) is None


def test_the_interval_of_several_seeds_is_students_over_their_values() -> None:
    values = [0.1, 0.3, 0.35, 0.05, 0.2]
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(seeds(*values), PARTIAL) == pytest.approx((expected.low, expected.high))
    # Two seeds far apart tell little, however sure each is of itself.
    assert interval(seeds(0.1, 0.5), PARTIAL) == pytest.approx((-1.0, 1.0))
    accuracy = interval(seeds(0.7, 0.95, section="accuracy"), ("accuracy", "true_aligned"))
    assert accuracy == pytest.approx((0.0, 1.0))


def test_a_row_says_how_well_the_labels_were_fitted_and_those_held_out() -> None:
    def fitted(loss: float | None, accuracy: float) -> dict[str, Any]:
        names = ("loss", "loss_heldout", "accuracy", "accuracy_heldout")
        values = (0.3, loss, 0.9, accuracy)
        metrics = {f"reward_model/{n}": v for n, v in zip(names, values, strict=True)}
        return {"figures": {}, "fit": metrics}

    line = row([fitted(0.6, 0.7), fitted(None, 0.8)], "time_aligned", "9", None)
    found = {key: value for key, value in line.items() if key.startswith("fit_")}
    assert found == {
        "fit_loss": pytest.approx(0.3),
        "fit_loss_heldout": pytest.approx(0.6),
        "fit_accuracy": pytest.approx(0.9),
        "fit_accuracy_heldout": pytest.approx(0.75),
    }
    assert row([{"figures": {}}], "baseline: zero", "", None)["fit_loss"] is None


def test_a_row_shows_pearson_beside_spearman() -> None:
    found = {"value": 0.5, "low": 0.4, "high": 0.6}
    figures = {"returns": {"pearson": found, "pearson_given_length": found}}
    line = row([{"figures": figures}], "time_aligned", "9", None)
    assert line["pearson"] == 0.5
    assert line["pearson_given_length_interval"] == (0.4, 0.6)
    assert line["pearson_centred"] is None
