"""Fitting an ensemble to labelled pairs (Christiano 2017, section 2.2; Ibarz 2018, A.3).

A fit works on a copy and hands it over at its end, so that one that fails changes nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.config import RewardConfig
from learner.errors import AGAIN, Diverged, LearnerError
from learner.preferences import LabelledPairs
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.floors import learn_floors
from learner.rewards.holdout import bootstrap_counts
from learner.rewards.judging import judge
from learner.rewards.norms import estimate_norms
from learner.rewards.objective import (
    Indices,
    Job,
    UnlabelledPairs,
    labelled_loss,
    prepare,
    pseudo_loss,
)
from learner.rewards.report import FitReport, Trained, summarise
from learner.rewards.watching import CHECK_EVERY, Watch

# Furthest that a penalty may move in one fit, as a factor. Ibarz's 1.001 per batch (2018, A.3) is
# 500 over the 6,250 batches between two of their iterations, and next to nothing over our 40.
_L2_REACH = 4.0


class NothingToFit(LearnerError):
    """There are no labels; the message says how to get some."""


def fit(
    ensemble: RewardEnsemble,
    labels: LabelledPairs,
    config: RewardConfig,
    rng: np.random.Generator,
    *,
    passes: float | None = None,
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
        passes: over the labels; None = `initial_epochs` from new weights, `epochs` otherwise.
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
    if passes is None:
        passes = config.initial_epochs if first else config.epochs
    draft.inputs.standardise(_observations(labels))
    splits = [holdout.split(labels, config.holdout, rng) for holdout in draft.holdouts]
    sizes = np.array([[held.sum(), (~learn & ~held).sum()] for learn, held in splits])
    job = prepare(draft, labels, unlabelled, rng, centred=centred)
    counts = [_counts(job, k, learn) for k, (learn, _) in enumerate(splits)]
    with draft.seeded(int(rng.integers(2**31))):
        trained = [
            _fit_member(job, k, counts[k], held, passes, first=first)
            for k, (_, held) in enumerate(splits)
        ]
    judged = judge(job, np.stack(counts) > 0, np.stack([held for _, held in splits]), sizes)
    if config.learn_teacher_noise:
        learn_floors(draft, judged)
    draft.version += 1
    report = summarise(judged, draft.l2, trained, len(labels))
    ensemble.load_state_dict(draft.state_dict())
    return report


def batch_limit(config: RewardConfig, *, image: bool, cuda: bool, first: bool) -> int:
    """Most batches of one member in one fit; the defaults depend on what a batch costs."""
    later = config.max_batches or (40 if image and not cuda else 400)
    return (config.initial_max_batches or 5 * later) if first else later


def _counts(job: Job, member: int, learn: NDArray[np.bool_]) -> Indices:
    """(P,) how often each label is in a member's bag."""
    counts = learn.astype(np.int64)
    if job.config.bootstrap and learn.any():
        counts[learn] = bootstrap_counts(job.labels.ids[learn], job.ensemble.seed, member)
    return counts


def _fit_member(
    job: Job, member: int, counts: Indices, held: NDArray[np.bool_], passes: float, *, first: bool
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
    step = _L2_REACH ** (1 / max(1, min(limit, passes * parts)))
    watch = Watch(job, member, np.repeat(bag, counts[bag]), np.flatnonzero(held), step)
    done = evaluated = 0
    stopped = False
    losses: list[Tensor] = []
    for _ in range(math.ceil(passes)):
        for batch in _batches(job, bag, parts):
            if done == limit:
                break
            if done % CHECK_EVERY == 0:
                _refuse_infinite(losses)
                watch.look()
            watch.adapt()
            losses.append(_step(job, member, batch, counts[batch]))
            done += 1
            evaluated += len(batch)
        if config.early_stopping:
            _settle(job, member, bag, parts, limit)
            stopped = watch.should_stop()
        if stopped or done == limit:
            break
    _refuse_infinite(losses)
    watch.restore()
    if not config.early_stopping:  # which has settled the weights that it goes back to
        _settle(job, member, bag, parts, limit)
    # A fit from new weights cannot go on where another ended.
    unfinished = done == limit and not stopped and config.warm_start
    made = done / max(1, parts)
    left = max(0.0, round(passes - made, 6)) if unfinished else 0.0
    return Trained(batches=done, pairs=evaluated, epochs=made, left=left)


def _settle(job: Job, member: int, bag: Indices, parts: int, limit: int) -> None:
    """Let batch normalisation know the bag before it is used: one pass, or as long as a fit is."""
    if job.config.batch_norm:
        estimate_norms(job, member, _batches(job, bag, parts)[:limit])


def _batches(job: Job, bag: Indices, parts: int) -> list[Indices]:
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


def _step(job: Job, member: int, pairs: Indices, counts: Indices) -> Tensor:
    """One batch: loss, gradient, Adam; each pair counts as often as it was drawn. The loss."""
    network = job.ensemble.networks[member]
    if not network.training:
        network.train()
    optimiser = job.ensemble.optimisers[member]
    optimiser.param_groups[0]["weight_decay"] = 2 * job.ensemble.l2[member]
    optimiser.zero_grad()
    losses, penalty = labelled_loss(job, member, pairs, train=True)
    shares = torch.from_numpy((counts / counts.sum()).astype(np.float32)).to(losses.device)
    total = losses @ shares + penalty
    if job.unlabelled is not None:
        total = total + pseudo_loss(job, job.unlabelled, member, int(counts.sum()))
        network.train()
    total.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return total.detach()


def _refuse_infinite(losses: list[Tensor]) -> None:
    """Look at the losses since the last look, and forget them.

    Not after every batch: a GPU is waited for where one is read. Only the draft can be spoiled.

    Raises:
        Diverged: one of them is not finite.
    """
    if losses and not torch.stack(losses).isfinite().all():
        raise Diverged(
            "the reward model's loss is not finite; check the observations for NaN; "
            f"{AGAIN}; start a new run with a lower reward.learning_rate"
        )
    losses.clear()


def _observations(labels: LabelledPairs) -> NDArray[Any]:
    """Real steps of all segments that are vectors; images are scaled without statistics."""
    first = labels.store[labels.keys[0]]
    if len(first.shape) != 2:
        return first.observations[:0]
    return np.concatenate([labels.store[key].observations for key in labels.keys])
