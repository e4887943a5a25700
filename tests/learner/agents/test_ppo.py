from __future__ import annotations

import io
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from learner.agents.acting import agent_for_acting
from learner.agents.ppo import AgentStateError, PPOAgent, make_agent
from learner.config import RunConfig, parse_config
from learner.devices import Compute
from learner.envs.registry import make
from learner.errors import Diverged, LearnerError

ONE_THREAD = Compute("cpu", "float32", 1)


def config_of(num_envs: int = 4, *, seed: int = 0, **agent: Any) -> RunConfig:
    defaults = {
        "network": "mlp",
        "hidden": [16],
        "n_steps": 32,
        "batch_size": 32,
        "gamma": 0.98,
        "learning_rate": 1e-3,
    }
    return parse_config(
        {
            "seed": seed,
            "total_steps": 1000,
            "segments": {"length": 8},
            "environment": {"id": "CartPole-v1", "num_envs": num_envs},
            "agent": defaults | agent,
        }
    )


def iterate(agent: PPOAgent, iterations: int) -> dict[str, float]:
    """Train on rewards that depend on the observations alone."""
    metrics: dict[str, float] = {}
    for iteration in range(iterations):
        rollout = agent.collect(iteration, capture=False)
        observations = rollout.observations.reshape(rollout.steps, rollout.num_envs, -1)
        metrics = agent.improve(rollout, observations.mean(axis=2, dtype=np.float32))
    return metrics


def weights(agent: PPOAgent) -> torch.Tensor:
    return torch.cat([p.detach().float().flatten() for p in agent.policy.state_dict().values()])


def passed_through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As a checkpoint is: without pickled code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_metrics_have_sb3s_names(cartpoles):
    metrics = iterate(make_agent(config_of(), cartpoles(), ONE_THREAD), 2)
    assert metrics.keys() >= {
        "train/approx_kl", "train/clip_fraction", "train/entropy_loss", "train/loss",
        "train/explained_variance", "train/value_loss", "train/policy_gradient_loss",
        "train/learning_rate", "train/n_updates", "rollout/ep_rew_mean", "rollout/ep_len_mean",
    }  # fmt: skip
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["rollout/ep_rew_mean"] == metrics["rollout/ep_len_mean"]  # CartPole pays 1


def test_one_minibatch_has_the_gradient_of_sb3s_losses(cartpoles):
    """One full-batch step without clipping of values equals SB3's with half its value weight."""
    env = cartpoles()
    config = config_of(batch_size=128, n_epochs=1, clip_range_vf=None, reward_scale="fixed")
    agent = make_agent(config, env, ONE_THREAD)
    stock = PPO(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 4),
        n_steps=32, batch_size=128, n_epochs=1, gamma=0.98, gae_lambda=0.95, ent_coef=0.01,
        vf_coef=0.25, learning_rate=1e-3, device="cpu", policy_kwargs={"net_arch": [16]},
    )  # fmt: skip
    stock.policy.load_state_dict(
        {key: v for key, v in agent.policy.state_dict().items() if "features_extractor" not in key}
    )
    rollout = agent.collect(0, capture=False)
    buffer = stock.rollout_buffer
    start = np.ones(4, bool)
    for t in range(32):
        buffer.add(
            rollout.observations[t],
            rollout.actions[t][:, None],
            rollout.true_rewards[t],
            start,
            torch.from_numpy(rollout.values[t].copy()),
            torch.from_numpy(rollout.log_probs[t].copy()),
        )
        start = rollout.ends[t]
    rollout.terminal_observations.clear()  # SB3 adds these values while collecting
    buffer.compute_returns_and_advantage(torch.from_numpy(rollout.last_values), start)
    from stable_baselines3.common.logger import configure

    stock.set_logger(configure(format_strings=[]))
    stock.train()
    metrics = agent.improve(rollout, rollout.true_rewards)
    for ours, theirs in zip(agent.policy.parameters(), stock.policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    logged = stock.logger.name_to_value
    for name in ("policy_gradient_loss", "entropy_loss", "explained_variance"):
        assert metrics[f"train/{name}"] == pytest.approx(logged[f"train/{name}"], abs=1e-5)
    assert 2 * metrics["train/value_loss"] == pytest.approx(logged["train/value_loss"], rel=1e-4)


def test_true_rewards_of_nan_change_nothing(cartpoles):
    plain = make_agent(config_of(), cartpoles(), ONE_THREAD)
    env = cartpoles()
    step_wait = env.step_wait

    def poisoned():
        observations, rewards, ends, infos = step_wait()
        for info in infos:
            if "episode" in info:
                info["episode"]["r"] = np.nan
        return observations, np.full_like(rewards, np.nan), ends, infos

    env.step_wait = poisoned
    starved = make_agent(config_of(), env, ONE_THREAD)
    iterate(plain, 3)
    iterate(starved, 3)
    assert torch.equal(weights(plain), weights(starved))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_observations": True, "learning_rate_schedule": "linear"},
        {"reward_scale": "fixed", "clip_range_vf": None},
    ],
)
def test_resumed_training_repeats_an_unbroken_one_bit_for_bit(cartpoles, options):
    config = config_of(**options)
    env = cartpoles()
    unbroken = make_agent(config, env, ONE_THREAD)
    iterate(unbroken, 3)
    state = passed_through_a_file(unbroken.state_dict())
    snapshots = [env.save(n) for n in range(4)]
    expected = iterate(unbroken, 2)

    other = cartpoles(seed=99)
    for n, snapshot in enumerate(snapshots):
        other.load(n, snapshot)
    resumed = make_agent(config.model_copy(update={"seed": 7}), other, ONE_THREAD)
    resumed.load_state_dict(state)
    assert iterate(resumed, 2) == expected
    assert torch.equal(weights(resumed), weights(unbroken))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resumed_training_on_images_repeats_an_unbroken_one_bit_for_bit(precision):
    config = parse_config(
        {
            "environment": {"id": "procgen/coinrun", "num_envs": 4},
            "agent": {"n_steps": 16, "batch_size": 32, "n_epochs": 2},
            "segments": {"length": 8},
        }
    )
    compute = Compute("cpu", precision, 1)

    def fresh(seed: int) -> PPOAgent:
        env = make(config.environment, num_envs=4, seed=seed, threads=1)
        env.reset()
        return make_agent(config, env, compute)

    unbroken = fresh(0)
    iterate(unbroken, 1)
    state = passed_through_a_file(unbroken.state_dict())
    snapshots = [unbroken.env.save(n) for n in range(4)]
    expected = iterate(unbroken, 2)

    resumed = fresh(1)
    for n, snapshot in enumerate(snapshots):
        resumed.env.load(n, snapshot)
    resumed.load_state_dict(state)
    assert iterate(resumed, 2) == expected
    assert torch.equal(weights(resumed), weights(unbroken))


