"""Pairs that share frames: computed once per batch, with the losses of pairs that do not."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from learner.config import RewardConfig
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rankings.orders import by_true_return
from learner.rankings.snippets import Sharing, SnippetConfig, Snippets, draw_together
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit
from learner.study.pairs import label

SPACES = gym.spaces.Box(0, 255, (43, 43, 3), np.uint8), gym.spaces.Discrete(4)
SNIPPETS = SnippetConfig(pairs=48, min_length=8, max_length=8, stride=2)
OFFSETS = np.arange(0, 13 * 30, 30)


@pytest.fixture
def shown() -> np.ndarray:
    """Twelve demonstrations of 30 steps; the better one shows more red."""
    frames = np.random.default_rng(0).integers(0, 100, (12 * 30, 43, 43, 3), dtype=np.uint8)
    frames[:, 10:30, 10:30, 0] = 20 * (np.arange(12 * 30) // 30)[:, None, None]
    return frames


@pytest.fixture
def snippets() -> Snippets:
    return draw_together(
        by_true_return(np.arange(12)),
        [np.zeros(30, np.float32)] * 12,
        SNIPPETS,
        Sharing(demonstrations=4, pairs=16),
        np.random.default_rng(1),
    )


@pytest.fixture
def shared(shown: np.ndarray, snippets: Snippets) -> LabelledPairs:
    return label(snippets, shown, np.zeros(len(shown), np.int64), OFFSETS, SNIPPETS)


def apart(labels: LabelledPairs) -> LabelledPairs:
    """The same pairs, each segment with frames of its own."""
    store = SegmentStore(labels.store.length)
    rows = []
    for number, (first, second) in enumerate(labels.pairs):
        for side, index in enumerate((first, second)):
            found = labels.store[labels.keys[index]]
            key = 2 * number + side
            store.add(key, found.observations, found.actions, found.episode)
        answer = {1.0: "a", 0.5: "tie", 0.0: "b"}[float(labels.targets[number])]
        rows.append(PreferenceRow(number, number, 1, 2 * number, 2 * number + 1, answer))
    return replace(labelled_pairs(rows, store), groups=labels.groups)


def fitted(labels: LabelledPairs, **changes: object) -> tuple[RewardEnsemble, dict[str, object]]:
    plain = {"members": 1, "bootstrap": False, "holdout": 0.2, "batch_size": 16}
    quiet = {"input_noise": 0.0, "dropout": 0.0, "initial_max_batches": 6}
    config = RewardConfig.model_validate({**plain, **quiet, **changes})
    model = RewardEnsemble(*SPACES, config, 1)
    return model, fit(model, labels, config, np.random.default_rng(0)).metrics


@pytest.mark.parametrize("changes", [{}, {"output_l1": 0.01, "temporal_crop": 1}])
def test_equal_pairs_have_equal_losses_and_lead_to_equal_weights(
    shared: LabelledPairs, changes: dict[str, object]
) -> None:
    ours, metrics = fitted(shared, **changes)
    theirs, wanted = fitted(apart(shared), **changes)

    assert metrics["reward_model/loss"] == pytest.approx(wanted["reward_model/loss"], rel=1e-5)
    learned, other = (model.networks[0].state_dict() for model in (ours, theirs))
    start = RewardEnsemble(*SPACES, ours.config, 1).networks[0].state_dict()
    for name, weights in learned.items():
        assert weights.numpy() == pytest.approx(other[name].numpy(), abs=1e-4)
    moved = max(float((learned[name] - start[name]).abs().max()) for name in start)
    assert moved > 1e-3


def test_each_frame_of_a_group_is_computed_once(
    shared: LabelledPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    prepare = RewardEnsemble.prepare

    def counting(self: RewardEnsemble, frames: np.ndarray, actions: np.ndarray | None) -> object:
        seen.append(len(frames))
        return prepare(self, frames, actions)

    monkeypatch.setattr(RewardEnsemble, "prepare", counting)
    fitted(shared, adaptive_l2=False, holdout=0.01)
    assert shared.groups is not None
    # 16 pairs name 128 frames; four demonstrations on a grid of two steps have 60.
    assert max(seen[:3]) <= 60


def test_a_group_is_never_split_between_batches(shared: LabelledPairs) -> None:
    """Three groups of 16 pairs give three batches, however few pairs a batch should have."""
    config = RewardConfig(
        members=1, bootstrap=False, holdout=0.01, batch_size=2, initial_epochs=1, buffer=None
    )
    report = fit(RewardEnsemble(*SPACES, config, 1), shared, config, np.random.default_rng(0))
    assert report.batches == (3,)


def test_segments_are_augmented_one_by_one_where_they_share_frames(shared: LabelledPairs) -> None:
    model, metrics = fitted(shared, augmentations=["shift"])
    assert metrics["reward_model/batches"] == 6
    assert np.isfinite(model.rewards(shared.batch(np.arange(2)).observations)).all()
