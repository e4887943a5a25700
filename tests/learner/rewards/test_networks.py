from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
import torch

from learner.config import RewardConfig
from learner.rewards.networks import Inputs, RewardNetwork, UnsuitableSpace

Config = Callable[..., RewardConfig]
DISCRETE = gym.spaces.Discrete(5)


def box(*shape: int) -> gym.spaces.Box:
    return gym.spaces.Box(0, 255, shape, np.uint8)


def build(space: gym.Space, config: RewardConfig, actions: gym.Space = DISCRETE) -> RewardNetwork:
    return RewardNetwork(Inputs(space, actions, config.use_action), config)


def test_christianos_network_has_the_papers_layers(config: Config) -> None:
    network = build(box(84, 84, 4), config(network="christiano", batch_norm=True, dropout=0.5))

    convolutions = [m for m in network.features if isinstance(m, torch.nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0], c.out_channels) for c in convolutions] == [
        (7, 3, 16),
        (5, 2, 16),
        (3, 1, 16),
        (3, 1, 16),
    ]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.features) == 4
    assert sum(isinstance(m, torch.nn.Dropout2d) for m in network.features) == 4
    assert [m.out_features for m in network.head if isinstance(m, torch.nn.Linear)] == [64, 1]


def test_leaky_relu_has_the_papers_slope(config: Config) -> None:
    leaky = next(m for m in build(box(64, 64, 3), config(network="christiano")).features[1:2])

    assert leaky(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.01, 2.0])


@pytest.mark.parametrize("name", ["christiano", "nature", "impala"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (84, 84, 4)])
def test_every_image_network_gives_one_number_per_frame(
    config: Config, name: str, shape: tuple[int, int, int]
) -> None:
    made = config(network=name, use_action=True)
    inputs = Inputs(box(*shape), DISCRETE, True)

    seen = inputs(torch.zeros(2, *shape, dtype=torch.uint8), torch.tensor([0, 4]))

    assert RewardNetwork(inputs, made)(*seen).shape == (2,)


def test_images_are_scaled_to_0_1_and_lie_in_memory_as_channels_last() -> None:
    inputs = Inputs(box(8, 9, 3), DISCRETE, False)
    frames = torch.randint(0, 256, (2, 8, 9, 3), dtype=torch.uint8)
    frames[0, 0, 0] = torch.tensor([0, 51, 255], dtype=torch.uint8)

    scaled, _ = inputs(frames, None)

    assert scaled.shape == (2, 3, 8, 9)
    assert scaled[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert scaled.is_contiguous(memory_format=torch.channels_last)


def test_vectors_are_standardised_and_constant_features_are_left_alone() -> None:
    inputs = Inputs(gym.spaces.Box(-1, 1, (2,), np.float32), DISCRETE, False)
    inputs.standardise(np.array([[1.0, 7.0], [3.0, 7.0]]))

    scaled, _ = inputs(torch.tensor([[1.0, 7.0], [3.0, 8.0]]), None)

    assert scaled.tolist() == [[-1.0, 0.0], [1.0, 1.0]]


def test_discrete_observations_and_actions_are_one_hot_from_their_own_start() -> None:
    inputs = Inputs(gym.spaces.Discrete(3), gym.spaces.Discrete(2, start=1), True)

    seen, done = inputs(torch.tensor([2, 0]), torch.tensor([1, 2]))

    assert seen.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert done.tolist() == [[1, 0], [0, 1]]


def test_continuous_actions_reach_the_network(config: Config) -> None:
    made = config(use_action=True)
    inputs = Inputs(gym.spaces.Box(-1, 1, (2,), np.float32), gym.spaces.Box(-1, 1, (3,)), True)
    network = RewardNetwork(inputs, made)
    still = torch.zeros(1, 2)

    first, second = (network(*inputs(still, torch.full((1, 3), value))) for value in (0.0, 1.0))

    assert first.item() != second.item()


@pytest.mark.parametrize(
    ("space", "network", "words"),
    [
        (gym.spaces.Box(-1, 1, (3,), np.float32), "christiano", "set reward.network=mlp"),
        (gym.spaces.Box(0, 1, (64, 64, 3), np.float32), "impala", "set reward.network=mlp"),
        (box(20, 20, 3), "christiano", "too small"),
        (gym.spaces.Dict(), "mlp", "Box or Discrete"),
    ],
)
def test_what_a_network_cannot_take_is_refused_in_one_line(
    config: Config, space: gym.Space, network: str, words: str
) -> None:
    with pytest.raises(UnsuitableSpace, match=words) as refusal:
        build(space, config(network=network))
    assert "\n" not in str(refusal.value)


def test_an_action_space_matters_only_where_actions_are_read(config: Config) -> None:
    odd = gym.spaces.MultiDiscrete([2, 3])
    vectors = gym.spaces.Box(-1, 1, (3,), np.float32)

    build(vectors, config(), odd)
    with pytest.raises(UnsuitableSpace, match="action space"):
        build(vectors, config(use_action=True), odd)


def test_an_absolute_output_is_never_negative_and_spectral_norm_bounds_every_layer():
    plain = small_network(absolute_output=False)
    assert plain(*random_inputs()).min().item() < 0
    assert small_network(absolute_output=True)(*random_inputs()).min().item() >= 0
    bound = small_network(spectral_norm=True).train()
    for _ in range(30):  # power iteration
        bound(*random_inputs())
    for layer in bound.eval().head:
        if isinstance(layer, torch.nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.05)


def small_network(**changes):
    torch.manual_seed(3)
    space = gym.spaces.Box(-1, 1, (4,), np.float32)
    config = RewardConfig(network="mlp", hidden=(8,), dropout=0.0, **changes)
    return RewardNetwork(Inputs(space, gym.spaces.Discrete(2), False), config)


def random_inputs():
    return torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(64, 0)
