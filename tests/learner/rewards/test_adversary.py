from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from learner.config import RewardConfig, RunConfig
from learner.preferences import LabelledPairs, PreferenceRow, WindowStore, labelled_pairs
from learner.rewards.adversary import TimeAdversary
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit

SPACES = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), gym.spaces.Discrete(2)
STEPS = 20


def leaking() -> tuple[LabelledPairs, np.ndarray, np.ndarray]:
    """The better snippet is always the later one, and its first number is larger as well."""
    rng = np.random.default_rng(0)
    times = np.tile(np.arange(STEPS), 80)
    shown = rng.normal(size=(80 * STEPS, 4)).astype(np.float32)
    shown[:, 1] = times / 5.0
    store, rows = WindowStore(4, shown, np.zeros(len(shown), np.int64), times), []
    for pair in range(40):
        for side, start in ((0, 14), (1, 2)):
            first = (2 * pair + side) * STEPS + start
            shown[first : first + 4, 0] += 1.0 - side
            store.add_window(2 * pair + side, range(first, first + 4), f"{pair}")
        rows.append(PreferenceRow(pair, pair, 1, 2 * pair, 2 * pair + 1, "a"))
    return labelled_pairs(rows, store), shown, times


def follows_time(weight: float) -> float:
    labels, shown, times = leaking()
    config = RewardConfig(
        network="mlp", hidden=(16,), members=1, bootstrap=False, initial_max_batches=300,
        learning_rate=3e-3, time_adversary=weight, dropout=0.0, input_noise=0.0,
    )  # fmt: skip
    model = RewardEnsemble(*SPACES, config, 1)
    fit(model, labels, config, np.random.default_rng(0))
    rewards = model.rewards(shown)
    return abs(float(np.corrcoef(rewards, times)[0, 1]))


def test_features_forget_the_time_that_the_labels_would_teach():
    assert follows_time(0.0) > 0.6
    assert follows_time(2.0) < follows_time(0.0) - 0.2


def test_the_gradient_is_turned_round_for_features_and_not_for_the_guess():
    torch.manual_seed(0)
    features = torch.randn(64, 8, requires_grad=True)
    times = np.arange(64)
    found = {}
    for weight in (1.0, 2.0):
        adversary = TimeAdversary(8, weight)
        adversary.guess.load_state_dict({k: torch.ones_like(v) / 8 for k, v in
                                         adversary.guess.state_dict().items()})  # fmt: skip
        features.grad = None
        adversary(features, times).backward()
        assert features.grad is not None
        found[weight] = features.grad.clone(), adversary.guess[0].weight.grad.clone()
    assert torch.allclose(found[2.0][0], 2 * found[1.0][0])
    assert torch.allclose(found[2.0][1], found[1.0][1])
    direction = -found[1.0][0] / found[1.0][0].norm()
    worse = TimeAdversary(8, 1.0)
    worse.load_state_dict(adversary.state_dict())
    with torch.no_grad():
        before = worse(features, times)
        assert worse(features + 0.01 * direction, times) > before  # a step down is worse for it


def test_an_ordinary_run_refuses_it():
    with pytest.raises(ValidationError, match="only studies"):
        RunConfig.model_validate({"reward": {"time_adversary": 0.1}})
