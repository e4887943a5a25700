"""From the ensemble's rewards to what the agent is paid: exploration, pessimism, scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.config import AgentConfig


def pay(
    members: NDArray[np.float32], config: AgentConfig, *, first_step: int
) -> NDArray[np.float32]:
    """Turn the members' rewards into the agent's.

    mean_k r_k + (beta_t - k) std_k r_k, with beta_t = beta_0 (1 - rho)^t: the exploration bonus
    of RUNE (Liang et al. 2022, equation 5) and the pessimism of reward ensembles (Coste et al.
    2024: mean less deviation). The deviation is the population's, so one member pays its mean.

    Args:
        members: (K, T, N) normalised rewards of each member.
        config: `exploration_bonus` (beta_0), `exploration_decay` (rho), `pessimism` (k).
        first_step: environment steps, over all environments, before the rollout.

    Returns:
        (T, N) float32.
    """
    _, steps, num_envs = members.shape
    mean: NDArray[np.float64] = members.mean(axis=0, dtype=np.float64)
    if not config.exploration_bonus and not config.pessimism:
        return mean.astype(np.float32)
    times = first_step + num_envs * np.arange(steps, dtype=np.float64)
    bonus = config.exploration_bonus * (1.0 - config.exploration_decay) ** times
    deviation = members.std(axis=0, dtype=np.float64)
    paid: NDArray[np.float64] = mean + (bonus[:, None] - config.pessimism) * deviation
    return paid.astype(np.float32)


def pay_true(rewards: NDArray[np.float32], config: AgentConfig) -> NDArray[np.float32]:
    """The environment's rewards as the baseline is paid them: (T, N), clipped if it wants so."""
    return np.clip(rewards, -1.0, 1.0) if config.clip_rewards else rewards


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return.

    As `VecNormalize` of baselines and SB3, with two differences: the return is discounted by
    PPO's own gamma (baselines' default mixes 0.99 and 0.999), and a whole rollout enters the
    statistics before any of it is scaled. The mean is not subtracted: it would change
    which behaviour is best wherever episodes differ in length.
    """

    CLIP = 10.0

    def __init__(self, num_envs: int, gamma: float) -> None:
        self._gamma = gamma
        self._returns = np.zeros(num_envs, np.float64)
        self._count = 1e-4
        self._mean = 0.0
        self._variance = 1.0

    @property
    def deviation(self) -> float:
        """The divisor."""
        return float(np.sqrt(self._variance + 1e-8))

    def scale(self, rewards: NDArray[np.float32], ends: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Take in (T, N) rewards and return them scaled, within [-10, 10].

        Args:
            rewards: (T, N) as paid, any units.
            ends: (T, N) True where the episode ended with that step.
        """
        returns = np.empty(rewards.shape, np.float64)
        for t in range(len(rewards)):
            self._returns = self._returns * self._gamma + rewards[t]
            returns[t] = self._returns
            self._returns[ends[t]] = 0.0
        self._update(returns)
        scaled = np.clip(rewards / self.deviation, -self.CLIP, self.CLIP)
        return scaled.astype(np.float32)

    def forget(self) -> None:
        """Let the running returns begin anew; the statistics stay."""
        self._returns[:] = 0.0

    def _update(self, returns: NDArray[np.float64]) -> None:
        """Parallel mean and variance (Chan et al. 1979)."""
        count, total = returns.size, self._count + returns.size
        shift = float(returns.mean()) - self._mean
        spread = self._variance * self._count + float(returns.var()) * count
        self._mean += shift * count / total
        self._variance = (spread + shift**2 * self._count * count / total) / total
        self._count = total

    def state_dict(self) -> dict[str, Any]:
        """Plain values, enough to go on."""
        return {
            "returns": self._returns.tolist(),
            "count": self._count,
            "mean": self._mean,
            "variance": self._variance,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._returns = np.asarray(state["returns"], np.float64)
        self._count, self._mean = float(state["count"]), float(state["mean"])
        self._variance = float(state["variance"])
