"""Steps that a policy takes, with what is seen around them and their true reward."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.agents.acting import agent_for_acting
from learner.agents.payment import pay_true
from learner.agents.ppo import PPOAgent
from learner.config import RunConfig
from learner.envs.atari import score_window
from learner.envs.protocol import Environments, Split
from learner.envs.registry import make
from learner.seeds import generator, integer
from learner.study.config import TEST_START
from learner.study.experts import checkpoints
from learner.study.folder import StudyError, StudyFolder, write_whole
from learner.study.regression.cases import Case, Source, Stage
from learner.study.regression.config import RegressionConfig

_TOLD_EVERY = 5_000  # environment steps between two lines of progress


@dataclass(frozen=True)
class Transitions:
    """Some steps.

    Attributes:
        before: (n, H, W, C) uint8 what was seen before each; None where models do not read it.
        after: (n, H, W, C) uint8 what was seen after it, the end of an episode included.
        rewards: (n,) float32 true rewards, clipped where the policy was paid them so.
    """

    before: NDArray[np.uint8] | None
    after: NDArray[np.uint8]
    rewards: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rewards)

    def masked(self, game: str) -> Transitions:
        """The same without the score.

        Raises:
            StudyError: where this game shows its score is not known.
        """
        window = score_window(game)
        if window is None:
            raise StudyError(f"it is not known where {game} shows its score; set masked to false")
        before = None if self.before is None else hide(self.before, window)
        return Transitions(before, hide(self.after, window), self.rewards)

    def some(self, chosen: NDArray[np.integer[Any]] | slice) -> Transitions:
        """A part of them."""
        before = None if self.before is None else self.before[chosen]
        return Transitions(before, self.after[chosen], self.rewards[chosen])


def hide(frames: NDArray[np.uint8], window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """A copy of (..., H, W, C) frames that is black in a window."""
    hidden = frames.copy()
    hidden[..., window[0], window[1], :] = 0
    return hidden


def policy_config(study: RegressionConfig, case: Case) -> RunConfig:
    """The settings that a case's policy is trained with."""
    seed = integer(study.seed, f"policy {case.name}")
    experts = study.experts
    return study.run(case.game, experts.agent, steps=experts.total_steps, seed=seed, name="policy")


def record(
    study: RegressionConfig,
    folder: StudyFolder,
    source: Source,
    split: Split,
    say: Callable[[str], None],
) -> None:
    """Let a case's policy play, and keep as many transitions as the study wants."""
    wanted = study.transitions.train if split == "train" else study.transitions.test
    kept = checkpoints(source.case.policy(folder))
    players = kept[-1:] if source.players == "newest" else kept
    rng = generator(study.seed, f"transitions {source.name} {split}")
    parts = []
    with closing(_environments(study, source.case, split, source.name)) as environments:
        for number, player in enumerate(players):
            config = policy_config(study, source.case)
            agent = agent_for_acting(config, environments, player.load()["agent"])
            quota = wanted * (number + 1) // len(players) - wanted * number // len(players)
            recorder = _Recorder(study, config, agent, environments)
            say(f"{split}, policy of {player.steps:,} steps")
            parts.append(recorder.collect(quota, rng, balanced=source.balanced, say=say))
    write(source.path(folder, split), _joined(parts))


