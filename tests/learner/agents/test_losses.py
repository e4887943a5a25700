from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from learner.agents.losses import (
    METRICS,
    Batch,
    Predictions,
    explained_variance,
    normalised,
    objective,
)
from learner.config import AgentConfig


def parts(now: Predictions, batch: Batch, **options: float | None) -> dict[str, float]:
    batch = batch._replace(gains=normalised(batch.gains))
    _, metrics = objective(now, batch, AgentConfig(**options))
    return dict(zip(METRICS, metrics.tolist(), strict=True))


def steps(ratios=(1.0, 1.0), gains=(1.0, -1.0), values=(0.0, 0.0), returns=(0.0, 0.0), old=0.0):
    """Two steps whose probabilities have changed by `ratios` since they were drawn."""
    now = Predictions(torch.tensor(ratios).log(), torch.full((2,), 0.7), torch.tensor(values))
    rollout = Batch(
        torch.zeros(2), torch.full((2,), old), torch.tensor(gains), torch.tensor(returns)
    )
    return now, rollout


def test_an_unchanged_policy_has_no_divergence_and_no_loss():
    found = parts(*steps())
    assert found["train/policy_gradient_loss"] == pytest.approx(0)
    assert found["train/approx_kl"] == 0
    assert found["train/clip_fraction"] == 0


def test_gains_beyond_the_clip_range_are_not_rewarded():
    # the gains 1 and -1, divided by their sample deviation, are +-0.7071
    found = parts(*steps(ratios=(1.5, 1.0)), clip_range=0.2)
    assert found["train/policy_gradient_loss"] == pytest.approx(-0.7071 * (1.2 - 1.0) / 2, abs=1e-4)
    assert found["train/clip_fraction"] == 0.5


def test_losses_beyond_the_clip_range_still_count():
    found = parts(*steps(ratios=(1.0, 1.5)), clip_range=0.2)
    assert found["train/policy_gradient_loss"] == pytest.approx(-0.7071 * (1.0 - 1.5) / 2, abs=1e-4)


def test_divergence_is_schulmans_third_estimator():
    found = parts(*steps(ratios=(2.0, 1.0)))
    assert found["train/approx_kl"] == pytest.approx((1 - math.log(2)) / 2)


def test_the_value_loss_takes_the_larger_error():
    # 1 moves away from the target 0.5 and back into the clip range: errors 0.25 and 0.09
    found = parts(*steps(values=(1.0, 1.0), returns=(0.5, 0.5)), clip_range_vf=0.2)
    assert found["train/value_loss"] == pytest.approx(0.5 * 0.25)
    # towards a far target the clipped one is larger: errors 81 and 96.04
    found = parts(*steps(values=(1.0, 1.0), returns=(10.0, 10.0)), clip_range_vf=0.2)
    assert found["train/value_loss"] == pytest.approx(0.5 * 9.8**2)


def test_values_are_free_without_a_clip_range():
    found = parts(*steps(values=(1.0, 1.0), returns=(10.0, 10.0)), clip_range_vf=None)
    assert found["train/value_loss"] == pytest.approx(0.5 * 81)


def test_the_loss_weighs_its_parts():
    found = parts(*steps(values=(2.0, 2.0)), ent_coef=0.1, vf_coef=0.5, clip_range_vf=None)
    assert found["train/loss"] == pytest.approx(0 - 0.1 * 0.7 + 0.5 * 2)


def test_a_single_step_is_not_normalised_away():
    now = Predictions(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    batch = Batch(torch.zeros(1), torch.zeros(1), torch.full((1,), 3.0), torch.zeros(1))
    assert parts(now, batch)["train/policy_gradient_loss"] == -3


def test_explained_variance_is_one_for_perfect_values_and_zero_for_constant_ones():
    returns = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    assert explained_variance(returns, returns) == 1
    assert explained_variance(np.full_like(returns, 2.5), returns) == 0
    assert explained_variance(-returns, returns) == -3
    assert explained_variance(returns, np.ones_like(returns)) == 0
