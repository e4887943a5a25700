"""CoinRun: does a learned reward peak at the coin, or at the wall behind it? Measures and writes.

    python -m experiments.coin var/studies/study-coinrun-fruitbot

Takes a finished study with CoinRun among its games. Its test demonstrations are drawn again without
the coin, without the wall, and with either where no level has it; its reward models say what they
pay. Tables go between the two marks of docs/results/coinrun-coin.md, pictures beside the page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import coin_page
from experiments.levels import Frames
from experiments.scenes import (
    STEPS,
    Reward,
    Scene,
    effects,
    elsewhere_scene,
    end_scene,
    mean_of_known,
    regions,
)
from learner.config import EnvironmentConfig
from learner.envs.registry import make
from learner.evaluation.estimates import Estimate
from learner.evaluation.returns import mean_return
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import unpack
from learner.saliency import maps
from learner.seeds import generator
from learner.study.bank import Bank, open_bank
from learner.study.cells import Cell
from learner.study.folder import StudyFolder, read_json
from learner.study.recording import path_of
from learner.trajectories import Trajectory

PAGE = Path("docs/results/coinrun-coin.md")
GAME = "coinrun"
LOOKED_AT = (1, 5)  # steps before the end of which saliency is taken

Floats = NDArray[np.float64]
Values = dict[str, Any]


def estimates(rows: Sequence[Mapping[str, float]], rng: np.random.Generator) -> dict[str, Estimate]:
    """By figure, its mean over the demonstrations that have it, with the bootstrap's interval."""
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    return {name: known_mean(values, rng) for name, values in columns.items()}


def known_mean(values: Floats, rng: np.random.Generator) -> Estimate:
    """Mean over what is not NaN."""
    return mean_return(values[~np.isnan(values)], rng=rng)


def verdict(coin: Estimate, wall: Estimate, difference: Estimate) -> str:
    """Which of two parts the reward comes from, if the intervals tell.

    Args:
        coin: what the coin adds to the reward.
        wall: what the wall adds.
        difference: by how much the coin adds more.
    """
    if coin.low > 0 and difference.low > 0:
        return "coin"
    if wall.low > 0 and difference.high < 0:
        return "wall"
    return "both" if coin.low > 0 and wall.low > 0 else "neither"


def removed(reward: Reward, scenes: Sequence[Scene], rng: np.random.Generator) -> dict[str, Any]:
    """What is lost where a level ends, by what is taken away, and whether coin or wall decides."""
    rows = [effects(reward, scene) for scene in scenes]
    losses = [
        {name: value if name == "as it is" else -value for name, value in row.items()}
        | {"difference": row["no wall"] - row["no coin"]}
        for row in rows
    ]
    found = estimates(losses, rng)
    decided = verdict(found["no coin"], found["no wall"], found["difference"])
    return {**found, "verdict": decided}


def added(reward: Reward, scenes: Sequence[Scene], rng: np.random.Generator) -> dict[str, Any]:
    """What is gained far from the end, by what is put there, and whether coin or wall decides."""
    rows = [effects(reward, scene) for scene in scenes]
    found = estimates([row | {"difference": row["coin"] - row["wall"]} for row in rows], rng)
    return {**found, "verdict": verdict(found["coin"], found["wall"], found["difference"])}


def approach(reward: Reward, ends: Sequence[Frames], rng: np.random.Generator) -> list[Estimate]:
    """The reward 1, 2, ... steps before the end, over the demonstrations that are as long."""
    values = np.full((len(ends), STEPS), np.nan)
    for row, frames in zip(values, ends, strict=True):
        row[: len(frames)] = reward(frames)[::-1]
    return [known_mean(column, rng) for column in values.T]


def salience(ensemble: RewardEnsemble, scene: Scene) -> dict[str, float]:
    """By region, the mean occlusion saliency of its pixels, over that of the whole view."""
    steps = np.flatnonzero(np.isin(scene.before_end, LOOKED_AT))
    some = scene.at(steps)
    masks, found = regions(some), []
    for step, frame in enumerate(some.frames["as it is"]):
        heat = maps(ensemble, frame, None, "occlusion").astype(np.float64)
        share = heat / heat.mean()
        found.append(
            {
                name: share[mask[step]].mean() if mask[step].any() else np.nan
                for name, mask in masks.items()
            }
        )
    return {name: mean_of_known([one[name] for one in found]) for name in masks}


