"""Maps of functions whose answer is known, and beside captum's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, Saliency
from torch import Tensor, nn

from learner.saliency.methods import gradient, integrated_gradients, occlusion


def linear(weights: Tensor) -> nn.Module:
    layer = nn.Linear(weights.numel(), 1, bias=False)
    layer.weight.data = weights.reshape(1, -1)
    return nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))


def curved() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 100, 1), nn.Flatten(0)
        )


def picture(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).random(shape, dtype=np.float32))


def test_the_gradient_of_a_linear_reward_is_its_weights() -> None:
    weights = picture(2, 5, 4) - 0.5

    assert gradient(linear(weights), picture(2, 5, 4)) == pytest.approx(weights.numpy())


def test_a_linear_reward_is_added_up_from_weights_times_values() -> None:
    weights, seen = picture(2, 5, 4) - 0.5, picture(2, 5, 4)

    found = integrated_gradients(linear(weights), seen)

    assert found == pytest.approx((weights * seen).numpy(), abs=1e-6)


def test_integrated_gradients_sum_to_the_difference_from_the_baseline() -> None:
    reward, seen, baseline = curved(), picture(3, 12, 12), torch.full((3, 12, 12), 0.3)

    found = integrated_gradients(reward, seen, baseline)

    with torch.no_grad():
        difference = reward(seen[None]) - reward(baseline[None])
    assert found.sum() == pytest.approx(difference.item(), abs=1e-5)


def test_both_gradients_are_those_of_captum() -> None:
    reward, seen = curved(), picture(3, 12, 12)
    asked = seen[None].clone().requires_grad_()

    expected = Saliency(reward).attribute(asked, abs=False)[0].detach().numpy()
    path = IntegratedGradients(reward).attribute(asked, n_steps=32)[0].detach().numpy()

    assert gradient(reward, seen) == pytest.approx(expected, abs=1e-6)
    assert integrated_gradients(reward, seen) == pytest.approx(path, abs=1e-5)


def test_occlusion_finds_the_one_spot_that_is_read() -> None:
    weights = torch.zeros(1, 84, 84)
    weights[0, 60, 20] = 1.0
    seen = torch.zeros(1, 84, 84)
    seen[0, 60, 20] = 1.0

    found = occlusion(linear(weights), seen)

    assert found.shape == (84, 84)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(row - 60) <= 3
    assert abs(column - 20) <= 3
    # A single bright pixel all but vanishes under a blur of 3 pixels: half of almost one squared.
    assert 0.3 < found.max() <= 0.5
    assert found[:30].max() < 1e-6


def test_hiding_what_is_uniform_changes_nothing() -> None:
    assert occlusion(curved(), torch.full((3, 12, 12), 0.5)).max() < 1e-9


def test_frames_of_a_stack_are_hidden_together() -> None:
    """The difference of two equal frames is 0 under every patch."""
    weights = torch.ones(2, 40, 40)
    weights[1] = -1.0
    frame = picture(1, 40, 40)

    assert occlusion(linear(weights), torch.cat([frame, frame])).max() < 1e-6
