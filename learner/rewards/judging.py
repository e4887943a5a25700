"""What a fit says of itself: predictions of the labels, and the scale of its rewards."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from learner.rewards.loss import preference_loss
from learner.rewards.objective import Indices, Job
from learner.rewards.report import Judged

# A pass over 3,000 pairs of images would take longer on a CPU than the fit before it. So metrics
# rest on some of the labels, drawn from all, and normalisation on some steps of every segment.
_JUDGED_IMAGES = 256
_NORMALISED_IMAGES = 8192


def judge(job: Job, learned: NDArray[np.bool_], held: NDArray[np.bool_], sizes: Indices) -> Judged:
    """Predict labels, all or many of them, and normalise the members on their segments."""
    ensemble, kept = job.ensemble, np.arange(len(job.labels))
    some = ensemble.inputs.image and ensemble.device.type == "cpu" and len(kept) > _JUDGED_IMAGES
    if some:
        kept = np.sort(job.rng.choice(kept, _JUDGED_IMAGES, replace=False))
    labels = job.labels.select(kept)
    batches = [
        labels.batch(part)
        for part in np.array_split(np.arange(len(labels.keys)), math.ceil(len(labels.keys) / 64))
    ]
    raw = np.concatenate([ensemble.raw(b.observations, b.actions) for b in batches], axis=1)
    valid = np.concatenate([b.valid for b in batches])
    sample = _sample(job) if some else (raw, valid)
    ensemble.calibrate(*sample, centred=job.centred)
    returns = (raw * valid).sum(axis=2)
    difference = returns[:, labels.pairs[:, 0]] - returns[:, labels.pairs[:, 1]]
    with torch.no_grad():
        losses = preference_loss(
            torch.from_numpy(difference),
            torch.from_numpy(labels.targets),
            job.floors.cpu()[kept],
        )
    return Judged(
        difference=difference,
        losses=losses.numpy(),
        targets=labels.targets,
        teachers=labels.teachers,
        uniform=labels.uniform,
        learned=learned[:, kept],
        held=held[:, kept],
        counts=sizes,
        floors=job.floors.cpu().numpy()[kept],
    )


def _sample(job: Job) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(K, S, n) raw rewards of n random steps of the labelled segments, and their valid mask.

    All segments, or, where there are more than steps to look at, so many random ones.
    """
    labels, rng = job.labels, job.rng
    chosen = np.arange(len(labels.keys))
    if len(chosen) > _NORMALISED_IMAGES:
        chosen = rng.choice(chosen, _NORMALISED_IMAGES, replace=False)
    steps = min(labels.store.length, max(1, _NORMALISED_IMAGES // len(chosen)))
    raw, valid = [], []
    for part in np.array_split(chosen, math.ceil(len(chosen) / 64)):
        batch = labels.batch(part)
        order = rng.permuted(np.tile(np.arange(labels.store.length), (len(part), 1)), axis=1)
        rows, drawn = np.arange(len(part))[:, None], order[:, :steps]
        raw.append(job.ensemble.raw(batch.observations[rows, drawn], batch.actions[rows, drawn]))
        valid.append(batch.valid[rows, drawn])
    return np.concatenate(raw, axis=1), np.concatenate(valid)
