"""Fresh agents trained on frozen rewards, with controls, scored by true return."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from learner.agents.acting import agent_for_acting
from learner.agents.ppo import PPOAgent
from learner.agents.rollouts import Rollout
from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.evaluation.procgen_scores import RANGES, normalised_score, official_score
from learner.evaluation.scoring import Scores, score
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import unpack
from learner.seeds import integer
from learner.study.bank import open_bank
from learner.study.cells import Cell, read_predictions
from learner.study.config import StudyConfig
from learner.study.experts import checkpoints, expert_config
from learner.study.folder import StudyError, StudyFolder, game_slug, write_json
from learner.study.frozen import Payer, train_frozen, training_environments

Control = Literal["plus_one", "minus_one", "true", "best_checkpoint"]
_CONSTANTS = {"plus_one": 1.0, "minus_one": -1.0}


@dataclass(frozen=True)
class AgentTask:
    """An agent: of a game, on the reward of a cell or of a control."""

    game: str
    seed: int
    cell: Cell | None = None
    control: Control | None = None

    @property
    def name(self) -> str:
        """Its file's name."""
        paid = self.cell.name if self.cell else f"{game_slug(self.game)}-{self.control}"
        return f"agent-{paid}-{self.seed}"


def agent_tasks(study: StudyConfig) -> list[AgentTask]:
    """Every agent of a study; the best demonstrations' checkpoint is scored beside them."""
    agents = study.agents
    if not agents.total_steps:
        return []
    largest = max(study.sweep.counts)
    tasks = []
    for game in study.games:
        models = [Cell(game, rule, largest, 0) for rule in agents.rules]
        models += [
            Cell(game, rule, largest, 0, variant)
            for variant in agents.variants
            for rule in study.sweep.variant_rules
        ]
        for seed in range(agents.seeds):
            tasks += [AgentTask(game, seed, cell=cell) for cell in models]
            tasks += [AgentTask(game, seed, control=control) for control in agents.controls]
        tasks.append(AgentTask(game, 0, control="best_checkpoint"))
    return tasks


def train_agent(
    study: StudyConfig, folder: StudyFolder, task: AgentTask, say: Callable[[str], None]
) -> None:
    """Train a fresh agent, from where an earlier attempt was left, and score it."""
    config = _config(study, task)
    kept = folder.agent(task.name)
    if task.control == "best_checkpoint":
        with closing(training_environments(config)) as environments:
            agent = _best(folder, task, config, environments)
            scores = score(agent, config, study.agents.episodes, rewarding=None, pulse=lambda: None)
            write_json(kept, _result(study, task, agent.steps, scores))
        return
    trained = train_frozen(
        config,
        kept.with_suffix(".pt"),
        folder.compute,
        lambda _: _payer(study, folder, task),
        study.agents.episodes,
        say,
    )
    write_json(kept, _result(study, task, trained.steps, trained.scores))
    kept.with_suffix(".pt").unlink(missing_ok=True)


def _config(study: StudyConfig, task: AgentTask) -> RunConfig:
    if task.control == "best_checkpoint":
        return expert_config(study, task.game)
    agents = study.agents
    # Equal for all rewards, so that they differ in nothing else.
    seed = integer(study.seed, f"agent {task.game} {task.seed}")
    return study.run(task.game, agents.agent, steps=agents.total_steps, seed=seed, name="agent")


def _best(
    folder: StudyFolder, task: AgentTask, config: RunConfig, environments: Environments
) -> PPOAgent:
    """The checkpoint that earned most, on average, in the training demonstrations."""
    entries = open_bank(folder, task.game, "train").entries
    earned: dict[int, list[float]] = {}
    for one in entries:
        earned.setdefault(one.checkpoint, []).append(one.true_return)
    best = max(earned, key=lambda steps: float(np.mean(earned[steps])))
    kept = next(one for one in checkpoints(folder.experts(task.game)) if one.steps == best)
    return agent_for_acting(config, environments, kept.load()["agent"])


def _payer(study: StudyConfig, folder: StudyFolder, task: AgentTask) -> Payer:
    """What a rollout is paid; the true rewards are read by the control of that name alone."""
    if task.cell is not None:
        model = unpack(folder.cell(task.cell.name).with_suffix(".pt").read_bytes())
        arrays = read_predictions(folder, task.cell.name)
        constant = _constant(study, task.cell, arrays)
        squash = study.agents.squash == "sigmoid"
        return _LearnedPay(model, arrays.get("by_step"), constant, squash=squash)
    constant = _CONSTANTS.get(task.control or "")
    if constant is None:
        return lambda rollout: rollout.true_rewards
    return lambda rollout: np.full(rollout.ends.shape, constant, np.float32)


def _constant(study: StudyConfig, cell: Cell, arrays: dict[str, NDArray[Any]]) -> float | None:
    """What is added to each step's reward; None leaves it centred on the training snippets."""
    if study.agents.constant == "centred":
        return None
    if "constant" not in arrays:
        raise StudyError(
            f"the order of training demonstrations speaks for no constant of {cell.name}; set "
            "agents.constant=centred"
        )
    return float(arrays["constant"])


class _LearnedPay:
    """The frozen reward with its constant (or centred per step), optionally squashed."""

    def __init__(
        self,
        model: RewardEnsemble,
        by_step: NDArray[np.float32] | None,
        constant: float | None,
        *,
        squash: bool,
    ) -> None:
        self._model, self._by_step, self._squash = model, by_step, squash
        self._constant = constant

    def __call__(self, rollout: Rollout) -> NDArray[np.float32]:
        if self._squash:
            raw = self._model.raw(rollout.observations, rollout.actions).mean(axis=0)
            return np.asarray(1 / (1 + np.exp(-raw)), np.float32)
        paid = self._model.rewards(rollout.observations, rollout.actions)
        if self._by_step is None and self._constant is None:
            return paid
        shift = self._model.normalise(np.zeros((len(self._model.networks), 1), np.float32)).mean()
        paid = paid - shift + (self._constant or 0.0)
        if self._by_step is not None:
            times = np.minimum(rollout.episode_times, len(self._by_step) - 1)
            paid = paid - self._by_step[times]
        return np.asarray(paid, np.float32)


def _result(study: StudyConfig, task: AgentTask, steps: int, scores: Scores) -> dict[str, Any]:
    """Scores as they are, normalised, and the official curves' at the same step count."""
    values: dict[str, Any] = {
        "agent": {
            "game": task.game,
            "seed": task.seed,
            "control": task.control,
            "cell": asdict(task.cell) if task.cell else None,
        },
        "steps": steps,
        "train": asdict(scores.train),
        "test": asdict(scores.test),
        "lengths": list(scores.lengths),
    }
    game, environment = task.game.removeprefix("procgen/"), study.environment
    if game in RANGES and environment.distribution_mode in ("easy", "hard"):
        mode = environment.distribution_mode
        values["normalised"] = {
            split: normalised_score(game, mode, getattr(scores, split).value)
            for split in ("train", "test")
        }
        if mode == "easy" and environment.num_levels == 200:
            values["official"] = {
                split: official_score("easy-200", game, split, steps) for split in ("train", "test")
            }
    return values
