from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from learner.rewards.loss import label_entropy_bound, preference_loss, teacher_noise


def loss(difference: float, target: float, floor: float = 0.1) -> float:
    losses = preference_loss(
        torch.tensor([difference], dtype=torch.float64),
        torch.tensor([target], dtype=torch.float64),
        torch.tensor([floor], dtype=torch.float64),
    )
    return losses.item()


@pytest.mark.parametrize("difference", [-3.0, 0.0, 0.5, 8.0])
@pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 1.0])
def test_it_is_the_cross_entropy_under_the_papers_formula(difference: float, target: float) -> None:
    chance = 0.9 / (1 + math.exp(-difference)) + 0.05

    expected = -(target * math.log(chance) + (1 - target) * math.log(1 - chance))
    assert loss(difference, target) == pytest.approx(expected)


def test_a_pair_costs_at_most_minus_log_of_5_percent() -> None:
    assert loss(-1e6, 1.0) == pytest.approx(-math.log(0.05))
    assert loss(1e6, 1.0) == pytest.approx(-math.log(0.95))


def test_without_a_floor_a_wrong_pair_costs_its_margin() -> None:
    assert loss(-500.0, 1.0, floor=1e-9) < 30  # even a tiny floor bounds it
    assert loss(-10.0, 1.0, floor=1e-30) == pytest.approx(10.0, abs=1e-3)


def test_equal_segments_cost_ln_2_whatever_the_answer() -> None:
    for target in (0.0, 0.5, 1.0):
        assert loss(0.0, target) == pytest.approx(math.log(2))


def test_gradients_stay_finite_and_vanish_on_hopeless_pairs() -> None:
    difference = torch.tensor([-1e4, -30.0, 0.0, 1e4], requires_grad=True)

    preference_loss(difference, torch.ones(4), torch.full((4,), 0.1)).sum().backward()

    assert difference.grad is not None
    assert torch.isfinite(difference.grad).all()
    assert abs(difference.grad[1].item()) < 1e-9
    assert difference.grad[2].item() == pytest.approx(-0.45)  # 0.9 x 0.25 / 0.5


def test_the_bound_is_the_tie_share_times_ln_2() -> None:
    assert label_entropy_bound(np.array([1.0, 0.0, 0.5, 0.5])) == pytest.approx(0.5 * math.log(2))
    assert label_entropy_bound(np.array([])) == 0.0


def test_noise_is_learned_per_teacher() -> None:
    rng = np.random.default_rng(0)
    certain = np.full(2000, 0.98)
    careful = np.where(rng.random(2000) < 0.98, certain, 1 - certain)
    tossing = np.where(rng.random(2000) < 0.2, 1 - careful, careful)  # floor 0.4

    noise = teacher_noise(
        np.concatenate([careful, tossing]),
        np.repeat([0, 1], 2000),
        np.array([0.1, 0.1]),
        prior=0.1,
    )

    assert noise[0] < 0.03
    assert noise[1] == pytest.approx(0.4, abs=0.05)


def test_who_means_the_opposite_is_read_the_other_way_round() -> None:
    assert loss(2.0, 1.0, floor=1.8) == pytest.approx(loss(-2.0, 1.0, floor=0.2))
    assert loss(2.0, 1.0, floor=1.0) == pytest.approx(math.log(2))  # a coin says nothing

    rng = np.random.default_rng(0)
    chosen = np.where(rng.random(900) < np.repeat([0.95, 0.9, 0.1], 300), 0.95, 0.05)
    noise = teacher_noise(chosen, np.repeat([0, 1, 2], 300), np.full(3, 0.1), prior=0.1)
    assert 1 - noise[2] / 2 < 0.2
    assert noise[0] < noise[1] < 0.3


def test_a_teacher_alone_is_never_read_the_other_way_round() -> None:
    noise = teacher_noise(np.full(900, 0.05), np.zeros(900, int), np.array([0.1]), prior=0.1)

    assert noise[0] == pytest.approx(0.9)


def test_a_teacher_of_few_answers_keeps_the_configured_floor() -> None:
    noise = teacher_noise(np.array([0.01]), np.array([0]), np.array([0.1]), prior=0.1)

    assert 0.1 <= noise[0] < 0.3  # one wrong answer of eleven, ten of them imagined


def test_an_ignorant_model_teaches_nothing_about_teachers() -> None:
    noise = teacher_noise(np.full(500, 0.5), np.zeros(500, int), np.array([0.1]), prior=0.1)

    assert noise[0] == pytest.approx(0.1)
