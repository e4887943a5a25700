"""imitation 1.0.1 on Pendulum, by the recipe of its documentation; run by its environment's Python.

    python benchmarks/imitation/pendulum.py SEED LABELS STEPS EPISODES

STEPS is what it is asked for. Prints, as JSON: the seconds of its training, the environment steps
that it really took, counted in the environment, and the mean true return of its agent over so
many episodes with sampled actions. One torch thread.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from imitation.algorithms import preference_comparisons as pc  # type: ignore[import-not-found]
from imitation.policies import base  # type: ignore[import-not-found]
from imitation.rewards import reward_nets  # type: ignore[import-not-found]
from imitation.util import networks, util  # type: ignore[import-not-found]
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

ENVIRONMENTS = 8
ITERATIONS = 5
REWARD_EPOCHS = 10


class Counted(gym.Wrapper[Any, Any, Any, Any]):
    """Counts the steps of all its instances."""

    steps = 0

    def step(self, action: Any) -> Any:
        """Take a step."""
        Counted.steps += 1
        return self.env.step(action)


def make_agent(venv: Any, seed: int) -> PPO:
    """PPO as the recipe sets it up."""
    return PPO(
        policy=base.FeedForward32Policy,
        policy_kwargs={
            "features_extractor_class": base.NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": networks.RunningNorm},
        },
        env=venv,
        seed=seed,
        n_steps=2048 // ENVIRONMENTS,
        batch_size=64,
        ent_coef=0.01,
        learning_rate=2e-3,
        clip_range=0.1,
        gae_lambda=0.95,
        gamma=0.97,
        n_epochs=10,
    )


def make_comparisons(venv: Any, agent: PPO, rng: np.random.Generator) -> Any:
    """The rest of the recipe."""
    net = reward_nets.BasicRewardNet(
        venv.observation_space, venv.action_space, normalize_input_layer=networks.RunningNorm
    )
    model = pc.PreferenceModel(net)
    return pc.PreferenceComparisons(
        pc.AgentTrainer(algorithm=agent, reward_fn=net, venv=venv, exploration_frac=0.05, rng=rng),
        net,
        num_iterations=ITERATIONS,
        fragmenter=pc.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=pc.SyntheticGatherer(rng=rng),
        reward_trainer=pc.BasicRewardTrainer(
            preference_model=model, loss=pc.CrossEntropyRewardLoss(), epochs=REWARD_EPOCHS, rng=rng
        ),
        fragment_length=100,
        transition_oversampling=1,
        initial_comparison_frac=0.1,
        allow_variable_horizon=False,
        initial_epoch_multiplier=4,
        query_schedule="hyperbolic",
    )


def main() -> None:
    """Train, score, and print the figures."""
    seed, labels, steps, episodes = map(int, sys.argv[1:5])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    counted = [lambda env, _: Counted(env)]
    venv = util.make_vec_env("Pendulum-v1", rng=rng, n_envs=ENVIRONMENTS, post_wrappers=counted)
    agent = make_agent(venv, seed)
    comparisons = make_comparisons(venv, agent, rng)
    started = time.perf_counter()
    comparisons.train(total_timesteps=steps, total_comparisons=labels)
    seconds, taken = time.perf_counter() - started, Counted.steps
    fresh = util.make_vec_env("Pendulum-v1", rng=np.random.default_rng(10_000 + seed), n_envs=8)
    returns, _ = evaluate_policy(
        agent.policy, fresh, episodes, deterministic=False, return_episode_rewards=True
    )
    print(json.dumps({"seconds": seconds, "steps": taken, "return": float(np.mean(returns))}))


if __name__ == "__main__":
    main()
