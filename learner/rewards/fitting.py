"""Fitting an ensemble to labelled pairs (Christiano 2017, section 2.2; Ibarz 2018, A.3).

A fit works on a copy and hands it over at its end, so that one that fails changes nothing.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.config import RewardConfig
from learner.errors import Diverged, LearnerError
from learner.preferences import LabelledPairs, SegmentStore
from learner.rewards.augmentation import InputNoise, augment, crop
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.floors import SMALLEST_FLOOR, floors_of, learn_floors
from learner.rewards.holdout import bootstrap_counts
from learner.rewards.loss import preference_loss
from learner.rewards.material import Material
from learner.rewards.networks import RewardNetwork
from learner.rewards.report import FitReport, Judged, Trained, summarise

_CHECK_EVERY = 10  # batches between two looks at the held-out loss
_CHECK_PAIRS = 16  # pairs of either side in one look
_CHECK_MEMORY = 0.8  # of the running means that the looks feed
# Furthest that a penalty may move in one fit, as a factor. Ibarz's 1.001 per batch (2018, A.3) is
# 500 over the 6,250 batches between two of their iterations, and next to nothing over our 40.
_L2_REACH = 4.0
_L2_RANGE = (1e-8, 1e-1)
# Inside the band the penalty sinks, slower by this root: what few labels once needed would else
# stay for good, and smooth away what many labels can tell apart.
_L2_SINKING = 0.25
# A pass over 3,000 pairs of images would take longer on a CPU than the fit before it. So metrics
# rest on some of the labels, drawn from all, and normalisation on some steps of every segment.
_JUDGED_IMAGES = 256
_NORMALISED_IMAGES = 8192

Indices = NDArray[np.int64]


class NothingToFit(LearnerError):
    """There are no labels; the message says how to get some."""


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
class _Fit:
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
        return self.ensemble.config


def fit(
    ensemble: RewardEnsemble,
    labels: LabelledPairs,
    config: RewardConfig,
    rng: np.random.Generator,
    *,
    unlabelled: UnlabelledPairs | None = None,
    centred: bool = True,
) -> FitReport:
    """Fit every member to its bag of the labels, then normalise; in place, or not at all.

    Equal ensembles, labels and generators give equal weights, bit for bit, on a CPU.

    Args:
        ensemble: fitted from its present weights (`warm_start`) or from new ones.
        labels: all labels so far; the newest `config.buffer` are used.
        config: must describe the ensemble's networks.
        rng: every draw of this fit comes from it.
        unlabelled: pairs for pseudo-labels, with `pseudo_label_threshold` only.
        centred: whether rewards are to be 0 in the mean over the labelled data. False where the
            steps that short segments lack count as 0 and so say what 0 is worth. Not for the
            data to decide: one uneven pair would change what every step pays.

    Raises:
        NothingToFit: no labels.
        Diverged: a loss is not finite; the ensemble is as it was.
    """
    labels = labels.newest(config.buffer)
    if not len(labels):
        raise NothingToFit("there are no labels to fit; answer at least one pair first")
    draft = ensemble.copy()
    draft.config = config
    first = draft.version == 0 or not config.warm_start
    if draft.version and not config.warm_start:
        draft.reset(int(rng.integers(2**31)))
    draft.inputs.standardise(_observations(labels))
    splits = [holdout.split(labels, config.holdout, rng) for holdout in draft.holdouts]
    sizes = np.array([[held.sum(), (~learn & ~held).sum()] for learn, held in splits])
    job = _prepare(draft, labels, unlabelled, rng, centred=centred)
    counts = [_counts(job, k, learn) for k, (learn, _) in enumerate(splits)]
    with draft.seeded(int(rng.integers(2**31))):
        trained = [
            _fit_member(job, k, counts[k], held, first=first) for k, (_, held) in enumerate(splits)
        ]
    judged = _judge(job, np.stack(counts) > 0, np.stack([held for _, held in splits]), sizes)
    if config.learn_teacher_noise:
        learn_floors(draft, judged)
    draft.version += 1
    report = summarise(judged, draft.l2, trained, len(labels))
    ensemble.load_state_dict(draft.state_dict())
    return report


def _prepare(
    draft: RewardEnsemble,
    labels: LabelledPairs,
    unlabelled: UnlabelledPairs | None,
    rng: np.random.Generator,
    *,
    centred: bool,
) -> _Fit:
    """Put what the whole fit uses on the device."""
    more = None
    if unlabelled is not None and draft.config.pseudo_label_threshold is not None:
        more = Material(draft, unlabelled.store, unlabelled.pairs.reshape(-1).tolist())
    return _Fit(
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


def batch_limit(config: RewardConfig, *, image: bool, cuda: bool, first: bool) -> int:
    """Most batches of one member in one fit; the defaults depend on what a batch costs."""
    later = config.max_batches or (40 if image and not cuda else 400)
    return (config.initial_max_batches or 5 * later) if first else later


def _counts(job: _Fit, member: int, learn: NDArray[np.bool_]) -> Indices:
    """(P,) how often each label is in a member's bag."""
    counts = learn.astype(np.int64)
    if job.config.bootstrap and learn.any():
        counts[learn] = bootstrap_counts(job.labels.ids[learn], job.ensemble.seed, member)
    return counts


