"""What a fit makes small: the losses of a batch of pairs, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.config import RewardConfig
from learner.preferences import LabelledPairs, SegmentStore
from learner.rewards.augmentation import InputNoise, augment, crop
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.floors import SMALLEST_FLOOR, floors_of
from learner.rewards.loss import preference_loss
from learner.rewards.material import Material

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class UnlabelledPairs:
    """Pairs nobody has answered, for pseudo-labels (SURF, 2203.10050).

    Attributes:
        store: the segments.
        pairs: (U, 2) keys of segments.
    """

    store: SegmentStore
    pairs: Indices


@dataclass(frozen=True)
class Job:
    """What does not change while one ensemble is fitted."""

    ensemble: RewardEnsemble
    labels: LabelledPairs
    material: Material
    targets: Tensor
    floors: Tensor
    unlabelled: Material | None
    centred: bool
    noise: InputNoise
    rng: np.random.Generator

    @property
    def config(self) -> RewardConfig:
        """Of the ensemble that is fitted."""
        return self.ensemble.config


def prepare(
    draft: RewardEnsemble,
    labels: LabelledPairs,
    unlabelled: UnlabelledPairs | None,
    rng: np.random.Generator,
    *,
    centred: bool,
) -> Job:
    """Put what the whole fit uses on the device."""
    more = None
    if unlabelled is not None and draft.config.pseudo_label_threshold is not None:
        more = Material(draft, unlabelled.store, unlabelled.pairs.reshape(-1).tolist())
    return Job(
        ensemble=draft,
        labels=labels,
        material=Material(draft, labels.store, labels.keys),
        targets=torch.from_numpy(labels.targets).to(draft.device),
        floors=torch.from_numpy(floors_of(draft, labels)).to(draft.device),
        unlabelled=more,
        centred=centred,
        noise=InputNoise(draft.config.input_noise, draft.device, rng),
        rng=rng,
    )


def labelled_loss(job: Job, member: int, pairs: Indices, *, train: bool) -> tuple[Tensor, Tensor]:
    """(pairs,) Bradley-Terry losses, and the weighted penalty of the output."""
    sides = job.labels.pairs[pairs].reshape(-1)
    difference, penalty = _differences(job, member, job.material, sides, train=train)
    chosen = torch.from_numpy(pairs).to(difference.device)
    return preference_loss(difference, job.targets[chosen], job.floors[chosen]), penalty


def _differences(
    job: Job, member: int, material: Material, sides: Indices, *, train: bool
) -> tuple[Tensor, Tensor]:
    """Returns of pairs' first segments minus their second, and the weighted penalty of the output.

    Args:
        job: the fit.
        member: whose rewards.
        material: where the segments are.
        sides: positions of the first and second segment of each pair in turn.
        train: with crops and input noise.
    """
    config, network = job.config, job.ensemble.networks[member]
    with job.ensemble.autocast():
        shown = material.batch(sides, apart=train and bool(config.augmentations))
        valid, seen = shown.valid, shown.seen
        if train:
            valid = crop(valid, config.temporal_crop, job.rng)
            seen = job.noise(augment(seen, len(sides), config.augmentations, job.rng))
        rewards, hidden = network.with_hidden(seen, shown.done)
    mask = torch.from_numpy(valid).to(rewards.device)
    paid = shown.by_step(rewards) * mask  # (2 x pairs, L); missing steps are worth 0
    count = mask.sum().clamp(min=1)
    penalty = config.output_penalty * paid.square().sum() / count
    if config.output_l1:
        penalty = penalty + config.output_l1 * paid.abs().sum() / count
    if train and network.adversary is not None:
        penalty = penalty + network.adversary(hidden, shown.times)
    returns = paid.sum(1).view(-1, 2)
    return returns[:, 0] - returns[:, 1], penalty


def pseudo_loss(job: Job, unlabelled: Material, member: int, pairs: int) -> Tensor:
    """SURF: the member's own confident answers, asked again of crops."""
    there = len(unlabelled) // 2
    count = min(pairs * job.config.pseudo_label_ratio, there)
    if not count:
        return torch.zeros((), device=job.ensemble.device)
    drawn = job.rng.choice(there, count, replace=False)
    sides = np.stack([2 * drawn, 2 * drawn + 1], axis=1).reshape(-1)
    network = job.ensemble.networks[member].eval()
    with torch.no_grad():
        plain, _ = _differences(job, member, unlabelled, sides, train=False)
    network.train()
    threshold = job.config.pseudo_label_threshold or 1.0
    sure = torch.maximum(plain.sigmoid(), (-plain).sigmoid()) >= threshold
    cropped, _ = _differences(job, member, unlabelled, sides, train=True)
    floors = torch.full_like(cropped, max(job.config.error_floor, SMALLEST_FLOOR))
    losses = preference_loss(cropped, (plain > 0).to(cropped.dtype), floors)
    return (losses * sure).mean()
