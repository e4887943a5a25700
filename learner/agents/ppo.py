"""Proximal policy optimisation on whichever rewards it is handed (Schulman et al. 2017).

The policy, its optimiser and the names of the metrics are Stable-Baselines3's. What differs:
rewards are given for a whole rollout at once, so a learned reward costs one batched pass;
networks run in the layout and precision that win on this machine; every random draw comes
from a generator kept in the checkpoint, so a resumed run repeats an unbroken one bit for bit.
The value loss is that of the Procgen recipe, half the larger of the clipped and the unclipped
squared error (SB3: the clipped one alone, without the half).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from learner.agents.features import VectorFeatures
from learner.agents.losses import (
    METRICS,
    Batch,
    Predictions,
    explained_variance,
    normalised,
    objective,
)
from learner.agents.payment import RewardScale
from learner.agents.policies import forward, log_prob_and_entropy, make_policy, sample
from learner.agents.probe import choose_compute
from learner.agents.rollouts import Decision, Rollout, advantages, allocate, fill
from learner.config import AgentConfig, RunConfig
from learner.devices import Compute, keep_large_blocks
from learner.envs.protocol import Environments
from learner.errors import AGAIN, Diverged, LearnerError
from learner.seeds import generator, integer

_WINDOW = 100  # episodes in the reported means, as in SB3
_PART = 512  # steps; activations of 2,048 images in the small IMPALA take 1.2 GiB
_TIMES = ("steps", "learned_steps", "env_steps", "updates")


def _nothing() -> None:
    """The pulse of a caller that has nothing to interrupt with."""


class AgentStateError(LearnerError):
    """A saved agent that does not fit this config."""


class PPOAgent:
    """An actor-critic that collects rollouts and learns from the rewards paid for them.

    Attributes:
        policy: SB3's `ActorCriticPolicy`; `policy.save` and `predict` work as in SB3.
        compute: device, precision and threads, fixed for the whole run.
        steps: environment steps collected, over all environments.
        learned_steps: of these, the steps that the policy has learned from.
        updates: passes over rollouts, SB3's `n_updates`.
    """

    def __init__(self, config: RunConfig, env: Environments, compute: Compute) -> None:
        """Build everything from the run's seed; `make_agent` also chooses `compute`."""
        self.env = env
        self.compute = compute
        self.policy = make_policy(
            env.observation_space,
            env.action_space,
            config.agent,
            seed=integer(config.seed, "policy weights"),
            device=compute.device,
        )
        self.steps = self.learned_steps = self.env_steps = self.updates = 0
        self._config: AgentConfig = config.agent
        self._total_steps = config.total_steps
        self._scale = RewardScale(env.num_envs, config.agent.gamma)
        self._permutations = generator(config.seed, "minibatches")
        self._noise = torch.Generator(compute.device)
        self._noise.manual_seed(integer(config.seed, "actions"))
        self._episode_times = np.zeros(env.num_envs, np.int64)
        self._finished: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._arrays: Rollout | None = None
        self._parameters = list(self.policy.parameters())

    # -- acting ---------------------------------------------------------------------------------

    def collect(
        self,
        iteration: int,
        *,
        capture: bool,
        n_steps: int | None = None,
        pulse: Callable[[], None] = _nothing,
    ) -> Rollout:
        """Step all environments from where they stand; the environments must have been reset.

        Args:
            iteration: noted in the rollout.
            capture: whether to take the snapshots that segments are replayed from.
            n_steps: at most so many steps per environment; None = a whole rollout.
            pulse: called before every step; may raise to leave.

        Returns:
            The rollout. Its arrays are overwritten by the next call.
        """
        if self._arrays is None:
            self._arrays = allocate(
                self.env, self._config.n_steps, pinned=self.compute.device == "cuda"
            )
        rollout = self._arrays.first(min(n_steps or self._config.n_steps, self._config.n_steps))
        rollout.iteration, rollout.policy_step = iteration, self.learned_steps
        rollout.first_step = self.env_steps

        def decide(observations: NDArray[Any]) -> Decision:
            pulse()
            return self._decide(observations)

        with self.compute.active(), torch.no_grad(), self.compute.autocast():
            fill(rollout, self.env, decide, self._episode_times, capture=capture)
        self.env_steps += rollout.steps
        self.steps += rollout.ends.size
        self._finished.extend((total, length) for total, length, _ in rollout.finished)
        return rollout

    def _decide(self, observations: NDArray[Any]) -> Decision:
        outputs, values = self._forward(self._to_device(observations))
        sampled = sample(self.policy, outputs, self._noise)
        log_probs, _ = log_prob_and_entropy(self.policy, outputs, sampled)
        chosen = sampled.cpu().numpy()
        return Decision(
            self._within_space(chosen), chosen, values.cpu().numpy(), log_probs.cpu().numpy()
        )

    def act(
        self,
        observations: NDArray[Any],
        rng: np.random.Generator | None = None,
        *,
        deterministic: bool = False,
    ) -> NDArray[Any]:
        """Choose actions without learning; training's generators are left alone.

        Args:
            observations: (B, ...) as the environments give them.
            rng: source of the draws; not needed for deterministic actions.
            deterministic: take the likeliest actions instead.

        Returns:
            (B, ...) actions within the action space.
        """
        noise = None
        if not deterministic:
            if rng is None:
                raise ValueError("sampled actions need rng; pass one, or deterministic=True")
            noise = torch.Generator(self.compute.device)
            noise.manual_seed(int(rng.integers(2**63)))
        with self.compute.active(), torch.no_grad():
            outputs, _ = self._forward(self._to_device(observations))
            return self._within_space(sample(self.policy, outputs, noise).cpu().numpy())

    def _within_space(self, actions: NDArray[Any]) -> NDArray[Any]:
        space = self.env.action_space
        if isinstance(space, spaces.Box):
            actions = np.clip(actions, space.low, space.high)
        return actions.astype(space.dtype, copy=False)

    def _to_device(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self.compute.device, non_blocking=True)

    def _forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return forward(self.policy, observations, precision=self.compute.precision)

    # -- learning -------------------------------------------------------------------------------

    def improve(
        self,
        rollout: Rollout,
        rewards: NDArray[np.float32],
        *,
        pulse: Callable[[], None] = _nothing,
    ) -> dict[str, float]:
        """Learn from the rewards paid for a rollout; the true ones in it are not read.

        Args:
            rollout: the last one collected.
            rewards: (T, N) paid for each step, any units.
            pulse: called before every minibatch; may raise, which leaves the agent unchanged.

        Returns:
            SB3's metrics, by SB3's names.

        Raises:
            Diverged: a reward or a loss is not finite; the agent is as it was before.
        """
        assert rewards.shape == rollout.ends.shape, (rewards.shape, rollout.ends.shape)
        if not np.isfinite(rewards).all():
            raise Diverged(
                f"{np.count_nonzero(~np.isfinite(rewards))} of {rewards.size} rewards paid in "
                f"iteration {rollout.iteration} are not finite; {self._remedy_for_rewards()}"
            )
        before = copy.deepcopy(self.state_dict())
        try:
            with self.compute.active():
                metrics = self._train(rollout, self._targets(rollout, rewards), pulse)
                self._update_normaliser(rollout)
        except BaseException:
            self.load_state_dict(before)
            raise
        self.learned_steps += rollout.ends.size
        return metrics | self.episode_metrics()

    def episode_metrics(self) -> dict[str, float]:
        """Means of true return and length over the last 100 episodes; empty before the first."""
        if not self._finished:
            return {}
        returns, lengths = zip(*self._finished, strict=True)
        return {
            "rollout/ep_rew_mean": float(np.mean(returns)),
            "rollout/ep_len_mean": float(np.mean(lengths)),
        }

    def _targets(
        self, rollout: Rollout, rewards: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(T, N) advantages and returns of the scaled rewards."""
        if self._config.reward_scale == "running":
            rewards = self._scale.scale(rewards, rollout.ends)
        # A time limit is not the end of the task: what would have followed is worth V(s_T).
        cut = [key for key in rollout.terminal_observations if rollout.truncated[key]]
        if cut:
            last = np.stack([rollout.terminal_observations[key] for key in cut])
            with torch.no_grad():
                _, values = self._forward(self._to_device(last))
            rewards = rewards.copy()
            at = tuple(np.array(cut).T)
            rewards[at] += np.float32(self._config.gamma) * values.cpu().numpy()
        gains = advantages(
            rewards,
            rollout.values,
            rollout.last_values,
            rollout.ends,
            gamma=self._config.gamma,
            gae_lambda=self._config.gae_lambda,
        )
        return gains, gains + rollout.values

    def _train(
        self,
        rollout: Rollout,
        targets: tuple[NDArray[np.float32], NDArray[np.float32]],
        pulse: Callable[[], None],
    ) -> dict[str, float]:
        """All epochs over one rollout; returns the metrics."""
        gains, returns = targets
        arrays = (
            rollout.observations, rollout.sampled, rollout.log_probs, rollout.values, gains, returns
        )  # fmt: skip
        # (T, N, ...) -> (T * N, ...), one transfer for all epochs
        data = [self._to_device(array.reshape(-1, *array.shape[2:])) for array in arrays]
        learning_rate = self._set_learning_rate()
        size, batch = rollout.ends.size, self._config.batch_size
        parts: list[Tensor] = []
        for _ in range(self._config.n_epochs):
            order = self._to_device(self._permutations.permutation(size))
            for start in range(0, size, batch):
                pulse()
                chosen = order[start : start + batch]
                observations, actions, *rest = (values[chosen] for values in data)
                parts.append(self._step(observations, actions, Batch(*rest)))
        self.updates += self._config.n_epochs
        means = torch.stack(parts).mean(dim=0).tolist()
        return dict(zip(METRICS, means, strict=True)) | {
            "train/explained_variance": explained_variance(rollout.values, returns),
            "train/learning_rate": learning_rate,
            "train/n_updates": float(self.updates),
            "train/reward_scale": self._scale.deviation,
        }

    def _step(self, observations: Tensor, actions: Tensor, batch: Batch) -> Tensor:
        """Learn from one minibatch; (6,) what `METRICS` names.

        On a CPU the gradient is summed over parts: as fast, and it needs a quarter of the memory.
        """
        self.policy.optimizer.zero_grad()
        batch = batch._replace(gains=normalised(batch.gains))
        size, width = len(actions), len(actions) if self.compute.device == "cuda" else _PART
        figures = torch.zeros(len(METRICS), device=actions.device)
        for start in range(0, size, width):
            part = slice(start, start + width)
            outputs, values = self._forward(observations[part])
            log_probs, entropies = log_prob_and_entropy(self.policy, outputs, actions[part])
            now = Predictions(log_probs, entropies, values)
            loss, parts = objective(now, Batch(*(one[part] for one in batch)), self._config)
            share = len(values) / size
            (share * loss).backward()  # type: ignore[no-untyped-call]
            figures += share * parts
        self._apply(figures[METRICS.index("train/loss")])
        return figures

    def _remedy_for_rewards(self) -> str:
        """What to do about rewards that are not finite, by where they come from."""
        if self._config.reward == "true":
            return "mend what the environment pays, then go on: the last good checkpoint is kept"
        return f"{AGAIN}; start a new run with a lower reward.learning_rate"

    def _apply(self, loss: Tensor) -> None:
        """One optimiser step, if loss and gradient are finite."""
        optimizer = self.policy.optimizer
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm)
        if not torch.isfinite(loss + norm):
            raise Diverged(
                f"PPO's loss is {loss.item()} and its gradient {norm.item()}; "
                f"{AGAIN}; start a new run with a lower agent.learning_rate"
            )
        optimizer.step()

    def _set_learning_rate(self) -> float:
        rate = self._config.learning_rate
        if self._config.learning_rate_schedule == "linear":
            rate *= max(0.0, 1.0 - self.steps / self._total_steps)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _update_normaliser(self, rollout: Rollout) -> None:
        features = self.policy.features_extractor
        if isinstance(features, VectorFeatures):
            features.update(self._to_device(rollout.observations).flatten(end_dim=1))

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything but the environments' states, as tensors and plain values."""
        return {
            "compute": self.compute.as_dict(),
            "policy": self.policy.state_dict(),
            "optimizer": self.policy.optimizer.state_dict(),
            "scale": self._scale.state_dict(),
            "permutations": self._permutations.bit_generator.state,
            "noise": self._noise.get_state(),
            "episode_times": self._episode_times.tolist(),
            "finished": list(self._finished),
            "times": {name: getattr(self, name) for name in _TIMES},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`, with the device, precision and threads it was made with.

        Raises:
            AgentStateError: it was made with another network, or for other environments.
        """
        if len(state["episode_times"]) != self.env.num_envs:
            raise AgentStateError(
                f"the saved agent has {len(state['episode_times'])} environments, the config "
                f"{self.env.num_envs}; use the config that it was made with"
            )
        self.load_policy(state)
        self.policy.optimizer.load_state_dict(state["optimizer"])
        self._scale.load_state_dict(state["scale"])
        self._permutations.bit_generator.state = state["permutations"]
        self._noise.set_state(state["noise"].cpu())
        self._episode_times[:] = state["episode_times"]
        self._finished.clear()
        self._finished.extend((total, length) for total, length in state["finished"])
        if state["compute"]["device"] == self.compute.device:
            self.compute = Compute(**state["compute"])

    def forget_episodes(self) -> None:
        """Take all running episodes for new ones, where environments could not be put back."""
        self._episode_times[:] = 0
        self._scale.forget()

    def load_policy(self, state: Mapping[str, Any]) -> None:
        """Take over the policy of `state_dict` and how long it learned; enough to act.

        Raises:
            AgentStateError: it was made with another network.
        """
        try:
            self.policy.load_state_dict(state["policy"])
        except RuntimeError as error:
            raise AgentStateError(
                "the saved agent has another network than the config describes; "
                "use the config that it was made with"
            ) from error
        for name in _TIMES:
            setattr(self, name, state["times"][name])


def make_agent(config: RunConfig, env: Environments, compute: Compute | None = None) -> PPOAgent:
    """Build the agent of a run; everything random in it derives from `config.seed`.

    Args:
        config: the run.
        env: its environments.
        compute: device, precision and threads; None = measured here, within seconds.

    Raises:
        SpaceError: spaces that the configured network cannot take.
        DeviceError: a device that is not here.
    """
    if config.agent.network != "mlp":
        keep_large_blocks()
    if compute is None:
        compute = choose_compute(config, env)
    return PPOAgent(config, env, compute)