def _fit_member(
    job: _Fit, member: int, counts: Indices, held: NDArray[np.bool_], *, first: bool
) -> Trained:
    """Train one member on its bag.

    A label that is several times in the bag comes once per pass and counts so many times: a bag
    of n labels holds 0.63 n different ones, and the same sum of losses costs so much less.
    """
    config, ensemble = job.config, job.ensemble
    cuda = ensemble.device.type == "cuda"
    limit = batch_limit(config, image=ensemble.inputs.image, cuda=cuda, first=first)
    bag = np.flatnonzero(counts)
    parts = max(1, round(counts.sum() / config.batch_size)) if len(bag) else 0
    epochs = config.initial_epochs if first else config.epochs
    step = _L2_REACH ** (1 / max(1, min(limit, epochs * parts)))
    watch = _Watch(job, member, np.repeat(bag, counts[bag]), np.flatnonzero(held), step)
    done = evaluated = 0
    for _ in range(epochs):
        for batch in _batches(job, bag, parts):
            if done == limit:
                break
            if done % _CHECK_EVERY == 0:
                watch.look()
            watch.adapt()
            _step(job, member, batch, counts[batch])
            done += 1
            evaluated += len(batch)
        if (config.early_stopping and watch.should_stop()) or done == limit:
            break
    watch.restore()
    return Trained(batches=done, pairs=evaluated, epochs=done / max(1, parts))


def _batches(job: _Fit, bag: Indices, parts: int) -> list[Indices]:
    """One pass over a bag in a new order; pairs of one group stay together, to share frames."""
    if not parts:
        return []
    if job.labels.groups is None:
        return np.array_split(job.rng.permutation(bag), parts)
    groups = job.labels.groups[bag]
    ordered = bag[np.argsort(groups, kind="stable")]
    sizes = np.unique(groups, return_counts=True)[1]
    shared = np.split(ordered, np.cumsum(sizes)[:-1])
    order = job.rng.permutation(len(shared))
    split = np.array_split(order, min(parts, len(order)))
    return [np.concatenate([shared[group] for group in part]) for part in split]


def _step(job: _Fit, member: int, pairs: Indices, counts: Indices) -> None:
    """One batch: loss, gradient, Adam; each pair counts as often as it was drawn."""
    network = job.ensemble.networks[member]
    if not network.training:
        network.train()
    optimiser = job.ensemble.optimisers[member]
    optimiser.param_groups[0]["weight_decay"] = 2 * job.ensemble.l2[member]
    optimiser.zero_grad()
    losses, penalty = _labelled_loss(job, member, pairs, train=True)
    shares = torch.from_numpy((counts / counts.sum()).astype(np.float32)).to(losses.device)
    total = losses @ shares + penalty
    if job.unlabelled is not None:
        total = total + _pseudo_loss(job, job.unlabelled, member, int(counts.sum()))
        network.train()
    if not math.isfinite(total.item()):
        raise Diverged(
            "the reward model's loss is not finite; check the observations for NaN or lower "
            "reward.learning_rate, then go on from the last checkpoint"
        )
    total.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _labelled_loss(job: _Fit, member: int, pairs: Indices, *, train: bool) -> tuple[Tensor, Tensor]:
    """(pairs,) Bradley-Terry losses, and the weighted penalty of the output."""
    sides = job.labels.pairs[pairs].reshape(-1)
    difference, penalty = _differences(job, member, job.material, sides, train=train)
    chosen = torch.from_numpy(pairs).to(difference.device)
    return preference_loss(difference, job.targets[chosen], job.floors[chosen]), penalty


