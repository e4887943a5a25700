from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.config import TeacherConfig
from learner.teachers import (
    EPISODES_REMEMBERED,
    TEACHERS,
    Crowd,
    SyntheticTeacher,
    TeacherError,
    preference_probability,
)


def teacher(seed: int = 0, **fields: object) -> SyntheticTeacher:
    return SyntheticTeacher(
        TeacherConfig.model_validate({"kind": "synthetic", **fields}), np.random.default_rng(seed)
    )


def share(answers: list[str | None], which: str | None) -> float:
    return sum(answer == which for answer in answers) / len(answers)


def within_binomial(observed: float, expected: float, n: int) -> bool:
    """True within 4 standard errors: a right teacher fails about once in 16,000 seeds."""
    return abs(observed - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


def test_the_oracle_prefers_the_larger_sum_and_ties_on_equal_ones() -> None:
    oracle = SyntheticTeacher(TEACHERS["oracle"], np.random.default_rng(0))
    assert oracle.answer([0, 1, 0], [0, 0, 0]) == "a"
    assert oracle.answer([0, 0, -4], [0, 0, 0]) == "b"
    assert oracle.answer([1, 0, 0], [0, 0, 1]) == "tie"


def test_a_tie_does_not_depend_on_the_order_in_which_rewards_came() -> None:
    rewards = np.random.default_rng(3).normal(size=200).astype(np.float32)
    oracle = teacher()
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(rewards)
        assert oracle.answer(rewards, shuffled) == "tie"


@pytest.mark.parametrize(("beta", "difference"), [(1.0, 1.0), (2.0, 0.5), (0.25, 4.0)])
def test_boltzmann_answers_are_sampled(beta: float, difference: float) -> None:
    n = 20_000
    stochastic = teacher(beta=beta)
    answers = [stochastic.answer([difference, 0], [0, 0]) for _ in range(n)]
    assert within_binomial(share(answers, "a"), 0.7310585786, n)
    assert share(answers, "a") + share(answers, "b") == 1


def test_a_rational_teacher_with_huge_differences_does_not_overflow() -> None:
    assert teacher(beta=10.0).answer([1e6], [-1e6]) == "a"
    assert preference_probability(-1e6) == 0
    assert preference_probability(0.0) == 0.5


def test_mistakes_flip_their_share_of_answers_and_never_ties() -> None:
    n = 20_000
    mistaken = SyntheticTeacher(TEACHERS["mistake"], np.random.default_rng(1))
    answers = [mistaken.answer([1.0], [0.0]) for _ in range(n)]
    assert within_binomial(share(answers, "b"), 0.1, n)
    always = teacher(eps_mistake=1.0)
    assert always.answer([1.0], [0.0]) == "b"
    assert always.answer([1.0], [1.0]) == "tie"


def test_mistakes_come_after_the_boltzmann_label() -> None:
    n = 20_000
    both = teacher(beta=1.0, eps_mistake=0.1)
    answers = [both.answer([1.0], [0.0]) for _ in range(n)]
    right = 0.7310585786
    assert within_binomial(share(answers, "a"), right * 0.9 + (1 - right) * 0.1, n)


def test_the_myopic_teacher_weighs_the_newest_step_most() -> None:
    myopic = SyntheticTeacher(TEACHERS["myopic"], np.random.default_rng(0))
    oracle = SyntheticTeacher(TEACHERS["oracle"], np.random.default_rng(0))
    early, late = [1.2, 0, 0], [0, 0, 1.0]
    assert oracle.answer(early, late) == "a"
    assert myopic.answer(early, late) == "b"  # 1.2 * 0.9^2 = 0.972 < 1


def test_myopic_weights_are_gamma_to_the_steps_since() -> None:
    n = 20_000
    # 2 * 0.5^2 - 1 * 0.5^0 = -0.5
    both = teacher(beta=1.0, gamma=0.5)
    answers = [both.answer([2.0, 0, 0], [0, 0, 1.0]) for _ in range(n)]
    assert within_binomial(share(answers, "a"), 1 / (1 + math.exp(0.5)), n)


def test_missing_steps_are_worth_nothing_but_take_time() -> None:
    oracle = teacher()
    assert oracle.answer([1.0], [0.0, 0.5, 0.4]) == "a"
    assert oracle.answer([1.0, 0.0], [1.0]) == "tie"
    assert oracle.answer([-1.0], [-0.5, -0.25, 0]) == "b"
    myopic = teacher(gamma=0.5)
    # The short one's reward is two steps old when both are judged.
    assert myopic.answer([1.0], [0.0, 0.0, 0.3]) == "b"
    assert myopic.answer([1.0], [0.0, 0.0, 0.2]) == "a"


def test_a_full_segments_length_may_exceed_both() -> None:
    config = TeacherConfig(kind="synthetic", eps_equal=0.1)
    told = SyntheticTeacher(config, np.random.default_rng(0), segment_length=50)
    untold = SyntheticTeacher(config, np.random.default_rng(0))
    for one in (told, untold):
        one.observe_episode(100.0, 100)
    # Thresholds 5 and 0.2.
    assert told.answer([3.0, 0], [0.0, 0]) == "tie"
    assert untold.answer([3.0, 0], [0.0, 0]) == "a"


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_the_share_of_ties_follows_eps_and_not_its_square(eps: float) -> None:
    """Differences uniform on [0, 1], delta = eps: after any number of sessions, eps of them tie."""
    n = 20_000
    equal = teacher(eps_equal=eps)
    differences = np.random.default_rng(7).random(n)
    answers: list[str | None] = []
    for session in np.split(differences, 10):
        equal.observe_episode(20.0, 500)  # H / T * R_avg = 25 / 500 * 20 = 1
        answers += [equal.answer([d] + [0] * 24, [0] * 25) for d in session]
    first, later = answers[: n // 10], answers[n // 10 :]
    assert within_binomial(share(later, "tie"), eps, len(later))
    assert within_binomial(share(first, "tie"), eps, len(first))


@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_the_share_of_skips_follows_eps_and_not_its_square(eps: float) -> None:
    n = 20_000
    skipping = teacher(eps_skip=eps)
    skipping.observe_episode(20.0, 500)
    worths = np.random.default_rng(8).random(n)
    answers = [skipping.answer([w] + [0] * 24, [0] * 25) for w in worths]
    assert within_binomial(share(answers, None), eps, n)
    assert share(answers, "incomparable") == 0


def test_thresholds_follow_the_last_ten_episodes() -> None:
    one = teacher(eps_equal=0.1)
    assert one.threshold(0.1, 25) == 0
    one.observe_episode(1000.0, 10)
    for _ in range(EPISODES_REMEMBERED):
        one.observe_episode(40.0, 200)
    assert one.threshold(0.1, 25) == pytest.approx(25 / 200 * 40 * 0.1)
    one.observe_episode(80.0, 200)
    assert one.threshold(0.1, 25) == pytest.approx(25 / 200 * 44 * 0.1)


def test_negative_returns_turn_thresholds_off() -> None:
    both = teacher(eps_skip=0.1, eps_equal=0.1)
    both.observe_episode(-1000.0, 200)
    assert both.threshold(0.1, 25) == 0
    assert both.answer([-5.0], [-5.1]) == "a"


def test_skip_comes_first_and_looks_at_the_better_segment() -> None:
    both = teacher(eps_skip=0.1, eps_equal=1.0)
    both.observe_episode(10.0, 1)  # thresholds 1 and 10
    assert both.answer([0.5], [0.5]) is None
    assert both.answer([0.5], [1.5]) == "tie"
    assert both.answer([0.5], [20.0]) == "b"


def test_equal_overrides_a_mistake_and_ignores_discounting() -> None:
    both = teacher(eps_equal=0.1, eps_mistake=1.0, gamma=0.1)
    both.observe_episode(10.0, 3)  # threshold 1
    assert both.answer([1.0, 0, 0], [0, 0, 1.5]) == "tie"
    assert both.answer([0, 0, 5.0], [0, 0, 0.0]) == "b"


def test_rewards_that_cannot_be_judged() -> None:
    with pytest.raises(TeacherError, match="NaN or infinity"):
        teacher().answer([math.nan], [0.0])
    with pytest.raises(TeacherError, match="not finite"):
        teacher().observe_episode(math.inf, 3)


ANY_TEACHER = {"beta": 1.0, "eps_mistake": 0.2, "eps_skip": 0.1, "eps_equal": 0.2, "gamma": 0.9}


def test_equal_seeds_give_equal_answers_and_state_goes_on_where_it_was() -> None:
    rng = np.random.default_rng(5)
    pairs = rng.normal(size=(200, 2, 5))
    whole, broken = teacher(4, **ANY_TEACHER), teacher(4, **ANY_TEACHER)
    expected, answered = [], []
    for index, (a, b) in enumerate(pairs):
        if index == 100:
            state = json.loads(json.dumps(broken.state_dict()))
            broken = teacher(99, **ANY_TEACHER)
            broken.load_state_dict(state)
        for one in (whole, broken):
            one.observe_episode(float(abs(a.sum())), 5)
        expected.append(whole.answer(a, b))
        answered.append(broken.answer(a, b))
    assert answered == expected
    assert set(answered) == {"a", "b", "tie", None}


@settings(deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=8),
    st.lists(st.floats(-10, 10), min_size=1, max_size=8),
)
def test_swapping_the_sides_swaps_the_oracles_answer(a: list[float], b: list[float]) -> None:
    swapped = {"a": "b", "b": "a", "tie": "tie"}
    answer = teacher().answer(a, b)
    assert answer is not None
    assert teacher().answer(b, a) == swapped[answer]


def test_a_crowd_asks_each_of_its_teachers_and_goes_on_from_its_state() -> None:
    configs = [TEACHERS["oracle"], TeacherConfig(kind="synthetic", eps_mistake=1.0)]
    crowd = Crowd(configs, np.random.default_rng(2))
    n = 4_000
    answers = [crowd.answer([1.0], [0.0]) for _ in range(n)]
    assert set(answers) == {(0, "a"), (1, "b")}
    assert within_binomial(sum(asked for asked, _ in answers) / n, 0.5, n)
    assert crowd.answers([1.0], [0.0]) == ["a", "b"]
    again = Crowd(configs, np.random.default_rng(77))
    again.load_state_dict(json.loads(json.dumps(crowd.state_dict())))
    for _ in range(50):
        assert again.answer([1.0], [0.0]) == crowd.answer([1.0], [0.0])


def test_a_crowd_tells_every_teacher_of_an_episode() -> None:
    crowd = Crowd([TEACHERS["equal"], TEACHERS["skip"]], np.random.default_rng(0))
    crowd.observe_episode(100.0, 1)  # thresholds 10
    assert crowd.answers([3.0], [0.0]) == ["tie", None]


def test_an_empty_crowd_is_refused() -> None:
    with pytest.raises(TeacherError, match="at least one"):
        Crowd([], np.random.default_rng(0))
