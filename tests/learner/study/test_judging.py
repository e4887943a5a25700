"""What a study says of a reward is that of the reward, not of how it is scaled or counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from learner.evaluation.calibration import brier, expected_calibration_error
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import unpack
from learner.study.bank import Bank, open_bank
from learner.study.cells import predict
from learner.study.judging import TRUE_ALIGNED, Predicted, differences, evaluation_sets, judge

GAME = "maze/coin-flip"


@pytest.fixture
def bank(folder: Any) -> Bank:
    return open_bank(folder, GAME, "test")


@pytest.fixture
def judged(tiny: Any, bank: Bank) -> Any:
    """Figures of a reward on the test demonstrations."""
    study = tiny()
    sets, _ = evaluation_sets(study, GAME, bank)

    def figures(predicted: Predicted) -> dict[str, Any]:
        return judge(predicted, bank, sets, study, np.random.default_rng(0))

    return figures, sets


def rescaled(ensemble: RewardEnsemble, target_std: float) -> RewardEnsemble:
    """The same networks, normalised to pay with another spread."""
    config = ensemble.config.model_copy(update={"target_std": target_std})
    spaces = ensemble.observation_space, ensemble.action_space
    twin = RewardEnsemble(*spaces, config, seed=ensemble.seed)
    twin.load_state_dict(ensemble.state_dict())
    return twin


def test_calibration_is_that_of_the_labels_whatever_agents_are_paid(
    judged: Any, folder: Any, bank: Bank
) -> None:
    figures, _ = judged
    model = unpack(
        folder.cell("maze-coin-flip-time_aligned-0020-0").with_suffix(".pt").read_bytes()
    )
    small, large = (predict(rescaled(model, std), bank) for std in (0.05, 5.0))
    assert large.rewards.std() == pytest.approx(100 * small.rewards.std(), rel=1e-3)
    assert figures(small)["calibration"] == figures(large)["calibration"]


def test_calibration_is_that_of_the_members_mean_probability(judged: Any, bank: Bank) -> None:
    figures, sets = judged
    pairs = sets[TRUE_ALIGNED].snippets
    nats = np.random.default_rng(1).normal(size=(3, bank.offsets[-1])).astype(np.float32)
    found = figures(Predicted(0.01 * nats.mean(axis=0), nats=nats))["calibration"]
    per_member = [[one[bank.steps(index)] for index in range(len(bank))] for one in nats]
    claimed = expit([differences(pairs, one, 1) for one in per_member]).mean(axis=0)
    assert found["brier"] == pytest.approx(brier(claimed, pairs.targets))
    assert found["ece"] == pytest.approx(expected_calibration_error(claimed, pairs.targets))


def test_intervals_rest_on_demonstrations_however_many_pairs_are_drawn(
    judged: Any, bank: Bank
) -> None:
    figures, sets = judged
    found = figures(Predicted(bank.rewards))
    decided = {name: 1 - one["ties"] / 60 for name, one in found["accuracy"].items()}
    assert {name: one["n"] for name, one in found["accuracy"].items()} == {
        name: round(len(bank) / 2 * share) for name, share in decided.items()
    }
    assert found["whole"]["n"] <= len(bank) / 2
    assert found["whole"]["low"] < 0.7  # of 66 pairs, all ordered rightly
    facts = sets[TRUE_ALIGNED].facts
    assert {facts[key]["n"] for key in ("start", "end", "true_labels_agree")} == {len(bank) // 2}
