from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch

from learner.config import RewardConfig
from learner.errors import Diverged
from learner.preferences import LabelledPairs
from learner.rewards.ensemble import ForeignRewardModel, RewardEnsemble, win_probability
from learner.rewards.fitting import fit

Config = Callable[..., RewardConfig]
Make = Callable[..., RewardEnsemble]


def steps(*lead: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*lead, 3)).astype(np.float32)


def test_rewards_of_a_rollout_are_those_of_its_steps(config: Config, ensemble: Make) -> None:
    model, rollout = ensemble(config()), steps(300, 5)

    at_once = model.rewards(rollout)

    assert at_once.shape == (300, 5)
    assert at_once.dtype == np.float32
    one = model.rewards(rollout[7, 2])
    assert one.shape == ()
    assert at_once[7, 2] == pytest.approx(float(one), abs=1e-6)


def test_each_member_is_normalised_over_the_labelled_data(config: Config, ensemble: Make) -> None:
    model = ensemble(config(target_std=0.05))
    seen = steps(40, 5)

    model.calibrate(model.raw(seen), np.ones((40, 5), dtype=bool), centred=True)

    members = model.members(seen)
    assert members.mean(axis=(1, 2)) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert members.std(axis=(1, 2)) == pytest.approx([0.05, 0.05], rel=1e-4)


def test_members_are_normalised_before_they_are_averaged(config: Config, ensemble: Make) -> None:
    """Known values: members 1, 3 and 10, 30 become -s, s each; their average is that too."""
    model = ensemble(config(target_std=1.0))
    raw = np.array([[[1.0, 3.0]], [[10.0, 30.0]]], dtype=np.float32)

    model.calibrate(raw, np.ones((1, 2), dtype=bool), centred=True)

    assert model.normalise(raw).tolist() == [[[-1.0, 1.0]], [[-1.0, 1.0]]]


def test_where_steps_are_missing_zero_keeps_its_meaning(config: Config, ensemble: Make) -> None:
    """Else staying alive, worth 1 a step against 0 after the end, would be worth nothing."""
    model = ensemble(config(target_std=0.05, members=1))
    raw = np.ones((1, 2, 4), dtype=np.float32)
    valid = np.array([[True] * 4, [True, False, False, False]])

    model.calibrate(raw, valid, centred=False)

    assert model.normalise(raw)[0, 0].tolist() == pytest.approx([0.05] * 4)
    assert float(model.normalise(np.zeros((1, 1, 1), dtype=np.float32))[0, 0, 0]) == 0.0


def test_constant_rewards_are_not_blown_up(config: Config, ensemble: Make) -> None:
    model = ensemble(config())
    raw = np.full((2, 3, 4), 0.7, dtype=np.float32)

    model.calibrate(raw, np.ones((3, 4), dtype=bool), centred=True)

    assert np.abs(model.normalise(raw)).max() < 1e-6


def test_missing_steps_are_worth_nothing_in_a_return(config: Config, ensemble: Make) -> None:
    model, segments = ensemble(config()), steps(1, 4)
    valid = np.array([[True, True, False, False]])

    expected = model.raw(segments[:, :2]).sum(axis=2)
    assert model.returns(segments, None, valid) == pytest.approx(expected, abs=1e-6)


def test_the_mean_and_the_spread_are_over_the_members(config: Config, ensemble: Make) -> None:
    model, seen = ensemble(config(members=3)), steps(6)

    members = model.members(seen)
    assert members.shape == (3, 6)
    assert model.rewards(seen) == pytest.approx(members.mean(axis=0))
    assert model.disagreement(seen) == pytest.approx(members.std(axis=0))


def test_probabilities_are_bradley_terry_over_returns(config: Config, ensemble: Make) -> None:
    model = ensemble(config())
    returns = np.array([[0.0, 1.0, 1000.0], [2.0, 2.0, -1000.0]], dtype=np.float32)

    chances = model.probabilities(returns, np.array([[1, 0], [0, 2]]))

    assert chances[0] == pytest.approx([0.731059, 0.0], abs=1e-6)
    assert chances[1] == pytest.approx([0.5, 1.0], abs=1e-6)
    assert win_probability(np.float32(0.0)) == 0.5