def test_equal_seeds_repeat_and_others_do_not(cartpoles):
    agents = [make_agent(config_of(seed=seed), cartpoles(), ONE_THREAD) for seed in (1, 1, 2)]
    for agent in agents:
        torch.rand(len(agents))  # the global generators play no part
        np.random.random()
        iterate(agent, 2)
    assert torch.equal(weights(agents[0]), weights(agents[1]))
    assert not torch.equal(weights(agents[0]), weights(agents[2]))


def test_acting_does_not_disturb_training(cartpoles):
    watched = make_agent(config_of(), cartpoles(), ONE_THREAD)
    alone = make_agent(config_of(), cartpoles(), ONE_THREAD)
    observations = cartpoles().observe()
    iterate(watched, 1)
    watched.act(observations, np.random.default_rng(0))
    watched.act(observations, deterministic=True)
    iterate(watched, 1)
    iterate(alone, 2)
    assert torch.equal(weights(watched), weights(alone))


def test_acting_repeats_for_equal_generators_and_needs_one(cartpoles):
    agent = make_agent(config_of(), cartpoles(64), ONE_THREAD)
    observations = agent.env.observe()
    first, second = (agent.act(observations, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert 0 < first.mean() < 1  # both actions occur
    assert not np.array_equal(first, agent.act(observations, np.random.default_rng(4)))
    with pytest.raises(ValueError, match="need rng"):
        agent.act(observations)


PAID = {
    "learned": "the last good checkpoint is kept, .* new run with a lower reward.learning_rate$",
    "true": "mend what the environment pays, then go on: the last good checkpoint is kept$",
}


@pytest.mark.parametrize(("reward", "advice"), PAID.items())
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rewards_that_are_not_finite_are_refused_before_anything_changes(
    cartpoles, bad, reward, advice
):
    agent = make_agent(config_of(reward=reward), cartpoles(), ONE_THREAD)
    rollout = agent.collect(0, capture=False)
    rewards = np.zeros_like(rollout.true_rewards)
    rewards[3, 2] = bad
    before = weights(agent)
    with pytest.raises(Diverged, match=f"1 of 128 rewards .* iteration 0 are not finite; {advice}"):
        agent.improve(rollout, rewards)
    assert torch.equal(weights(agent), before)


def test_a_loss_that_is_not_finite_leaves_the_agent_as_it_was(cartpoles):
    agent = make_agent(config_of(reward_scale="fixed"), cartpoles(), ONE_THREAD)
    iterate(agent, 1)
    rollout = agent.collect(1, capture=False)
    state = passed_through_a_file(agent.state_dict())
    rollout.log_probs[31, 3] = -np.inf  # met in some minibatch, mostly not the first
    advice = "is kept, .* start a new run with a lower agent.learning_rate$"
    with pytest.raises(Diverged, match=f"PPO's loss is .*{advice}"):
        agent.improve(rollout, rollout.true_rewards)
    after = agent.state_dict()
    for key in ("policy", "optimizer"):
        torch.testing.assert_close(after[key], state[key], rtol=0, atol=0)
    assert after["permutations"] == state["permutations"]
    assert after["times"] == state["times"]


def test_being_stopped_between_minibatches_leaves_the_agent_as_it_was(cartpoles):
    agent = make_agent(config_of(), cartpoles(), ONE_THREAD)
    rollout = agent.collect(0, capture=False)
    before = weights(agent)
    pulses = iter(range(3))

    def stop_later() -> None:
        next(pulses)

    with pytest.raises(StopIteration):
        agent.improve(rollout, rollout.true_rewards, pulse=stop_later)
    assert torch.equal(weights(agent), before)


def test_truncated_episodes_are_worth_what_would_have_followed(cartpoles):
    """Constant reward 1 and no falls: the value of a state that is cut off is not 0."""
    env = cartpoles(limit=3)  # too short to fall
    config = config_of(reward_scale="fixed", gamma=0.5, gae_lambda=1.0)
    agent = make_agent(config, env, ONE_THREAD)
    rollout = agent.collect(0, capture=False)
    assert rollout.truncated.any()
    _, returns = agent._targets(rollout, np.ones_like(rollout.true_rewards))
    last = np.stack(list(rollout.terminal_observations.values()))
    with torch.no_grad():
        _, following = agent._forward(torch.from_numpy(last))
    cut = tuple(np.array(list(rollout.terminal_observations)).T)
    np.testing.assert_allclose(returns[cut], 1 + 0.5 * following.numpy(), rtol=1e-5)


def test_steps_are_counted_exactly_with_a_last_short_rollout(cartpoles):
    agent = make_agent(config_of(), cartpoles(), ONE_THREAD)
    first = agent.collect(0, capture=False)
    assert (agent.steps, agent.learned_steps, first.policy_step) == (128, 0, 0)
    agent.improve(first, first.true_rewards)
    second = agent.collect(1, capture=False, n_steps=5)
    assert second.observations.shape == (5, 4, 4)
    assert (agent.steps, second.policy_step, second.first_step) == (148, 128, 32)
    metrics = agent.improve(second, second.true_rewards)
    assert agent.learned_steps == 148
    assert np.isfinite(metrics["train/loss"])


def test_episodes_go_on_over_rollouts(cartpoles):
    agent = make_agent(config_of(n_steps=16, batch_size=32), cartpoles(), ONE_THREAD)
    first = agent.collect(0, capture=False)
    expected = np.where(first.ends[-1], 0, first.episode_times[-1] + 1)
    assert np.array_equal(agent.collect(1, capture=False).episode_times[0], expected)


def test_the_linear_schedule_ends_at_zero(cartpoles):
    agent = make_agent(config_of(learning_rate_schedule="linear"), cartpoles(), ONE_THREAD)
    assert iterate(agent, 1)["train/learning_rate"] == pytest.approx(1e-3 * (1 - 128 / 1000))
    assert iterate(agent, 7)["train/learning_rate"] == 0.0


def test_continuous_actions_reach_the_environment_clipped(cartpoles):
    env = cartpoles()
    env.action_space = spaces.Box(-2, 2, (1,))
    step_async = env.step_async
    taken = []

    def push(actions: np.ndarray) -> None:
        taken.append(actions.copy())
        step_async(actions[:, 0] > 0)

    env.step_async = push
    agent = make_agent(config_of(), env, ONE_THREAD)
    agent.policy.log_std.data.fill_(2.0)
    rollout = agent.collect(0, capture=False)
    assert np.abs(rollout.sampled).max() > 2
    assert np.array_equal(rollout.actions, np.clip(rollout.sampled, -2, 2))
    assert np.array_equal(rollout.actions, taken)
    # the probability is that of the draw: clipping first would make the first ratios differ from 1
    assert agent.improve(rollout, rollout.true_rewards)["train/approx_kl"] < 0.05
    assert np.abs(agent.act(env.observe(), np.random.default_rng(0))).max() <= 2


def test_state_of_another_config_is_refused_in_one_line(cartpoles):
    state = make_agent(config_of(), cartpoles(), ONE_THREAD).state_dict()
    wider = make_agent(config_of(hidden=[32]), cartpoles(), ONE_THREAD)
    with pytest.raises(AgentStateError, match="another network"):
        wider.load_state_dict(state)
    fewer = make_agent(config_of(2), cartpoles(2), ONE_THREAD)
    with pytest.raises(AgentStateError, match="4 environments, the config 2"):
        fewer.load_state_dict(state)


def test_a_resumed_agent_keeps_the_threads_and_precision_it_had(cartpoles):
    state = make_agent(config_of(), cartpoles(), Compute("cpu", "bfloat16", 2)).state_dict()
    agent = make_agent(config_of(), cartpoles(), ONE_THREAD)
    agent.load_state_dict(passed_through_a_file(state))
    assert agent.compute == Compute("cpu", "bfloat16", 2)


def test_an_agent_that_learned_on_a_gpu_acts_without_one(cartpoles):
    learned = make_agent(config_of(), cartpoles(), ONE_THREAD)
    iterate(learned, 2)
    state = passed_through_a_file(learned.state_dict())
    state["compute"] = Compute("cuda", "bfloat16", 1).as_dict()
    state["noise"] = torch.zeros(16, dtype=torch.uint8)  # CUDA's generators are so small
    env = cartpoles(2)  # not as many as it learned in
    acting = agent_for_acting(config_of(), env, state)
    assert (weights(acting) == weights(learned)).all()
    assert (acting.compute.device, acting.compute.precision) == ("cpu", "float32")
    assert acting.learned_steps == learned.learned_steps == 2 * 32 * 4
    assert acting.act(env.observe(), np.random.default_rng(0)).shape == (2,)
    with pytest.raises(AgentStateError, match="another network"):
        agent_for_acting(config_of(hidden=[32]), cartpoles(2), state)


def test_compute_is_measured_where_nobody_says(cartpoles):
    agent = make_agent(config_of(), cartpoles())
    assert agent.compute.precision == "float32"
    assert agent.compute.threads >= 1


def test_learns_to_balance_from_the_true_reward(cartpoles):
    """Untrained episodes last about 22 steps; a few thousand steps more than double that."""
    env = cartpoles(8, limit=200)
    config = config_of(8, n_steps=64, batch_size=128, n_epochs=8, learning_rate=3e-3, ent_coef=0)
    agent = make_agent(config, env, ONE_THREAD)
    lengths = []
    for iteration in range(25):
        rollout = agent.collect(iteration, capture=False)
        agent.improve(rollout, rollout.true_rewards)
        lengths.append(agent.episode_metrics()["rollout/ep_len_mean"])
    assert lengths[-1] > 2.5 * lengths[0], lengths


def test_spaces_that_no_network_takes_are_refused(cartpoles):
    env = cartpoles()
    env.observation_space = spaces.Discrete(5)
    with pytest.raises(LearnerError, match="observations must be images or vectors"):
        make_agent(config_of(), env, ONE_THREAD)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_learns_from_images_in_either_precision(precision):
    """Paid for one of 15 actions only: at first it is taken in 1 of 15 steps."""
    config = parse_config(
        {
            "environment": {"id": "procgen/coinrun", "num_envs": 4},
            "agent": {"n_steps": 32, "batch_size": 64, "learning_rate": 4e-3, "gamma": 0.5},
        }
    )
    env = make(config.environment, num_envs=4, seed=0, threads=1)
    env.reset()
    agent = make_agent(config, env, Compute("cpu", precision, 1))
    shares = []
    for iteration in range(8):
        rollout = agent.collect(iteration, capture=False)
        wanted = rollout.actions == 7
        agent.improve(rollout, wanted.astype(np.float32))
        shares.append(wanted.mean())
    assert shares[0] < 0.2
    assert shares[-1] > 0.5, shares


def test_a_minibatch_learned_in_parts_is_the_same_minibatch(cartpoles, monkeypatch):
    learned = []
    for part in (1_000, 24):
        monkeypatch.setattr("learner.agents.ppo._PART", part)
        agent = make_agent(config_of(batch_size=64), cartpoles(), ONE_THREAD)
        metrics = iterate(agent, 2)
        learned.append((weights(agent), metrics))
    (whole, metrics), (parts, others) = learned
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    assert others == pytest.approx(metrics, rel=1e-4, abs=1e-5)
