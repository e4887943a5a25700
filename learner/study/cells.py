"""Cells: one reward model for one game, sampling rule, number of demonstrations and seed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from learner.config import ConfigError, EnvironmentConfig, RewardConfig
from learner.devices import find_device
from learner.envs.registry import make
from learner.evaluation import baselines
from learner.rankings.orders import RankingError
from learner.rankings.snippets import Rule
from learner.rewards.ensemble import Precision, RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.holdout import HoldOut
from learner.rewards.packing import pack
from learner.seeds import generator, integer
from learner.study.bank import Bank, open_bank
from learner.study.config import SHUFFLED, StudyConfig, VariantConfig
from learner.study.constant import ranked_constant
from learner.study.folder import StudyError, StudyFolder, game_slug, write_json, write_whole
from learner.study.judging import Predicted, evaluation_sets, judge
from learner.study.mazes import maze_epic
from learner.study.pairs import draw_pairs, label
from learner.study.ranking import rank

_PLAIN = VariantConfig(name="plain")


@dataclass(frozen=True)
class Cell:
    """What distinguishes one reward model of a study from another."""

    game: str
    rule: Rule
    count: int
    seed: int
    variant: str = "plain"

    @property
    def name(self) -> str:
        """Its files' name."""
        plain = f"{game_slug(self.game)}-{self.rule}-{self.count:04d}-{self.seed}"
        return plain if self.variant == "plain" else f"{plain}-{self.variant}"


def cells(study: StudyConfig) -> list[Cell]:
    """Every cell of a study, those of few demonstrations first."""
    sweep = study.sweep
    plain = [
        Cell(game, rule, count, seed)
        for count in sorted(sweep.counts)
        for seed in range(sweep.seeds)
        for rule in sweep.rules
        for game in study.games
    ]
    largest = max(sweep.counts)
    changed = [
        Cell(game, rule, largest, seed, variant.name)
        for variant in sweep.every_variant
        for seed in range(sweep.seeds if variant == SHUFFLED else 1)
        for rule in sweep.variant_rules
        for game in study.games
    ]
    return plain + changed


def fit_cell(study: StudyConfig, folder: StudyFolder, cell: Cell) -> None:
    """Fit a cell's reward model, judge it on unseen levels, and keep both."""
    started = time.perf_counter()
    variant = _variant(study, cell)
    snippets_config = _changed(study.snippets, {**variant.snippets, "rule": cell.rule})
    reward_config = _changed(study.reward, variant.reward)
    train, test = (open_bank(folder, cell.game, split) for split in ("train", "test"))
    # Equal for all rules and variants, so that they differ in nothing else.
    rng = generator(study.seed, f"demonstrations {cell.game} {cell.count} {cell.seed}")
    chosen = _choose(train, cell, rng)
    drawing = generator(study.seed, f"snippets {cell.name}")
    drawn = draw_pairs(study, train, chosen, snippets_config, reward_config.holdout, drawing)
    if variant.shuffled:
        drawn = drawn.shuffled(drawing)
    ensemble = _ensemble(study, cell, reward_config)
    ensemble.holdouts = [HoldOut(dict(drawn.sides)) for _ in range(reward_config.members)]
    arrays = train.observations, train.actions, train.offsets
    labels = label(drawn.snippets, *arrays, snippets_config)
    rng = generator(study.seed, f"fit {cell.name}")
    report = fit(ensemble, labels, reward_config, rng, centred=labels.even)
    fitted = time.perf_counter() - started
    by_step = _means_by_step(ensemble, train, chosen) if variant.centred_per_step else None
    constant = _constant(study, ensemble, train, drawn.known, by_step)
    predicted = replace(predict(ensemble, test, by_step), constant=constant)
    sets, problems = evaluation_sets(study, cell.game, test)
    figures = judge(predicted, test, sets, study, generator(study.seed, f"judge {cell.name}"))
    epic = maze_epic(ensemble, study.environment_of(cell.game))
    if epic is not None:
        figures["epic"] = epic
    _keep(folder, cell, ensemble, predicted, by_step)
    write_json(
        folder.cell(cell.name),
        {
            "cell": asdict(cell),
            "figures": figures,
            "fit": report.metrics,
            "snippets": {"pairs": len(drawn.snippets), **drawn.facts},
            "problems": [*train.problems, *test.problems, *problems],
            "seconds": {"fit": fitted, "all": time.perf_counter() - started},
        },
    )


def judge_baselines(study: StudyConfig, folder: StudyFolder, game: str) -> None:
    """Judge rewards that know nothing, and the true one, as reward models are judged."""
    test = open_bank(folder, game, "test")
    sets, problems = evaluation_sets(study, game, test)
    rng = generator(study.seed, f"baselines {game}")
    figures = {
        name: judge(Predicted(one), test, sets, study, rng)
        for name, one in baseline_rewards(test).items()
    }
    write_json(
        folder.cell(f"{game_slug(game)}-baselines"),
        {
            "game": game,
            "figures": figures,
            "sets": {name: {**one.facts, "warning": one.warning} for name, one in sets.items()},
            "demonstrations": [asdict(entry) for entry in test.entries],
            "problems": [*test.problems, *problems],
        },
    )


