"""Runs that could not come to anything: said in one line, before or instead of training on."""

from __future__ import annotations

from typing import NoReturn

from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.errors import LearnerError
from learner.queries.schedules import untrained_steps


class LongSegments(LearnerError):
    """Segments that no episode can hold."""


class NothingLearned(LearnerError):
    """A run whose agent never trains, for want of steps or of labels to learn a reward from."""


def refuse_short_run(config: RunConfig) -> None:
    """Refuse a learned reward where the untrained policy takes all the steps there are.

    Its steps are whole rollouts, and what is left must be a step in each environment at least.

    Raises:
        NothingLearned: nothing would be trained.
    """
    untrained, total, rollout = untrained_steps(config), config.total_steps, config.rollout_steps
    if config.agent.reward != "learned" or untrained + config.environment.num_envs <= total:
        return
    first = f"the first {untrained} steps are the untrained agent's, in whole rollouts of {rollout}"
    ways = "lower agent.n_steps or environment.num_envs"
    if untrained > rollout:
        ways = "lower queries.initial_steps"
    raise NothingLearned(
        f"total_steps is {total}, but {first}, so it would never be trained; raise total_steps, "
        f"or {ways}"
    )


def refuse_long_segments(config: RunConfig, environments: Environments) -> None:
    """Refuse segments that are longer than an episode can be.

    Raises:
        LongSegments: they are.
    """
    limit, length = environments.limit, config.segments.length
    if limit is not None and length > limit:
        raise LongSegments(
            f"segments.length is {length}, but an episode of {config.environment.id} has at most "
            f"{limit} steps; lower segments.length"
        )


class OnlyTies(LearnerError):
    """First answers that prefer nothing; a run can go on, but will hardly learn."""

    resumable = True


def refuse_ties(config: RunConfig, answers: int, decided: int) -> None:
    """Say so before a run spends its steps on answers that say nothing.

    Args:
        config: the run's.
        answers: given to the first pairs.
        decided: of these, preferences for one of the two clips.

    Raises:
        OnlyTies: there are answers, and none of them prefers a clip.
    """
    if answers and not decided:
        raise OnlyTies(
            f"none of the first {answers} answers prefers a clip; {_decide(config)}; or go on and "
            "ask more of the same"
        )


def _decide(config: RunConfig) -> str:
    """How to get answers that prefer a clip."""
    ways = ["make segments.length longer"]
    if config.teacher.eps_equal:
        ways.insert(0, "lower teacher.eps_equal")
    if config.segments.at_episode_end == "shift":
        ways.append("set segments.at_episode_end=pad")
    if not config.segments.endings and config.environment.episode_end not in ("hide", "penalty"):
        ways.append("raise segments.endings")
    return f"{', '.join(ways)} in a new run"


def refuse_untrained(config: RunConfig, answers: int, decided: int) -> NoReturn:
    """Say why a run that has used up its steps never had a reward model.

    Args:
        config: the run's.
        answers: given in all.
        decided: of these, preferences for one of the two clips.

    Raises:
        NothingLearned: always; the agent was never trained.
    """
    wanted = min(config.queries.min_preferences, config.queries.budget)
    if not answers:
        why = (
            "not one pair was answered; lower teacher.eps_skip, or raise agent.n_steps so that a "
            "rollout holds whole segments"
        )
    elif answers < wanted:
        why = (
            f"only {answers} answers were given and queries.min_preferences is {wanted}; lower it "
            "or raise total_steps"
        )
    elif not decided:
        why = f"none of the {answers} answers prefers a clip; {_decide(config)}"
    else:
        why = (
            f"the {answers} answers came after the last rollout had begun, or do not count; raise "
            "total_steps"
        )
    raise NothingLearned(f"the agent was never trained: {why}")
