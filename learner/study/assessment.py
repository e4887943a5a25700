"""A run's reward model and agent on levels that training never saw, judged as a study judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from tempfile import TemporaryFile

import numpy as np

from learner.agents.acting import agent_for_acting
from learner.agents.ppo import PPOAgent
from learner.checkpoints import Checkpoint
from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.scoring import score
from learner.rankings.snippets import SnippetConfig
from learner.replay import replay
from learner.rewards.ensemble import RewardEnsemble
from learner.seeds import generator
from learner.study.bank import Bank
from learner.study.cells import baseline_rewards, predict
from learner.study.config import JudgingConfig, StudyConfig
from learner.study.folder import StudyError
from learner.study.judging import Predicted, evaluation_sets, judge
from learner.study.playing import play_levels, start_of, trajectory_of
from learner.study.recording import Entry
from learner.study.summary import Values, flipped, row
from learner.trajectories import Trajectory

SIDE_BY_SIDE = 32


def assess(
    config: RunConfig,
    checkpoints: Sequence[Checkpoint],
    model: RewardEnsemble,
    episodes: int,
    say: Callable[[str], None],
) -> Values:
    """Judge a reward model on episodes of a run's agents, and score the newest of them.

    Args:
        config: the run's.
        checkpoints: its kept ones, the oldest first; each episode is played by one drawn uniformly.
        model: the reward model.
        episodes: how many, each on a level of its own.
        say: told how it goes.

    Returns:
        `table` (rows as of a study's report), `sets` (what a clock gets on them), `figures`, and
        the newest agent's scores.

    Raises:
        StudyError: the environment cannot be put back into a state.
        RankingError: all episodes have one return.
    """
    study = _judging(config)
    game = config.environment.id
    bank = record_unseen(config, checkpoints, episodes, say)
    sets, problems = evaluation_sets(study, game, bank)
    rng = generator(config.seed, "assessment")
    rewards = {"reward model": predict(model, bank)} | {
        f"baseline: {name}": Predicted(one) for name, one in baseline_rewards(bank).items()
    }
    figures = {name: judge(one, bank, sets, study, rng) for name, one in rewards.items()}
    turned = {"sign-flipped": flipped(figures["reward model"])}
    with closing(_environments(config, 1)) as environments:
        agent = agent_for_acting(config, environments, checkpoints[-1].agent)
        scores = score(agent, config, min(episodes, 100), rewarding=None, pulse=lambda: None)
    return {
        "table": [
            row([{"figures": one}], name, "", None, own="")
            for name, one in {**figures, **turned}.items()
        ],
        "sets": {name: {**one.facts, "warning": one.warning} for name, one in sets.items()},
        "figures": figures,
        "agent": {"train": asdict(scores.train), "test": asdict(scores.test)},
        "problems": problems,
    }


def record_unseen(
    config: RunConfig,
    checkpoints: Sequence[Checkpoint],
    episodes: int,
    say: Callable[[str], None],
) -> Bank:
    """Episodes of a mixture of a run's agents on unseen levels, with all that they show."""
    rng = generator(config.seed, "assessed checkpoints")
    drawn = rng.integers(len(checkpoints), size=episodes)
    first = config.evaluation.test_start_level
    played: list[tuple[Entry, Trajectory]] = []
    with closing(_environments(config, SIDE_BY_SIDE)) as batch:
        if not batch.replayable:
            raise StudyError(
                f"{config.environment.id} cannot be put back into a state, so episodes on chosen "
                "levels cannot be made"
            )
        for index, checkpoint in enumerate(checkpoints):
            numbers = np.flatnonzero(drawn == index)
            agent = agent_for_acting(config, batch, checkpoint.agent)
            for at in range(0, len(numbers), SIDE_BY_SIDE):
                part = [int(number) for number in numbers[at : at + SIDE_BY_SIDE]]
                played += _play(config, agent, batch, first, part, rng)
            say(f"{len(played)} of {episodes} episodes")
    return _bank(sorted(played, key=lambda pair: pair[0].number))


def _play(
    config: RunConfig,
    agent: PPOAgent,
    batch: Environments,
    first: int,
    numbers: list[int],
    rng: np.random.Generator,
) -> list[tuple[Entry, Trajectory]]:
    """One episode on each of some levels."""
    starts = [start_of(config.environment, first + number) for number in numbers]
    found = []
    played = play_levels(agent, batch, starts, 1000, rng)
    for number, start, one in zip(numbers, starts, played, strict=True):
        name, level = f"unseen-{number}", first + number
        trajectory = trajectory_of(one, config.environment, start, level, agent.learned_steps, name)
        found.append((Entry.of(trajectory, number, "test"), trajectory))
    return found


def _bank(played: Sequence[tuple[Entry, Trajectory]]) -> Bank:
    """What the episodes show, in a file that has no name and goes with its array."""
    offsets = np.concatenate([[0], np.cumsum([one.steps for _, one in played], dtype=np.int64)])
    with TemporaryFile() as file:
        for _, trajectory in played:
            shown = replay(trajectory).observations
            file.write(np.ascontiguousarray(shown).tobytes())
        file.flush()
        # Copy on write: torch takes no arrays that it must not write to.
        shape = (int(offsets[-1]), *shown.shape[1:])
        observations = np.memmap(file, shown.dtype, "c", shape=shape)
    return Bank(
        entries=tuple(entry for entry, _ in played),
        observations=observations,
        actions=np.concatenate([one.actions for _, one in played]),
        rewards=np.concatenate([one.rewards for _, one in played]),
        offsets=offsets,
        problems=(),
    )


def _judging(config: RunConfig) -> StudyConfig:
    """How a study with segments of this run's length judges."""
    steps = config.segments.length
    return StudyConfig(
        games=(config.environment.id,),
        seed=config.seed,
        snippets=SnippetConfig(min_length=steps, max_length=steps, stride=1),
        judging=JudgingConfig(pairs=1000),
    )


def _environments(config: RunConfig, count: int) -> Environments:
    return make(config.environment, num_envs=count, seed=0)
