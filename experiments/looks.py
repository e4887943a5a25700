"""The interval of a model that was picked as the best of several on the same demonstrations.

    python -m experiments.looks var/studies/NAME CELL LOOKS

Of its partial Spearman correlation given length: 95 % as if it had been the only one looked at, and
95 % for all of LOOKS together (Bonferroni: each at 1 - 0.05 / LOOKS), 20,000 resamples of the test
demonstrations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from learner.evaluation.correlation import partial_spearman
from learner.evaluation.estimates import Estimate
from learner.study.bank import open_bank
from learner.study.cells import Cell, read_predictions
from learner.study.folder import StudyFolder, read_json
from learner.study.judging import Predicted

RESAMPLES = 20_000


def picked(folder: StudyFolder, name: str, looks: int) -> tuple[Estimate, Estimate]:
    """A cell's partial correlation, as of one look and as the best of several."""
    assert looks >= 1, looks
    bank = open_bank(folder, Cell(**read_json(folder.cell(name))["cell"]).game, "test")
    predicted = Predicted(read_predictions(folder, name)["rewards"])
    returns = [one.sum() for one in predicted.per_episode(bank)]
    once, together = (
        partial_spearman(
            returns,
            bank.returns,
            bank.lengths,
            rng=np.random.default_rng(0),
            resamples=RESAMPLES,
            confidence=confidence,
        )
        for confidence in (0.95, 1 - 0.05 / looks)
    )
    return once, together


def main() -> None:
    """Print both intervals."""
    root, name, looks = sys.argv[1:]
    for said, one in zip(
        ("one look", f"best of {looks}"),
        picked(StudyFolder(Path(root)), name, int(looks)),
        strict=True,
    ):
        print(f"{name}, {said}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})")


if __name__ == "__main__":
    main()