def test_a_clip_is_worth_the_same_in_training_and_in_use(
    config: Config, ensemble: Make, pictures: LabelledPairs
) -> None:
    """Frames of 0-255 in one and 0-1 in the other made earlier learners useless."""
    model = ensemble(config(network="christiano", dropout=0.2), image=True)
    batch = pictures.batch(pictures.pairs[0])

    with torch.no_grad(), model.autocast():
        seen = model.prepare(batch.observations.reshape(-1, 43, 43, 3), None)
        training = model.networks[0].eval()(*seen).numpy()

    assert seen[0].max() <= 1.0
    assert model.raw(batch.observations)[0].reshape(-1) == pytest.approx(training, abs=1e-6)


def test_equal_seeds_give_equal_members_and_leave_global_draws_alone(
    config: Config, ensemble: Make
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, third = (ensemble(config(), seed=seed) for seed in (1, 1, 2))

    assert torch.equal(torch.rand(1), expected)
    assert (first.raw(steps(4)) == second.raw(steps(4))).all()
    assert (first.raw(steps(4)) != third.raw(steps(4))).all()
    assert (first.raw(steps(4))[0] != first.raw(steps(4))[1]).all()


def test_bfloat16_is_close_to_float32(
    config: Config, ensemble: Make, pictures: LabelledPairs
) -> None:
    full = ensemble(config(network="christiano"), image=True)
    half = RewardEnsemble(
        full.observation_space, full.action_space, full.config, 1, precision="bfloat16"
    )
    frames = pictures.batch(pictures.pairs[0]).observations

    assert half.raw(frames) == pytest.approx(full.raw(frames), abs=0.01)


def test_a_stored_state_goes_on_bit_for_bit(
    config: Config, ensemble: Make, vectors: Callable[..., LabelledPairs]
) -> None:
    labels, made = vectors(30), config(dropout=0.2, input_noise=0.1, learn_teacher_noise=True)
    unbroken = ensemble(made)
    fit(unbroken, labels, made, np.random.default_rng(0))
    buffer = io.BytesIO()
    torch.save(unbroken.state_dict(), buffer)
    buffer.seek(0)
    resumed = ensemble(made, seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))

    before = int(resumed.optimisers[0].state_dict()["state"][0]["step"])
    reports = [fit(m, labels, made, np.random.default_rng(1)) for m in (unbroken, resumed)]

    after = int(resumed.optimisers[0].state_dict()["state"][0]["step"])
    assert after - before == reports[1].batches[0] < after
    assert repr(reports[0]) == repr(reports[1])
    assert (unbroken.members(steps(9)) == resumed.members(steps(9))).all()
    assert resumed.version == 2


def test_a_copy_shares_nothing(
    config: Config, ensemble: Make, vectors: Callable[..., LabelledPairs]
) -> None:
    made = config()
    model = ensemble(made)
    fit(model, vectors(20), made, np.random.default_rng(0))
    before, twin = str(model.state_dict()), model.copy()

    fit(twin, vectors(20), made, np.random.default_rng(1))

    assert str(model.state_dict()) == before


def test_a_state_of_another_network_is_refused(config: Config, ensemble: Make) -> None:
    state = ensemble(config()).state_dict()

    with pytest.raises(ForeignRewardModel, match="config of its own run"):
        ensemble(config(hidden=(8,))).load_state_dict(state)


def test_rewards_that_are_not_finite_stop_the_run(config: Config, ensemble: Make) -> None:
    advice = "checkpoint is kept, .*start a new run with a lower reward.learning_rate$"
    with pytest.raises(Diverged, match=f"not finite; .*{advice}"):
        ensemble(config()).rewards(np.full((2, 3), np.nan, dtype=np.float32))