@dataclass(frozen=True)
class Material:
    """What all reward models of a study are asked about.

    Attributes:
        bank: test demonstrations.
        ends: the last steps of those that reach the coin.
        elsewhere: steps far from the end, of those whose levels are long enough.
        reached: the last frames of demonstrations that reach the coin.
        died: of those that end otherwise before the game's time is up.
    """

    bank: Bank
    ends: Sequence[Scene]
    elsewhere: Sequence[Scene]
    reached: Sequence[Frames]
    died: Sequence[Frames]


def gather(folder: StudyFolder, longest: int) -> Material:
    """Draw a study's test demonstrations again.

    Args:
        folder: the study's.
        longest: steps after which the game gives up.
    """
    bank = open_bank(folder, GAME, "test")
    reached = [index for index, paid in enumerate(bank.returns) if paid > 0]
    died = [
        index
        for index, one in enumerate(bank.entries)
        if one.true_return <= 0 and one.ended and one.length < longest
    ]
    source = folder.demonstrations(GAME, "test")
    recipes = [
        Trajectory.from_bytes(path_of(source, bank.entries[index].number).read_bytes())
        for index in reached
    ]
    config = EnvironmentConfig.model_validate(dict(recipes[0].environment))
    rng = generator(0, "cells elsewhere")
    with ExitStack() as opened:
        envs = (
            opened.enter_context(closing(make(config, num_envs=1, seed=0))),
            opened.enter_context(closing(make(config, num_envs=1, seed=0))),
        )
        ends = [end_scene(recipe, rng, envs) for recipe in recipes]
        far = [elsewhere_scene(recipe, envs) for recipe in recipes]
    return Material(
        bank,
        [scene for scene in ends if len(scene.before_end)],
        [scene for scene in far if scene is not None],
        [bank.observations[bank.steps(index)][-STEPS:] for index in reached],
        [bank.observations[bank.steps(index)][-STEPS:] for index in died],
    )


def findings(ensemble: RewardEnsemble, material: Material) -> dict[str, Any]:
    """All figures of one reward model, in standard deviations of its reward over the test steps."""
    some = ensemble.rewards(material.bank.observations[::10]).astype(np.float64)
    centre, spread = some.mean(), some.std()

    def reward(frames: Frames) -> Floats:
        scaled: Floats = (ensemble.rewards(frames) - centre) / spread
        return scaled

    rng = generator(0, "intervals")
    return {
        "removed": removed(reward, material.ends, rng),
        "added": added(reward, material.elsewhere, rng),
        "reached": approach(reward, material.reached, rng),
        "died": approach(reward, material.died, rng),
        "heat": maps(ensemble, material.ends[0].frames["as it is"][-1], None, "occlusion"),
        "salience": estimates([salience(ensemble, scene) for scene in material.ends], rng),
        "without": {
            name: approach(reward, [scene.frames[name] for scene in _whole(material.ends)], rng)
            for name in ("no coin", "no wall")
        },
    }


def _whole(scenes: Sequence[Scene]) -> list[Scene]:
    """Those steps of scenes that lead to the end without a gap."""
    kept = []
    for scene in scenes:
        expected = np.arange(len(scene.before_end), 0, -1)
        kept.append(scene.at(np.flatnonzero(scene.before_end == expected)))
    return kept


def measure(folder: StudyFolder, results: Values) -> tuple[Material, dict[Cell, Values]]:
    """What was looked at, and by reward model of a finished study all of its figures."""
    material = gather(folder, results["study"]["demonstrations"]["longest"])
    found = {}
    for one in results["cells"]:
        cell = Cell(**one["cell"])
        if cell.game == GAME:
            model = unpack(folder.cell(cell.name).with_suffix(".pt").read_bytes())
            found[cell] = findings(model, material)
    return material, found


def main() -> None:
    """Measure the study named and write its page."""
    folder = StudyFolder(Path(sys.argv[1]))
    material, found = measure(folder, read_json(folder.root / "results.json"))
    coin_page.write(PAGE, found)
    largest = max(cell.count for cell in found)
    heat = {cell: one["heat"] for cell, one in found.items() if cell.count == largest}
    picture = PAGE.with_name(f"{PAGE.stem}-frames.png")
    coin_page.draw_frames(material.ends[0], material.elsewhere[0], heat, picture)
    print(PAGE)


if __name__ == "__main__":
    main()
