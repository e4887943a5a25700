"""Batch normalisation as use sees it: by statistics of the labels, not of the last few batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from learner.rewards.objective import Indices, Job, labelled_loss


def estimate_norms(job: Job, member: int, batches: Sequence[Indices]) -> None:
    """Set a member's running statistics to their means over batches; nothing without such layers.

    While training they follow with decay 0.99 (Ibarz 2018, A.3): after a fit of 40 batches they
    would be two thirds of what the fit before left, at first 0 and 1. As in
    https://github.com/pytorch/pytorch/blob/main/torch/optim/swa_utils.py (update_bn), but without
    dropout and noise, which use has not either.

    Args:
        job: the fit.
        member: whose network.
        batches: positions of labels, as it was trained on.
    """
    network = job.ensemble.networks[member]
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms or not batches:
        return
    network.eval()
    decays = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches since
        norm.train()
    with torch.no_grad():
        for pairs in batches:
            labelled_loss(job, member, pairs, train=False)
    for norm, decay in zip(norms, decays, strict=True):
        norm.momentum = decay
    network.eval()
