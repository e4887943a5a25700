"""Which pairs are asked: how many, how spread, and what is stored of the choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from learner.agents.ppo import make_agent
from learner.agents.rollouts import Rollout
from learner.asking import Asking
from learner.config import RunConfig, parse_config
from learner.envs.registry import make
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.queries.audit import pair_accuracy
from learner.rewards.holdout import HoldOut

Build = Callable[..., dict[str, Any]]


def config(tiny: Build, **changes: Any) -> RunConfig:
    return parse_config(tiny(**changes))


@pytest.fixture(scope="module")
def played() -> Rollout:
    """A rollout of real FruitBot: 8 environments, 60 steps."""
    values = {
        "environment": {"id": "procgen/fruitbot", "num_envs": 8},
        "agent": {"n_steps": 60, "batch_size": 60},
        "threads": 1,
        "precision": "float32",
    }
    run = parse_config(values)
    environments = make(run.environment, num_envs=8, seed=1)
    environments.reset()
    agent = make_agent(run, environments)
    for iteration in range(3):
        rollout = agent.collect(iteration, capture=True)
    yield rollout
    environments.close()


def test_a_window_is_asked_about_once_while_there_are_others(tiny: Build, played: Rollout) -> None:
    asking = Asking(config(tiny), np.random.default_rng(0))
    questions = asking.choose(played, None, 10)
    seen = Counter(
        (side.segment.trajectory.digest, side.segment.start)
        for question in questions
        for side in (question.a, question.b)
    )
    assert len(questions) == 10
    assert set(seen.values()) == {1}
    assert asking.asked == 10


def test_the_strategy_and_what_uniform_would_have_asked_are_stored(
    tiny: Build, played: Rollout
) -> None:
    run = config(tiny, queries={"uniform_share": 0.5, "strategy": "disagreement"})
    asking = Asking(run, np.random.default_rng(0))
    logits = np.random.default_rng(1).normal(size=(3, 60, 8)).astype(np.float32)
    questions = asking.choose(played, logits, 10)
    strategies = Counter(question.selection["strategy"] for question in questions)
    assert strategies["uniform"] >= 4
    assert strategies["disagreement"] >= 4
    assert {"strategy", "score", "uniform_too"} <= set(questions[0].selection)
    for question in questions:
        facts = question.selection
        assert np.mean(facts["members"]) == pytest.approx(facts["predicted"], abs=1e-3)
        assert np.var(facts["members"]) == pytest.approx(facts["doubt"]["disagreement"], abs=1e-3)
        assert 0 < facts["doubt"]["entropy"] <= np.log(2)
        assert facts["uniform_doubt"] == questions[0].selection["uniform_doubt"]
    chosen = [one.selection for one in questions if one.selection["strategy"] == "disagreement"]
    mean = np.mean([one["doubt"]["disagreement"] for one in chosen])
    assert mean > questions[0].selection["uniform_doubt"]["disagreement"]
    figures = asking.figures
    assert figures["preferences/score"] > figures["preferences/score_uniform"] > 0
    assert 0.5 <= figures["preferences/certainty_uniform"] <= 1
    asking.choose(played, None, 10)  # before there is a reward model all are uniform
    assert asking.figures == {}


@pytest.mark.parametrize("eps_skip", [0.0, 1.0])
def test_the_uniform_share_is_kept_over_a_run_that_asks_a_few_at_a_time(
    tiny: Build, played: Rollout, eps_skip: float
) -> None:
    """Whatever is passed over or skipped is made up for, before and after a resume."""
    share, queries = 0.1, {"uniform_share": 0.1, "candidates": 2}
    teacher = {"kind": "synthetic", "eps_skip": eps_skip}
    run = config(tiny, queries=queries, teacher=teacher, segments={"length": 20})
    logits = np.random.default_rng(1).normal(size=(3, 60, 8)).astype(np.float32)
    asking, asked = Asking(run, np.random.default_rng(0)), []
    for turn in range(60):
        if turn == 30:
            state = asking.state_dict()
            asking = Asking(run, np.random.default_rng(7))
            asking.load_state_dict(state)
        asking.observe(played)
        asked += asking.choose(played, logits, 3 + turn % 3)
        uniform = [one.selection["strategy"] for one in asked].count("uniform")
        assert uniform - share * len(asked) > -1
    assert len(asked) >= 100
    assert uniform <= share * len(asked) + 2


@pytest.mark.parametrize("strategy", ["kcenter", "hybrid"])
def test_kcenter_keeps_away_from_what_is_answered(
    tiny: Build, played: Rollout, strategy: str
) -> None:
    """The pairs that it would ask first are answered already, so it asks others."""
    run = config(tiny, queries={"strategy": strategy, "uniform_share": 0.01, "candidates": 20})

    def ask(answered: LabelledPairs | None) -> set[tuple[Any, ...]]:
        asking = Asking(run, np.random.default_rng(0))
        asking.asked = 1
        asked = asking.choose(
            played,
            np.random.default_rng(1).normal(size=(2, 60, 8)).astype(np.float32),
            3,
            answered=None if answered is None else lambda: answered,
        )
        for key, one in enumerate(asked):
            for side, shown in enumerate((one.a, one.b)):
                steps = shown.segment.trajectory.actions[shown.segment.window]
                store.add(2 * key + side, shown.seen, steps, "")
        return {(one.a.seen.tobytes(), one.b.seen.tobytes()) for one in asked}

    store = SegmentStore(10)
    first = ask(None)
    rows = [PreferenceRow(key, key, 1, 2 * key, 2 * key + 1, "a") for key in range(3)]
    answered = labelled_pairs(rows, store)
    assert len(first) == 3
    assert not first & ask(answered)
    assert ask(labelled_pairs([], store)) == first  # nobody's answers count any more


def test_disagreement_asks_where_members_differ(tiny: Build, played: Rollout) -> None:
    """Two members agree everywhere but in one environment, so its pairs are asked."""
    queries = {"uniform_share": 0.01, "strategy": "disagreement", "candidates": 20}
    asking = Asking(config(tiny, queries=queries), np.random.default_rng(0))
    asking.asked = 1  # the first of a hundred was uniform
    logits = np.zeros((2, 60, 8), np.float32)
    logits[0, :, 5], logits[1, :, 5] = 1.0, -1.0
    questions = asking.choose(played, logits, 3)
    for question in questions:
        episodes = {side.segment.trajectory.episode for side in (question.a, question.b)}
        assert any(episode.startswith("5-") for episode in episodes)


@pytest.mark.parametrize(
    ("asked", "open_pairs", "labels", "due"),
    [(0, 0, 0, 6), (6, 6, 0, 0), (6, 2, 4, 3), (16, 0, 15, 1), (16, 0, 16, 0)],
)
def test_people_always_have_pairs_but_never_more_than_the_budget(
    tiny: Build, asked: int, open_pairs: int, labels: int, due: int
) -> None:
    run = config(
        tiny, teacher={"kind": "person"}, queries={"open_target": 5, "initial": 6, "budget": 16}
    )
    asking = Asking(run, np.random.default_rng(0))
    asking.asked = asked
    assert asking.due(320, open_pairs=open_pairs, labels=labels) == due


def test_first_pairs_for_people_are_spread_over_the_untrained_rollouts(tiny: Build) -> None:
    run = config(
        tiny,
        teacher={"kind": "person"},
        queries={"open_target": 5, "initial": 9, "budget": 16, "initial_steps": 900},
    )
    asking = Asking(run, np.random.default_rng(0))
    due = []
    for rollouts in (1, 2, 3, 4):  # of 320 steps; all pairs answered at once
        due.append(asking.due(320 * rollouts, open_pairs=0, labels=asking.asked))
        asking.asked += due[-1]
    assert due == [3, 3, 3, 5]


def endless(count: int, *, first_step: int) -> Rollout:
    """128 steps of environments whose episodes never end; each step shows its own number."""
    shape = (128, count)
    marks = first_step + np.arange(128)[:, None] + 10_000 * np.arange(count)
    zeros = np.zeros(shape, np.float32)
    return Rollout(
        observations=marks[..., None].astype(np.float32),
        actions=np.zeros(shape, np.int64),
        sampled=zeros,
        true_rewards=zeros,
        ends=np.zeros(shape, np.bool_),
        truncated=np.zeros(shape, np.bool_),
        values=zeros,
        log_probs=zeros,
        last_values=zeros[0],
        levels=np.zeros(shape, np.int64),
        episode_times=first_step + np.arange(128)[:, None] + np.zeros(shape, np.int64),
        first_step=first_step,
    )


def steps_of(labels: LabelledPairs, index: int) -> set[float]:
    return set(labels.store[labels.keys[index]].observations.reshape(-1).tolist())


@pytest.mark.parametrize("count", [8, 64])
def test_endless_episodes_leave_labels_to_be_judged_on(tiny: Build, count: int) -> None:
    """The papers hide ends, so that a rollout holds one part of an episode per environment."""
    run = config(tiny, segments={"length": 10})
    rng = np.random.default_rng(0)
    asking = Asking(run, rng)
    asked = []
    for iteration in range(6):
        pairs = 100 if iteration == 0 else 10
        asked += asking.choose(endless(count, first_step=128 * iteration), None, pairs)
    store, rows = SegmentStore(10), []
    for key, question in enumerate(asked):
        for side, one in enumerate((question.a, question.b)):
            steps = one.segment.trajectory.actions[one.segment.window]
            store.add(2 * key + side, one.seen, steps, one.segment.trajectory.episode)
        rows.append(PreferenceRow(key, key, 1, 2 * key, 2 * key + 1, "a"))
    holdouts = [HoldOut() for _ in range(3)]
    for rows_so_far in (100, 110, 120, 130, 140, 150):
        labels = labelled_pairs(rows[:rows_so_far], store)
        splits = [one.split(labels, 0.368, rng) for one in holdouts]
    for learn, held in splits:
        assert held.mean() >= 0.2
        assert 1 - (learn | held).mean() <= 0.05
        learned, judged = (
            {step for pair in labels.pairs[side] for key in pair for step in steps_of(labels, key)}
            for side in (learn, held)
        )
        assert not learned & judged


def test_accuracy_on_fresh_pairs_is_1_for_the_true_reward_and_0_for_its_negative(
    tiny: Build, played: Rollout
) -> None:
    def accuracy(rewards: Any) -> float:
        rng, members = np.random.default_rng(3), rewards[None]
        found = pair_accuracy(played, members, members, config(tiny).segments, rng)
        return found["reward_model/accuracy_fresh"]

    assert accuracy(played.true_rewards) == 1.0
    assert accuracy(-played.true_rewards) == 0.0
    assert accuracy(np.zeros_like(played.true_rewards)) == 0.5
