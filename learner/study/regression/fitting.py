"""A regressed reward, from transitions to its errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from learner.rewards.regression import RegressedReward, RegressionShape, regress
from learner.seeds import generator, integer
from learner.study.folder import StudyFolder, write_json, write_whole
from learner.study.regression.cases import Fitted
from learner.study.regression.config import RegressionConfig
from learner.study.regression.transitions import Transitions, read


def fit_model(
    study: RegressionConfig, folder: StudyFolder, fitted: Fitted, say: Callable[[str], None]
) -> None:
    """Regress a reward and keep it with its errors."""
    started = time.perf_counter()
    train, test = (_seen(folder, fitted, split) for split in ("train", "test"))
    height, width, channels = train.after.shape[1:]
    model = study.model
    shape = RegressionShape(
        (height, width, channels), model.network, model.reads, model.hidden, model.codes
    )
    reward = RegressedReward(shape, integer(study.seed, f"weights {fitted.name}"))
    passes = regress(
        reward,
        (train.before, train.after, train.rewards),
        (test.before, test.after, test.rewards),
        generator(study.seed, f"batches {fitted.name}"),
        epochs=model.epochs,
        batch_size=model.batch_size,
        learning_rate=model.learning_rate,
        say=say,
    )
    path = fitted.path(folder)
    content = reward.pack()
    write_whole(path.with_suffix(".pt"), lambda file: file.write(content))
    write_json(
        path,
        {
            "model": asdict(fitted.case) | {"variant": fitted.variant.name},
            "passes": [asdict(one) for one in passes],
            "rewarded": {
                "train": float((train.rewards != 0).mean()),
                "test": float((test.rewards != 0).mean()),
            },
            # What predicting the mean reward of the test transitions would leave.
            "variance": float(test.rewards.var()),
            "seconds": time.perf_counter() - started,
        },
    )


def open_model(folder: StudyFolder, fitted: Fitted) -> RegressedReward:
    """A finished one.

    Raises:
        UnreadableRegression: its file is damaged.
    """
    return RegressedReward.unpack(fitted.path(folder).with_suffix(".pt").read_bytes())


def _seen(folder: StudyFolder, fitted: Fitted, split: str) -> Transitions:
    assert split in ("train", "test")
    found = read(fitted.source.path(folder, "train" if split == "train" else "test"))
    return found.masked(fitted.case.game) if fitted.variant.masked else found
