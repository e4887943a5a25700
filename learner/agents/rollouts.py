"""Rollouts: what the policy did for some steps in all environments, and its advantages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from learner.envs.protocol import Environments

ANCHOR_EVERY = 32  # steps between snapshots; replay starts at most so many steps early
FILMED = 2  # environments whose pictures are kept where none can be restored


class Decision(NamedTuple):
    """What a policy says about (N, ...) observations.

    Attributes:
        actions: (N,) or (N, D) as the environments take them.
        sampled: the same before clipping to the action space.
        values: (N,) float32 value estimates, in the units of the scaled reward.
        log_probs: (N,) float32 log probabilities of `sampled`.
    """

    actions: NDArray[Any]
    sampled: NDArray[Any]
    values: NDArray[np.float32]
    log_probs: NDArray[np.float32]


@dataclass
class Rollout:
    """T steps of N environments. The next `collect` of the same agent reuses the arrays.

    Attributes:
        observations: (T, N, ...) what the policy saw before each action, uint8 or float32.
        actions: (T, N, ...) as given to the environments.
        sampled: (T, N, ...) as drawn from the policy, before clipping to the action space.
        true_rewards: (T, N) float32, environment units; for evaluation and oracles only.
        ends: (T, N) bool, True where the episode ended with this step.
        truncated: (T, N) bool, True where it ended by a time limit.
        values: (T, N) float32 value estimates before each action.
        log_probs: (T, N) float32.
        last_values: (N,) float32 value estimates after the last step.
        levels: (T, N) int64 level seeds, -1 where there are none.
        episode_times: (T, N) int64 steps of the episode before this one.
        terminal_observations: by (t, n), the last observation of an episode that ended there,
            where the environment shows it.
        anchors: by t, the snapshots of all environments before step t; empty without capture.
        frames: by t, the first `FILMED` environments as people see them before step t; only where
            they cannot be restored, but can be drawn.
        policy_step: environment steps that the policy had learned from.
        iteration: the loop's iteration.
        first_step: steps of each environment before this rollout; with it and the environment
            a part of an episode is named by its first step.
        finished: (return, length, level) of the episodes that ended, true rewards.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    sampled: NDArray[Any]
    true_rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    values: NDArray[np.float32]
    log_probs: NDArray[np.float32]
    last_values: NDArray[np.float32]
    levels: NDArray[np.int64]
    episode_times: NDArray[np.int64]
    terminal_observations: dict[tuple[int, int], NDArray[Any]] = field(default_factory=dict)
    anchors: dict[int, list[bytes]] = field(default_factory=dict)
    frames: dict[int, list[NDArray[np.uint8]]] = field(default_factory=dict)
    policy_step: int = 0
    iteration: int = 0
    first_step: int = 0
    finished: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """T, steps per environment."""
        return len(self.ends)

    @property
    def num_envs(self) -> int:
        """N, environments side by side."""
        return self.ends.shape[1]

    def first(self, steps: int) -> Rollout:
        """A fresh rollout over the first `steps` rows of these arrays, without copying."""
        assert 1 <= steps <= self.steps, (steps, self.steps)
        rows: dict[str, Any] = {
            name: value[:steps]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and name != "last_values"
        }
        return Rollout(last_values=self.last_values, **rows)


def allocate(env: Environments, steps: int, *, pinned: bool = False) -> Rollout:
    """Zeroed arrays for `steps` steps of `env`; pinned observations move to a GPU faster."""
    shape = (steps, env.num_envs)
    observation_space, action_space = env.observation_space, env.action_space
    assert observation_space.shape is not None
    assert action_space.shape is not None
    actions = np.zeros((*shape, *action_space.shape), dtype=action_space.dtype)
    observations = np.zeros((*shape, *observation_space.shape), dtype=observation_space.dtype)
    if pinned:
        observations = torch.from_numpy(observations).pin_memory().numpy()
    return Rollout(
        observations=observations,
        actions=actions,
        sampled=np.zeros_like(actions),
        true_rewards=np.zeros(shape, np.float32),
        ends=np.zeros(shape, np.bool_),
        truncated=np.zeros(shape, np.bool_),
        values=np.zeros(shape, np.float32),
        log_probs=np.zeros(shape, np.float32),
        last_values=np.zeros(env.num_envs, np.float32),
        levels=np.zeros(shape, np.int64),
        episode_times=np.zeros(shape, np.int64),
    )


