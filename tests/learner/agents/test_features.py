from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import NatureCNN

from learner.agents.features import ImpalaFeatures, NatureFeatures, SpaceError, VectorFeatures


def images(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


def parameters(module: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())


def test_impala_has_the_published_size():
    """Cobbe 2020's network: 626,256 parameters with 15 actions and the value, from arithmetic."""
    depths = [(3, 16), (16, 32), (32, 32)]
    convolutions = sum(9 * i * o + o + 4 * (9 * o * o + o) for i, o in depths)
    dense = 32 * 8 * 8 * 256 + 256
    assert parameters(ImpalaFeatures(images(64, 64, 3))) == convolutions + dense


def test_nature_has_the_published_size():
    assert parameters(NatureFeatures(images(84, 84, 4))) == parameters(NatureCNN(images(4, 84, 84)))


@pytest.mark.parametrize("network", [ImpalaFeatures, NatureFeatures])
@pytest.mark.parametrize("shape", [(64, 64, 3), (84, 84, 4)])
def test_layout_of_images_makes_no_difference(network, shape):
    height, width, channels = shape
    last = network(images(height, width, channels))
    first = network(images(channels, height, width))
    first.load_state_dict(last.state_dict())
    batch = noise(5, height, width, channels)
    with torch.no_grad():
        expected = last(batch)
        torch.testing.assert_close(first(batch.permute(0, 3, 1, 2).contiguous()), expected)
        # SB3's policies hand over floats in [0, 1]
        torch.testing.assert_close(last(batch.float() / 255), expected)
    assert expected.shape == (5, last.features_dim)


def test_uint8_observations_are_left_as_they_were():
    batch = noise(2, 64, 64, 3)
    before = batch.clone()
    ImpalaFeatures(images(64, 64, 3), channels=(8, 16, 16))(batch)
    assert torch.equal(batch, before)


def test_impala_sees_every_part_of_the_image():
    network = ImpalaFeatures(images(64, 64, 3), channels=(8, 16, 16))
    batch = (noise(1, 64, 64, 3).float() / 255).requires_grad_()
    network(batch).sum().backward()
    assert (batch.grad.abs().sum(dim=(0, 3)) > 0).float().mean() > 0.9


@pytest.mark.parametrize("network", [ImpalaFeatures, NatureFeatures])
def test_image_networks_refuse_vectors_in_one_line(network):
    with pytest.raises(SpaceError, match=r"needs uint8 images.*set agent\.network=mlp"):
        network(spaces.Box(-1, 1, (4,)))


def test_nature_refuses_images_that_its_kernels_swallow():
    with pytest.raises(SpaceError, match="at least 36x36"):
        NatureFeatures(images(16, 16, 3))


def test_vectors_refuse_spaces_that_are_not_boxes():
    with pytest.raises(SpaceError, match="images or vectors"):
        VectorFeatures(spaces.Dict(a=spaces.Discrete(2)))


def test_vectors_pass_as_they_are_without_normalisation():
    network = VectorFeatures(spaces.Box(-1, 1, (2, 3)))
    batch = torch.arange(12.0).reshape(2, 2, 3)
    network.update(batch)
    assert torch.equal(network(batch), batch.reshape(2, 6))


def test_normalised_vectors_have_mean_zero_and_deviation_one():
    rng = np.random.default_rng(0)
    data = torch.from_numpy(rng.normal([5, -3], [2, 0.1], (1000, 2)).astype(np.float32))
    network = VectorFeatures(spaces.Box(-np.inf, np.inf, (2,)), normalize=True)
    for part in data.split([1, 300, 699]):
        network.update(part)
    result = network(data)
    torch.testing.assert_close(result.mean(dim=0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(result.std(dim=0, correction=0), torch.ones(2), atol=1e-3, rtol=0)


def test_outliers_are_clipped_at_ten_deviations():
    network = VectorFeatures(spaces.Box(-np.inf, np.inf, (1,)), normalize=True)
    network.update(torch.tensor([[-1.0], [1.0]]))
    assert network(torch.tensor([[1e9], [-1e9]])).flatten().tolist() == [10.0, -10.0]


def test_normalisation_travels_with_the_weights():
    space = spaces.Box(-np.inf, np.inf, (1,))
    network, copy = VectorFeatures(space, normalize=True), VectorFeatures(space, normalize=True)
    network.update(torch.tensor([[3.0], [7.0]]))
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy(torch.tensor([[6.0]])), network(torch.tensor([[6.0]])))


def test_images_in_an_mlp_are_scaled():
    network = VectorFeatures(images(8, 8, 3))
    batch = torch.full((1, 8, 8, 3), 51, dtype=torch.uint8)
    assert network(batch).unique().tolist() == pytest.approx([0.2])