def _differences(
    job: _Fit, member: int, material: Material, sides: Indices, *, train: bool
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
    places = torch.from_numpy(shown.places).to(rewards.device)
    paid = rewards.take(places) * mask  # (2 x pairs, L); missing steps are worth 0
    count = mask.sum().clamp(min=1)
    penalty = config.output_penalty * paid.square().sum() / count
    if config.output_l1:
        penalty = penalty + config.output_l1 * paid.abs().sum() / count
    if train and network.adversary is not None:
        penalty = penalty + network.adversary(hidden, shown.times)
    returns = paid.sum(1).view(-1, 2)
    return returns[:, 0] - returns[:, 1], penalty


def _pseudo_loss(job: _Fit, unlabelled: Material, member: int, pairs: int) -> Tensor:
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


class _Watch:
    """Compares a member's loss on its bag and on its held-out labels while it trains."""

    def __init__(self, job: _Fit, member: int, bag: Indices, held: Indices, l2_step: float) -> None:
        self._job = job
        self._l2_step = l2_step
        self._member = member
        self._bag = bag
        self._held = held
        self._means: NDArray[np.float64] | None = None
        self._best = math.inf
        self._kept: dict[str, Tensor] = {}
        self._worse = 0

    def look(self) -> None:
        """Update the running losses from a few labels of either side, without dropout."""
        if not self._job.config.adaptive_l2 or not len(self._held):
            return
        sides = (self._bag, self._held)
        seen = np.array([self._loss(self._few(side)) for side in sides])
        old = seen if self._means is None else self._means
        self._means = _CHECK_MEMORY * old + (1 - _CHECK_MEMORY) * seen

    def adapt(self) -> None:
        """One step of the penalty towards held-out loss within [1.1, 1.5] x training loss."""
        if self._means is None:
            return
        learned, held = self._means
        l2 = self._job.ensemble.l2
        if held > 1.5 * learned:
            l2[self._member] = min(l2[self._member] * self._l2_step, _L2_RANGE[1])
        else:
            power = 1.0 if held < 1.1 * learned else _L2_SINKING
            l2[self._member] = max(l2[self._member] / self._l2_step**power, _L2_RANGE[0])

    def should_stop(self) -> bool:
        """Whether the held-out loss has not improved for `early_stopping` epochs."""
        if not len(self._held):
            return False
        loss = self._loss(self._held[-_JUDGED_IMAGES:])
        self._worse += 1
        if loss < self._best:
            self._best, self._worse = loss, 0
            self._kept = copy.deepcopy(self._network.state_dict())
        return self._worse >= self._job.config.early_stopping

    def restore(self) -> None:
        """Go back to the weights of the least held-out loss; Adam's averages stay as they are."""
        if self._worse:
            self._network.load_state_dict(self._kept)

    @property
    def _network(self) -> RewardNetwork:
        return self._job.ensemble.networks[self._member]

    def _few(self, side: Indices) -> Indices:
        return self._job.rng.choice(side, min(_CHECK_PAIRS, len(side)), replace=False)

    def _loss(self, pairs: Indices) -> float:
        self._network.eval()
        with torch.no_grad():
            losses, _ = _labelled_loss(self._job, self._member, pairs, train=False)
        return float(losses.mean())


def _judge(
    job: _Fit, learned: NDArray[np.bool_], held: NDArray[np.bool_], sizes: Indices
) -> Judged:
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


def _sample(job: _Fit) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
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


def _observations(labels: LabelledPairs) -> NDArray[Any]:
    """Real steps of all segments that are vectors; images are scaled without statistics."""
    first = labels.store[labels.keys[0]]
    if len(first.shape) != 2:
        return first.observations[:0]
    return np.concatenate([labels.store[key].observations for key in labels.keys])
