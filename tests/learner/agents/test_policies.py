from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy

from learner.agents.features import SpaceError
from learner.agents.policies import forward, log_prob_and_entropy, make_policy, sample
from learner.config import AgentConfig

IMAGES = spaces.Box(0, 255, (64, 64, 3), np.uint8)
VECTORS = spaces.Box(-1, 1, (3,))
MLP = AgentConfig(network="mlp", hidden=(8,))


def policy_of(actions: spaces.Space, config: AgentConfig = MLP) -> ActorCriticPolicy:
    observations = VECTORS if config.network == "mlp" else IMAGES
    return make_policy(observations, actions, config, seed=0)


def frames(count: int) -> torch.Tensor:
    shape = (count, 64, 64, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.mark.parametrize("network", ["impala-small", "impala", "nature"])
def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone(network):
    config = AgentConfig(network=network)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = make_policy(IMAGES, spaces.Discrete(15), config, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = make_policy(IMAGES, spaces.Discrete(15), config, seed=3)
    third = make_policy(IMAGES, spaces.Discrete(15), config, seed=4)
    weights = [torch.cat([p.flatten() for p in x.parameters()]) for x in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("network", ["impala-small", "nature"])
def test_the_untrained_policy_is_nearly_uniform(network):
    policy = policy_of(spaces.Discrete(15), AgentConfig(network=network))
    with torch.no_grad():
        outputs, _ = forward(policy, frames(32), precision="float32")
    _, entropy = log_prob_and_entropy(policy, outputs, torch.zeros(32))
    assert entropy.mean() == pytest.approx(np.log(15), abs=0.01)


def test_convolutions_are_channels_last_and_still_those_of_the_optimiser():
    policy = policy_of(spaces.Discrete(15), AgentConfig())
    weight = policy.features_extractor.body[2].first.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert any(weight is p for group in policy.optimizer.param_groups for p in group["params"])


def test_adam_has_the_configured_epsilon_and_rate():
    policy = policy_of(
        spaces.Discrete(2), AgentConfig(network="mlp", adam_eps=1e-3, learning_rate=0.01)
    )
    assert policy.optimizer.defaults["eps"] == 1e-3
    assert policy.optimizer.defaults["lr"] == 0.01


def test_bfloat16_stays_close_to_float32():
    policy = policy_of(spaces.Discrete(15), AgentConfig())
    with torch.no_grad():
        policy.action_net.weight *= 100  # a trained policy's logits differ by whole units
        exact, values = forward(policy, frames(16), precision="float32")
        rough, rough_values = forward(policy, frames(16), precision="bfloat16")
    assert rough.dtype == rough_values.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(rough_values, values, atol=0.05, rtol=0.05)


def test_log_probabilities_and_entropies_are_sb3s():
    outputs = torch.randn(20, 5, generator=torch.manual_seed(0))
    discrete = policy_of(spaces.Discrete(5))
    actions = torch.arange(20) % 5
    theirs = CategoricalDistribution(5).proba_distribution(outputs)
    log_prob, entropy = log_prob_and_entropy(discrete, outputs, actions)
    torch.testing.assert_close(log_prob, theirs.log_prob(actions))
    torch.testing.assert_close(entropy, theirs.entropy())

    gaussian = policy_of(spaces.Box(-1, 1, (5,)))
    gaussian.log_std.data = torch.linspace(-1, 1, 5)
    taken = outputs + 0.5
    normal = DiagGaussianDistribution(5).proba_distribution(outputs, gaussian.log_std)
    log_prob, entropy = log_prob_and_entropy(gaussian, outputs, taken)
    torch.testing.assert_close(log_prob, normal.log_prob(taken))
    torch.testing.assert_close(entropy, normal.entropy())


def test_discrete_samples_follow_the_softmax():
    probabilities = torch.tensor([0.1, 0.6, 0.3])
    outputs = probabilities.log().repeat(20_000, 1)
    drawn = sample(policy_of(spaces.Discrete(3)), outputs, torch.manual_seed(0))
    shares = torch.bincount(drawn, minlength=3) / 20_000
    torch.testing.assert_close(shares, probabilities, atol=0.015, rtol=0)


def test_gaussian_samples_have_the_policys_mean_and_deviation():
    policy = policy_of(spaces.Box(-1, 1, (2,)))
    policy.log_std.data = torch.tensor([0.5, 2.0]).log()
    with torch.no_grad():
        outputs = torch.tensor([3.0, -1.0]).repeat(20_000, 1)
        drawn = sample(policy, outputs, torch.manual_seed(0))
    torch.testing.assert_close(drawn.mean(dim=0), torch.tensor([3.0, -1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(dim=0), torch.tensor([0.5, 2.0]), atol=0.05, rtol=0)


def test_without_a_generator_the_likeliest_action_is_taken():
    outputs = torch.tensor([[0.0, 2.0, 1.0]])
    assert sample(policy_of(spaces.Discrete(3)), outputs, None).tolist() == [1]
    assert torch.equal(sample(policy_of(spaces.Box(-1, 1, (3,))), outputs, None), outputs)


@pytest.mark.parametrize(
    "space", [spaces.MultiBinary(3), spaces.Discrete(3, start=1), spaces.Box(-1, 1, (2, 2))]
)
def test_other_action_spaces_are_refused_in_one_line(space):
    with pytest.raises(SpaceError, match="actions must be Discrete from 0 or a Box"):
        policy_of(space)


def test_a_saved_policy_is_stock_sb3_to_others(tmp_path):
    policy = policy_of(spaces.Discrete(15), AgentConfig())
    policy.save(tmp_path / "policy.pt")
    loaded = ActorCriticPolicy.load(tmp_path / "policy.pt")
    batch = frames(4)
    with torch.no_grad():
        outputs, _ = forward(policy, batch, precision="float32")
    actions, _ = loaded.predict(batch.numpy(), deterministic=True)
    assert actions.tolist() == outputs.argmax(dim=1).tolist()
