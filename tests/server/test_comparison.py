from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import trim_mean

from learner.evaluation.returns import interquartile_mean as learners_iqm
from server.comparison import (
    differing,
    flatten,
    grouped,
    interquartile_mean,
    mean,
    mean_curve,
    profile,
    tasks_of,
    thresholds,
    to_unit,
)


def config(seed: int, members: int = 3, **more: object) -> dict[str, str]:
    return flatten({"seed": seed, "name": f"run-{seed}", "reward": {"members": members}, **more})


def test_a_config_is_flattened_into_words() -> None:
    nested = {"a": 1, "b": {"c": None, "d": {"e": True}}, "f": [], "g": {}, "h": (1, 2), "i": ""}
    assert flatten(nested) == {
        "a": "1", "b.c": "none", "b.d.e": "yes", "f": "–", "g": "–", "h": "1, 2", "i": "–",
    }  # fmt: skip


def test_seeds_of_one_config_are_one_group() -> None:
    configs = {
        "a": config(0),
        "b": config(1),
        "c": config(0, members=1),
        "d": config(2, members=1, device="cpu"),
    }
    assert differing(configs) == ["reward.members", "device"]
    groups = grouped(configs)
    assert [(group.label, group.runs) for group in groups] == [
        ("members 3, device –", ("a", "b")),
        ("members 1, device –", ("c",)),
        ("members 1, device cpu", ("d",)),
    ]


def test_a_group_by_itself_is_called_by_its_runs() -> None:
    (group,) = grouped({"coinrun-2": config(1), "coinrun": config(0)})
    assert group.label == "coinrun"


def test_the_mean_of_curves_is_taken_where_runs_are() -> None:
    band = mean_curve([[(0, 0.0), (100, 10.0)], [(0, 10.0), (50, 10.0)]])
    at = dict(zip(band.steps, band.mean, strict=True))
    assert at[0] == 5.0
    assert at[min(at, key=lambda s: abs(s - 50))] == pytest.approx(7.5, abs=0.1)
    assert at[100] == 10.0  # the second has not come so far
    assert all(
        low <= value <= high
        for low, value, high in zip(band.low, band.mean, band.high, strict=True)
    )
    assert (band.low[0], band.high[0]) == (0.0, 10.0)


def test_one_run_has_no_interval_and_no_run_no_curve() -> None:
    band = mean_curve([[(0, 1.0), (10, 3.0)]])
    assert band.low == band.mean == band.high
    assert mean_curve([]).steps == []
    assert mean_curve([[]]).steps == []
    assert mean_curve([[(5, 2.0)]]).mean == [2.0]


@pytest.mark.parametrize("sizes", [(5,), (3, 4), (10, 10, 10)])
def test_interquartile_means_are_those_of_scipy_and_of_the_learner(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    scores = [rng.normal(size=size).tolist() for size in sizes]
    ours = interquartile_mean(scores)
    theirs = learners_iqm(scores, rng=np.random.default_rng(0))
    assert ours.value == pytest.approx(trim_mean(np.concatenate(scores), 0.25))
    assert (ours.value, ours.n) == (pytest.approx(theirs.value), theirs.n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_tasks_are_resampled_within_themselves() -> None:
    found = mean([[0.0, 0.0, 0.0], [10.0, 10.0, 10.0]])
    assert (found.value, found.low, found.high) == (5.0, 5.0, 5.0)
    mixed = mean([[0.0, 0.0, 0.0, 10.0, 10.0, 10.0]])
    assert mixed.high - mixed.low > 5.0


def test_a_profile_falls_from_all_runs_to_none() -> None:
    scores = [[1.0, 2.0, 3.0, 4.0]]
    taus = thresholds(scores[0])
    shares, low, high = profile(scores, taus)
    assert (shares[0], shares[-1]) == (1.0, 0.0)
    assert shares == sorted(shares, reverse=True)
    assert shares[min(range(len(taus)), key=lambda i: abs(taus[i] - 2.5))] == 0.5
    assert all(a <= b <= c for a, b, c in zip(low, shares, high, strict=True))


def test_equal_scores_can_be_drawn() -> None:
    assert thresholds([2.0, 2.0])[0] < 2.0 < thresholds([2.0])[-1]
    assert profile([[2.0]], [1.0, 3.0])[0] == [1.0, 0.0]


def test_keys_that_end_alike_are_told_whole() -> None:
    configs = {
        "a": flatten({"reward": {"lr": 1}, "agent": {"lr": 1}}),
        "b": flatten({"reward": {"lr": 2}, "agent": {"lr": 2}}),
    }
    assert [group.label for group in grouped(configs)] == [
        "reward.lr 1, agent.lr 1",
        "reward.lr 2, agent.lr 2",
    ]


def test_over_environments_runs_are_grouped_by_how_they_learn() -> None:
    configs = {
        f"{game}-{members}": config(0, members, environment={"id": game})
        for game in ("coinrun", "fruitbot")
        for members in (3, 1)
    }
    assert [group.label for group in grouped(configs)][:2] == [
        "members 3, coinrun",
        "members 1, coinrun",
    ]
    assert [group.runs for group in grouped(configs, within=False)] == [
        ("coinrun-3", "fruitbot-3"),
        ("coinrun-1", "fruitbot-1"),
    ]


def test_a_task_is_the_whole_environment() -> None:
    sections: dict[str, dict[str, Any]] = {
        "few": {"id": "coinrun", "num_levels": 200, "num_envs": 64},
        "many": {"id": "coinrun", "num_levels": 500, "num_envs": 64},
        "wide": {"id": "coinrun", "num_levels": 500, "num_envs": 128},
        "other": {"id": "fruitbot", "num_levels": 200, "num_envs": 64},
    }
    configs = {name: config(0, 3, environment=section) for name, section in sections.items()}
    assert tasks_of(configs) == {
        "few": "coinrun (num_levels 200)",
        "many": "coinrun (num_levels 500)",
        "wide": "coinrun (num_levels 500)",
        "other": "fruitbot",
    }
    assert [group.runs for group in grouped(configs, within=False)] == [
        ("few", "many", "other"),
        ("wide",),  # how many are stepped side by side is a matter of learning
    ]
    assert tasks_of({"a": {"environment": "maze"}}) == {"a": "maze"}


def test_scores_are_put_on_one_scale_within_each_task() -> None:
    tasks = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "y", "f": "z"}
    finals = {"a": 5.0, "b": 10.0, "c": -1.0, "d": 1.0, "e": 0.0, "f": 3.0}
    assert to_unit(finals, tasks) == {"a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0, "e": 0.5}
