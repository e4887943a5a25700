"""Synthetic teachers: they answer from true segment rewards, with B-Pref's imperfections.

`SyntheticTeacher(TEACHERS["mistake"], rng).answer(rewards_a, rewards_b)`; a `Crowd` mixes several.
Definitions: Lee et al. 2021 (B-Pref), sections 3.2 and 4.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner.config import TeacherConfig
from learner.errors import LearnerError

Answer = Literal["a", "b", "tie", "incomparable"]

# Thresholds follow the policy by its last ten training episodes (B-Pref).
EPISODES_REMEMBERED = 10

# B-Pref's six, by name; anything between them is a `TeacherConfig` with several fields set.
TEACHERS: Mapping[str, TeacherConfig] = {
    "oracle": TeacherConfig(kind="synthetic"),
    "stochastic": TeacherConfig(kind="synthetic", beta=1.0),
    "mistake": TeacherConfig(kind="synthetic", eps_mistake=0.1),
    "skip": TeacherConfig(kind="synthetic", eps_skip=0.1),
    "equal": TeacherConfig(kind="synthetic", eps_equal=0.1),
    "myopic": TeacherConfig(kind="synthetic", gamma=0.9),
}


NOT_FINITE = "an episode's true return is not finite; check the environment's rewards"


class TeacherError(LearnerError):
    """True rewards that no teacher can judge; the message is one line."""

    resumable = True


def refuse_unpaid(rewards: NDArray[np.floating[Any]]) -> None:
    """Refuse to ask about true rewards that are not numbers, whoever is asked.

    The true return is kept beside every trajectory, and answers are judged by it.

    Args:
        rewards: (T,) of a trajectory, environment units.

    Raises:
        TeacherError: one of them is NaN or infinite.
    """
    if not np.isfinite(rewards).all():
        raise TeacherError(NOT_FINITE)


class SyntheticTeacher:
    """Answers a query from the true rewards of its two segments.

    The order is B-Pref's: skip, mark near-equal pairs, label (Boltzmann on discounted sums, or
    the better one), flip by mistake, then let the near-equal mark override.

    A skip is `None`: this teacher gives no answer, nothing is to be stored or trained on, and the
    query may be put to another teacher. "incomparable" is an answer ("can't tell"), stored like
    any other and left out of training; who knows the true rewards can always tell, so a
    synthetic teacher never gives it.
    """

    def __init__(
        self,
        config: TeacherConfig,
        rng: np.random.Generator,
        *,
        segment_length: int | None = None,
    ) -> None:
        """Make a teacher.

        Args:
            config: its rationality, myopia and error rates.
            rng: source of its random answers; the teacher owns it from here on.
            segment_length: steps of a full segment. None takes the longer segment of each
                query, which differs only where both were cut short by an episode's end.
        """
        self._config = config
        self._rng = rng
        self._segment_length = segment_length
        self._episodes: deque[tuple[float, int]] = deque(maxlen=EPISODES_REMEMBERED)

    def observe_episode(self, true_return: float, length: int) -> None:
        """Tell the teacher of a finished training episode, so that its thresholds adapt.

        Raises:
            TeacherError: a return that is not finite.
        """
        assert length >= 1, length
        if not math.isfinite(true_return):
            raise TeacherError(NOT_FINITE)
        self._episodes.append((float(true_return), int(length)))

    def threshold(self, eps: float, segment_length: int) -> float:
        """The adaptive threshold eps * R_avg * H / T, in units of segment return.

        R_avg and T are the mean return and length of the last ten training episodes. Never
        negative: where returns are, B-Pref's rules are off (0). Before the first episode, 0.
        """
        if not self._episodes:
            return 0.0
        mean_return = math.fsum(value for value, _ in self._episodes) / len(self._episodes)
        mean_length = sum(length for _, length in self._episodes) / len(self._episodes)
        return max(0.0, eps * mean_return * segment_length / mean_length)

    def answer(self, rewards_a: ArrayLike, rewards_b: ArrayLike) -> Answer | None:
        """Judge two segments.

        Args:
            rewards_a: (steps,) true rewards of segment a, environment units.
            rewards_b: (steps,) those of b. Lengths may differ where an episode ended inside a
                segment; the missing steps follow its last one and are worth 0.

        Returns:
            "a", "b" or "tie"; None if the teacher skips the query.

        Raises:
            TeacherError: rewards that are NaN or infinite.
        """
        a, b = _finite(rewards_a), _finite(rewards_b)
        length = self._segment_length or max(len(a), len(b))
        assert max(len(a), len(b)) <= length, (len(a), len(b), length)
        sum_a, sum_b = math.fsum(a), math.fsum(b)
        # A threshold of 0 is off: otherwise every pair of negative returns would be skipped.
        skip_below = self.threshold(self._config.eps_skip, length)
        if skip_below > 0 and max(sum_a, sum_b) < skip_below:
            return None
        near_equal = abs(sum_a - sum_b) < self.threshold(self._config.eps_equal, length)
        label = self._label(
            discounted_sum(a, self._config.gamma, length)
            - discounted_sum(b, self._config.gamma, length)
        )
        # Drawn even where the equal mark overrides: who errs next does not hang on it.
        mistaken = bool(self._rng.random() < self._config.eps_mistake)
        if near_equal:
            return "tie"
        return _flip(label) if mistaken else label

    def state_dict(self) -> dict[str, Any]:
        """Generator and remembered episodes, as plain JSON values."""
        return {
            "rng": self._rng.bit_generator.state,
            "episodes": [list(episode) for episode in self._episodes],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]
        self._episodes.clear()
        self._episodes.extend((float(value), int(length)) for value, length in state["episodes"])

    def _label(self, difference: float) -> Answer:
        """The better one; with a finite beta, drawn from its Boltzmann probability."""
        beta = self._config.beta
        if beta is not None:
            draw = self._rng.random()
            return "a" if draw < preference_probability(beta * difference) else "b"
        if difference == 0:
            return "tie"
        return "a" if difference > 0 else "b"


class Crowd:
    """Several synthetic teachers; each query goes to one of them, drawn uniformly."""

    def __init__(
        self,
        configs: Sequence[TeacherConfig],
        rng: np.random.Generator,
        *,
        segment_length: int | None = None,
    ) -> None:
        """Make one teacher per config, each with a generator of its own spawned from `rng`."""
        if not configs:
            raise TeacherError("a crowd needs at least one teacher; name some")
        self._rng = rng
        self.teachers = tuple(
            SyntheticTeacher(config, child, segment_length=segment_length)
            for config, child in zip(configs, rng.spawn(len(configs)), strict=True)
        )

    def observe_episode(self, true_return: float, length: int) -> None:
        """Tell every teacher of a finished training episode."""
        for teacher in self.teachers:
            teacher.observe_episode(true_return, length)

    def answer(self, rewards_a: ArrayLike, rewards_b: ArrayLike) -> tuple[int, Answer | None]:
        """Put a query to one teacher; returns who was asked and what it said (None: skipped)."""
        asked = int(self._rng.integers(len(self.teachers)))
        return asked, self.teachers[asked].answer(rewards_a, rewards_b)

    def answers(self, rewards_a: ArrayLike, rewards_b: ArrayLike) -> list[Answer | None]:
        """Put a query to every teacher, in their order."""
        return [teacher.answer(rewards_a, rewards_b) for teacher in self.teachers]

    def state_dict(self) -> dict[str, Any]:
        """State of the crowd's generator and of each teacher, as plain JSON values."""
        return {
            "rng": self._rng.bit_generator.state,
            "teachers": [teacher.state_dict() for teacher in self.teachers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]
        for teacher, values in zip(self.teachers, state["teachers"], strict=True):
            teacher.load_state_dict(values)


def discounted_sum(rewards: NDArray[np.float64], gamma: float, segment_length: int) -> float:
    """Sum of gamma^(H - t) r_t for t = 1..H: the newest step weighs 1 (B-Pref's myopia).

    Args:
        rewards: (steps,) with steps <= H; steps that are missing at the end are worth 0 but
            still lie between the last reward and the moment of judgement.
        gamma: weight lost per step.
        segment_length: H, in steps.
    """
    weights = gamma ** np.arange(segment_length - 1, segment_length - 1 - len(rewards), -1.0)
    # Exactly rounded, so that the order in which rewards came cannot break a tie.
    return math.fsum(weights * rewards)


def preference_probability(logit: float) -> float:
    """Boltzmann probability that the first segment is preferred: sigmoid, without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    growth = math.exp(logit)
    return growth / (1.0 + growth)


def _finite(rewards: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(rewards, dtype=np.float64)
    assert values.ndim == 1, values.shape
    if not np.isfinite(values).all():
        raise TeacherError(
            "a segment's true rewards hold NaN or infinity; check the environment's rewards"
        )
    return values


def _flip(label: Answer) -> Answer:
    opposite: dict[Answer, Answer] = {"a": "b", "b": "a"}
    return opposite.get(label, label)
