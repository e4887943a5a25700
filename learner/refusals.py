"""Runs that could not come to anything: said in one line, before or instead of training on."""

from __future__ import annotations

from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.errors import LearnerError


class LongSegments(LearnerError):
    """Segments that no episode can hold."""


class NothingLearned(LearnerError):
    """A whole run without a label that the reward model could learn from."""


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


def refuse_untrained(config: RunConfig, answers: int, decided: int) -> None:
    """Say why a run that has used up its steps never had a reward model.

    Args:
        config: the run's.
        answers: given in all.
        decided: of these, preferences for one of the two clips.

    Raises:
        NothingLearned: it could not have one.
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
        why = (
            f"none of the {answers} answers prefers a clip; lower teacher.eps_equal, make "
            "segments.length longer, or set segments.at_episode_end=pad"
        )
    else:
        return
    raise NothingLearned(f"the agent was never trained: {why}")