def record_stream(study: RegressionConfig, folder: StudyFolder, case: Case, stage: Stage) -> None:
    """Keep steps as they come: (steps, environments) in that order, flat."""
    kept = checkpoints(case.policy(folder))
    player = kept[0] if stage == "untrained" else kept[-1]
    rng = generator(study.seed, f"stream {case.name} {stage}")
    with closing(_environments(study, case, "test", f"stream {stage}")) as environments:
        config = policy_config(study, case)
        agent = agent_for_acting(config, environments, player.load()["agent"])
        recorder = _Recorder(study, config, agent, environments)
        steps = -(-study.stream // environments.num_envs)
        seen = [recorder.step(rng) for _ in range(steps)]
    write(case.stream(folder, stage), _joined(seen))


def write(path: Path, transitions: Transitions) -> None:
    """Keep transitions."""
    arrays: dict[str, Any] = {"after": transitions.after, "rewards": transitions.rewards}
    if transitions.before is not None:
        arrays["before"] = transitions.before
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def read(path: Path) -> Transitions:
    """What `write` wrote.

    Raises:
        StudyError: it is missing or damaged; the message names it.
    """
    try:
        with np.load(path) as arrays:
            before = arrays["before"] if "before" in arrays.files else None
            return Transitions(before, arrays["after"], arrays["rewards"])
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise StudyError(f"{path} is damaged; remove it and start the study again") from error


def _environments(study: RegressionConfig, case: Case, split: Split, use: str) -> Environments:
    return make(
        study.environment_of(case.game),
        num_envs=study.transitions.side_by_side,
        seed=integer(study.seed, f"{use} {case.name} {split}"),
        split=split,
        test_start_level=TEST_START,
    )


class _Recorder:
    """Steps environments and keeps what is seen around each step."""

    def __init__(
        self,
        study: RegressionConfig,
        config: RunConfig,
        agent: PPOAgent,
        environments: Environments,
    ) -> None:
        self._agent, self._environments = agent, environments
        self._pay = config.agent
        self._longest = study.transitions.longest
        self._both = study.model.reads == "both"
        self._seen = environments.observe()

    def step(self, rng: np.random.Generator) -> Transitions:
        """One step of every environment."""
        before = self._seen
        seen, rewards, ends, infos = self._environments.step(self._agent.act(before, rng))
        self._seen, after = seen, seen.copy()
        for index in np.flatnonzero(ends):  # `seen` is the next episode's there
            after[index] = infos[index]["terminal_observation"]
        paid = np.asarray(pay_true(rewards, self._pay), np.float32)
        return Transitions(before if self._both else None, after, paid)

    def collect(
        self, count: int, rng: np.random.Generator, *, balanced: bool, say: Callable[[str], None]
    ) -> Transitions:
        """So many transitions: as they come, or half of them rewarded.

        Raises:
            StudyError: rewards are too rare.
        """
        lacking = {True: count // 2, False: count - count // 2}
        parts: list[Transitions] = []
        steps = rewarded = 0
        while (sum(lacking.values()) if balanced else count - steps) > 0:
            if steps >= self._longest:
                raise StudyError(
                    f"{rewarded} of {steps:,} steps are rewarded, {count // 2} are wanted; raise "
                    "transitions.longest or experts.total_steps, or lower transitions.train"
                )
            taken = self.step(rng)
            paid = taken.rewards != 0
            steps, rewarded = steps + len(taken), rewarded + int(paid.sum())
            if not balanced:
                parts.append(taken)
                continue
            # Unrewarded ones are thinned to as many as rewarded ones, spread over the same time.
            likely = (rewarded + 1) / (steps - rewarded + 1)
            chosen = np.flatnonzero(paid | (rng.random(len(paid)) < likely))
            keep = [index for index in chosen if _take(lacking, bool(paid[index]))]
            parts.append(taken.some(np.array(keep, np.int64)))
            if steps % _TOLD_EVERY < len(taken):
                say(f"{steps:,} steps, {lacking[True]} rewarded ones lacking")
        return _joined(parts).some(slice(count))


def _take(lacking: dict[bool, int], rewarded: bool) -> bool:
    """Whether one more of a kind is wanted; counted if so."""
    lacking[rewarded] -= 1
    if lacking[rewarded] < 0:
        lacking[rewarded] = 0
        return False
    return True


def _joined(parts: list[Transitions]) -> Transitions:
    before = None
    if parts[0].before is not None:
        before = np.concatenate([one.before for one in parts if one.before is not None])
    after = np.concatenate([one.after for one in parts])
    return Transitions(before, after, np.concatenate([one.rewards for one in parts]))
