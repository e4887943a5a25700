from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from learner.agents.cloning import Demonstration, DemonstrationError, clone
from learner.agents.ppo import PPOAgent, make_agent
from learner.config import parse_config
from learner.devices import Compute
from learner.errors import Diverged


def balance(observations: np.ndarray) -> np.ndarray:
    """Push to where the pole falls: keeps CartPole up for hundreds of steps."""
    return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)


def steps_survived(env, act) -> float:
    """Mean length of the first episodes of all environments, at most 200 steps."""
    env.reset()
    alive = np.ones(env.num_envs, bool)
    lengths = np.zeros(env.num_envs)
    for _ in range(200):
        _, _, ends, _ = env.step(act(env.observe()))
        lengths += alive
        alive &= ~ends
    return float(lengths.mean())


@pytest.fixture
def demonstrations(cartpoles) -> list[Demonstration]:
    env = cartpoles(8, limit=1000)
    observations, actions = [], []
    for _ in range(150):
        observations.append(env.observe())
        actions.append(balance(observations[-1]))
        env.step(actions[-1])
    pairs = zip(np.stack(observations, axis=1), np.stack(actions, axis=1), strict=True)
    return [Demonstration(*pair) for pair in pairs]


@pytest.fixture
def agent(cartpoles) -> PPOAgent:
    config = parse_config(
        {
            "environment": {"id": "CartPole-v1", "num_envs": 16},
            "agent": {"network": "mlp", "hidden": [32], "n_steps": 32, "batch_size": 64},
            "segments": {"length": 8},
        }
    )
    return make_agent(config, cartpoles(16, limit=1000), Compute("cpu", "float32", 1))


def test_the_clone_balances_as_its_teacher_does(agent, demonstrations):
    def act(observations):
        return agent.act(observations, deterministic=True)

    untrained = steps_survived(agent.env, act)
    metrics = clone(agent, demonstrations, np.random.default_rng(0), learning_rate=0.01)
    assert untrained < 60
    assert steps_survived(agent.env, act) > 150
    assert metrics["cloning/loss_heldout"] < 0.3 < np.log(2)
    assert metrics["cloning/loss_train"] < 0.3


def test_ppo_goes_on_from_the_clone(agent, demonstrations):
    clone(agent, demonstrations, np.random.default_rng(0), epochs=2)
    rollout = agent.collect(0, capture=False)
    metrics = agent.improve(rollout, rollout.true_rewards)
    assert metrics["train/n_updates"] == agent._config.n_epochs
    assert abs(metrics["train/approx_kl"]) < 0.1


def test_values_are_left_alone(agent, demonstrations):
    before = agent.policy.value_net.weight.clone()
    action_weights = agent.policy.action_net.weight.clone()
    clone(agent, demonstrations, np.random.default_rng(0), epochs=1)
    assert torch.equal(agent.policy.value_net.weight, before)
    assert not torch.equal(agent.policy.action_net.weight, action_weights)


def test_training_stops_where_held_out_demonstrations_get_worse(agent):
    """Random actions cannot be learned: the best held-out loss comes early and is kept."""
    rng = np.random.default_rng(0)
    noise = [
        Demonstration(rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 2, 20))
        for _ in range(5)
    ]
    metrics = clone(agent, noise, rng, epochs=200, learning_rate=0.01)
    assert metrics["cloning/epochs"] < 100
    assert metrics["cloning/loss_heldout"] == pytest.approx(np.log(2), abs=0.1)


def test_a_single_demonstration_is_trained_on_whole(agent, demonstrations):
    metrics = clone(agent, demonstrations[:1], np.random.default_rng(0), learning_rate=0.01)
    assert metrics["cloning/epochs"] == 50
    assert metrics["cloning/loss_train"] < 0.3
    assert "cloning/loss_heldout" not in metrics


def test_continuous_actions_are_met_and_their_deviation_kept(agent):
    env = agent.env
    env.action_space = spaces.Box(-2, 2, (1,))
    config = parse_config(
        {
            "environment": {"id": "CartPole-v1", "num_envs": 16},
            "agent": {
                "network": "mlp",
                "n_steps": 32,
                "batch_size": 64,
                "normalize_observations": True,
            },
            "segments": {"length": 8},
        }
    )
    agent = make_agent(config, env, Compute("cpu", "float32", 1))
    rng = np.random.default_rng(0)
    observations = rng.normal(100, 20, (4, 200, 4)).astype(np.float32)
    actions = (observations[..., :1] - 100) / 40
    demonstrations = [Demonstration(*pair) for pair in zip(observations, actions, strict=True)]
    clone(agent, demonstrations, rng)
    assert torch.equal(agent.policy.log_std, torch.zeros(1))
    guess = agent.act(observations[0], deterministic=True)
    assert np.abs(guess - np.clip(actions[0], -2, 2)).mean() < 0.1


def test_equal_generators_give_equal_clones(agent, demonstrations):
    state = agent.policy.state_dict()
    state = {key: value.clone() for key, value in state.items()}
    results = []
    for _ in range(2):
        agent.policy.load_state_dict(state)
        clone(agent, demonstrations, np.random.default_rng(5), epochs=2)
        results.append(agent.policy.action_net.weight.clone())
    assert torch.equal(*results)


def test_what_cannot_be_cloned_is_refused_in_one_line(agent, demonstrations):
    rng = np.random.default_rng(0)
    with pytest.raises(DemonstrationError, match="no demonstrations to clone"):
        clone(agent, [], rng)
    foreign = Demonstration(np.zeros((5, 3), np.float32), np.zeros(5, np.int64))
    with pytest.raises(DemonstrationError, match=r"demonstration 1 has observations \(3,\)"):
        clone(agent, [demonstrations[0], foreign], rng)
    broken = Demonstration(np.full((5, 4), np.nan, np.float32), np.zeros(5, np.int64))
    with pytest.raises(Diverged, match="the loss of cloning is nan"):
        clone(agent, [broken], rng)