def fill(
    rollout: Rollout,
    env: Environments,
    decide: Callable[[NDArray[Any]], Decision],
    episode_times: NDArray[np.int64],
    *,
    capture: bool,
) -> None:
    """Step `env` through the whole rollout, in place, from where it stands.

    Args:
        rollout: from `allocate`; every row is overwritten.
        env: reset, or restored from snapshots.
        decide: the policy.
        episode_times: (N,) steps of the running episodes so far; updated in place.
        capture: whether to take snapshots, where the environments can be restored.
    """
    observations = env.observe()
    for t in range(rollout.steps):
        if capture and env.replayable and t % ANCHOR_EVERY == 0:
            rollout.anchors[t] = [env.save(n) for n in range(env.num_envs)]
        if capture and env.pictures and not env.replayable:
            rollout.frames[t] = [env.render_people(n) for n in range(min(FILMED, env.num_envs))]
        rollout.observations[t] = observations
        rollout.levels[t] = env.levels()
        rollout.episode_times[t] = episode_times
        decision = decide(rollout.observations[t])
        rollout.actions[t] = decision.actions
        rollout.sampled[t] = decision.sampled
        rollout.values[t] = decision.values
        rollout.log_probs[t] = decision.log_probs
        observations, rollout.true_rewards[t], ends, infos = env.step(rollout.actions[t])
        rollout.ends[t] = ends
        rollout.truncated[t] = False
        _note_ends(rollout, t, infos)
        episode_times += 1
        episode_times[ends] = 0
    rollout.last_values[:] = decide(observations).values


def _note_ends(rollout: Rollout, t: int, infos: list[dict[str, Any]]) -> None:
    """Keep what the environments say about the episodes that ended with step t."""
    for n, info in enumerate(infos):
        if not info:  # most environments, at most steps
            continue
        rollout.truncated[t, n] = rollout.ends[t, n] and info.get("TimeLimit.truncated", False)
        last = info.get("terminal_observation")
        if rollout.ends[t, n] and last is not None:
            rollout.terminal_observations[t, n] = np.asarray(last)
        episode = info.get("episode")  # also without an end, where the config hides ends
        if episode is not None:
            rollout.finished.append((float(episode["r"]), int(episode["l"]), int(episode["level"])))


def advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    last_values: NDArray[np.float32],
    ends: NDArray[np.bool_],
    *,
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16), all envs at once.

    A_t = sum_l (gamma lambda)^l delta_{t+l}, delta_t = r_t + gamma V_{t+1} - V_t, where both
    the sum and V_{t+1} stop at an episode's end.

    Args:
        rewards: (T, N) as paid to the agent.
        values: (T, N) estimates before each action.
        last_values: (N,) estimates after the last step.
        ends: (T, N) True where the episode ended with that step.
        gamma: discount per step.
        gae_lambda: 0 = one-step advantages, 1 = Monte-Carlo returns less values.

    Returns:
        (T, N) float32.
    """
    assert rewards.shape == values.shape == ends.shape, (rewards.shape, values.shape, ends.shape)
    goes_on = (~ends).astype(np.float32)
    following = np.concatenate([values[1:], last_values[None]])
    deltas = rewards + np.float32(gamma) * following * goes_on - values
    carry = np.float32(gamma * gae_lambda) * goes_on
    result: NDArray[np.float32] = np.empty_like(deltas)
    running = np.zeros_like(last_values)
    for t in reversed(range(len(deltas))):
        running = deltas[t] + carry[t] * running
        result[t] = running
    return result
