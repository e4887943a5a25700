"""Fresh agents on a regressed reward, and on the true one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from learner.agents.payment import pay_true
from learner.agents.rollouts import Rollout
from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.rewards.regression import RegressedReward
from learner.seeds import integer
from learner.study.folder import StudyFolder, write_json
from learner.study.frozen import Payer, train_frozen
from learner.study.regression.cases import PaidAgent, models
from learner.study.regression.config import TRUE, RegressionConfig
from learner.study.regression.fitting import open_model
from learner.study.regression.transitions import Transitions


def train_paid_agent(
    study: RegressionConfig, folder: StudyFolder, agent: PaidAgent, say: Callable[[str], None]
) -> None:
    """Train a fresh agent, from where an earlier attempt was left, and score it."""
    settings = study.agents
    # Equal for all rewards, so that they differ in nothing else.
    seed = integer(study.seed, f"agent {agent.case.name} {agent.game}")
    config = study.run(
        agent.game, settings.agent, steps=settings.total_steps, seed=seed, name="agent"
    )
    path = agent.path(folder)
    latest = path.with_suffix(".pt")
    trained = train_frozen(
        config,
        latest,
        folder.compute,
        lambda environments: _payer(study, folder, agent, config, environments),
        settings.episodes,
        say,
    )
    write_json(
        path,
        {
            "agent": {**asdict(agent.case), "trained_in": agent.game, "paid": agent.paid.name},
            "steps": trained.steps,
            "train": asdict(trained.scores.train),
            "test": asdict(trained.scores.test),
            "lengths": list(trained.scores.lengths),
            "curve": trained.curve,
        },
    )
    latest.unlink(missing_ok=True)


def _payer(
    study: RegressionConfig,
    folder: StudyFolder,
    agent: PaidAgent,
    config: RunConfig,
    environments: Environments,
) -> Payer:
    """What its rollouts are paid; true rewards are read by the agent of that name alone."""
    if agent.paid.model == TRUE:
        return lambda rollout: pay_true(rollout.true_rewards, config.agent)
    fitted = next(one for one in models(study, agent.case) if one.variant.name == agent.paid.model)
    return RegressedPay(
        open_model(folder, fitted),
        environments,
        agent.game if fitted.variant.masked else None,
        agent.paid.threshold,
    )


class RegressedPay:
    """A regressed reward of the steps of a rollout."""

    def __init__(
        self,
        reward: RegressedReward,
        environments: Environments,
        masked: str | None = None,
        threshold: float | None = None,
    ) -> None:
        """Read a reward.

        Args:
            reward: frozen.
            environments: where rollouts come from; they still stand at their end.
            masked: the game whose score is hidden from it; None = all is seen.
            threshold: pay 1 above it and else 0; None = as predicted.
        """
        self._reward, self._environments = reward, environments
        self._masked, self._threshold = masked, threshold

    def __call__(self, rollout: Rollout) -> NDArray[np.float32]:
        """(T, N) what each step is paid."""
        after = np.concatenate([rollout.observations[1:], self._environments.observe()[None]])
        for place, last in rollout.terminal_observations.items():
            after[place] = last  # else it would be the next episode's first
        shape = after.shape[2:]
        seen = Transitions(
            rollout.observations.reshape(-1, *shape), after.reshape(-1, *shape),
            rollout.true_rewards.reshape(-1),
        )  # fmt: skip
        if self._masked is not None:
            seen = seen.masked(self._masked)
        paid = self._reward.rewards(seen.before, seen.after).reshape(rollout.ends.shape)
        if self._threshold is None:
            return paid
        return (paid > self._threshold).astype(np.float32)