def baseline_rewards(bank: Bank) -> dict[str, NDArray[np.floating[Any]]]:
    """Rewards of every step that know nothing, and the true one."""
    times = np.concatenate([np.arange(steps) for steps in bank.lengths])
    return {
        "length": baselines.length(bank.observations, times),
        "clock": baselines.clock(bank.observations, times),
        "zero": baselines.zero(bank.observations, times),
        "true": bank.rewards,
    }


def predict(
    ensemble: RewardEnsemble, bank: Bank, by_step: NDArray[np.float64] | None = None
) -> Predicted:
    """The reward of every step of a bank, without the constant that normalisation chose."""
    nats = ensemble.raw(bank.observations, bank.actions)
    shift = ensemble.normalise(np.zeros((len(nats), 1), np.float32)).mean()
    rewards = ensemble.normalise(nats).mean(axis=0, dtype=np.float64) - float(shift)
    if by_step is not None:
        rewards = rewards - np.concatenate(
            [by_step[np.minimum(np.arange(steps), len(by_step) - 1)] for steps in bank.lengths]
        )
        return Predicted(rewards, 0.0, nats=nats)
    return Predicted(rewards, -float(shift), nats=nats)


def read_predictions(folder: StudyFolder, name: str) -> dict[str, NDArray[Any]]:
    """What a cell predicted on the test demonstrations, and its constants.

    Raises:
        StudyError: the file is missing or damaged; the message names it.
    """
    path = folder.cell(name).with_suffix(".npz")
    try:
        with np.load(path) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise StudyError(
            f"{path} is damaged; remove {path.stem}.* beside it and start the study again"
        ) from error


def _variant(study: StudyConfig, cell: Cell) -> VariantConfig:
    return next((one for one in study.sweep.every_variant if one.name == cell.variant), _PLAIN)


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    """A section with a variant's changes."""
    try:
        return type(config).model_validate({**config.model_dump(), **changes})
    except ValueError as error:
        reason = " ".join(str(error).splitlines()[1:3])
        raise ConfigError(f"a variant of the study cannot be used: {reason}") from error


def _choose(train: Bank, cell: Cell, rng: np.random.Generator) -> NDArray[np.int64]:
    if cell.count > len(train):
        raise StudyError(
            f"cell {cell.name} asks for {cell.count} demonstrations, only {len(train)} can be used"
        )
    return rng.permutation(len(train))[: cell.count]


def _ensemble(study: StudyConfig, cell: Cell, config: RewardConfig) -> RewardEnsemble:
    environment: EnvironmentConfig = study.environment_of(cell.game)
    single = make(environment, num_envs=1, seed=0)
    try:
        spaces = single.observation_space, single.action_space
    finally:
        single.close()
    device = find_device(study.device)
    precision: Precision = "float32" if study.precision == "auto" else study.precision
    if device == "cuda" and study.precision == "auto":
        precision = "bfloat16"
    seed = integer(study.seed, f"weights {cell.game} {cell.seed}")
    return RewardEnsemble(*spaces, config, seed=seed, device=device, precision=precision)


def _means_by_step(
    ensemble: RewardEnsemble, train: Bank, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(longest,) mean reward of the training demonstrations at each step of an episode."""
    parts = [train.steps(int(one)) for one in chosen]
    longest = max(part.stop - part.start for part in parts)
    totals, counts = np.zeros(longest), np.zeros(longest)
    shift = ensemble.normalise(np.zeros((len(ensemble.networks), 1), np.float32)).mean()
    for part in parts:
        rewards = ensemble.rewards(np.array(train.observations[part]), train.actions[part]) - shift
        totals[: len(rewards)] += rewards
        counts[: len(rewards)] += 1
    return totals / counts


def _constant(
    study: StudyConfig,
    ensemble: RewardEnsemble,
    train: Bank,
    known: NDArray[np.int64],
    by_step: NDArray[np.float64] | None,
) -> float | None:
    """The constant that the order of some training demonstrations, taken whole, speaks for."""
    some = train.among(known)
    returns = np.array([one.sum() for one in predict(ensemble, some, by_step).per_episode(some)])
    try:
        ranking = rank(study, some.entries)
    except RankingError:
        return None
    return ranked_constant(returns, some.lengths, ranking)


def _keep(
    folder: StudyFolder,
    cell: Cell,
    ensemble: RewardEnsemble,
    predicted: Predicted,
    by_step: NDArray[np.float64] | None,
) -> None:
    """Store model and predictions before the figures: these say that a cell is finished."""
    path = folder.cell(cell.name)
    content = pack(ensemble)
    write_whole(path.with_suffix(".pt"), lambda file: file.write(content))
    arrays = {"rewards": predicted.rewards.astype(np.float32), "centre": np.array(predicted.centre)}
    if predicted.constant is not None:
        arrays["constant"] = np.array(predicted.constant)
    if by_step is not None:
        arrays["by_step"] = by_step.astype(np.float32)
    write_whole(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))
