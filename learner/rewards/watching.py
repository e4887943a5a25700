"""Looks at a member while it is trained, and what follows from them: penalty, early stopping."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.rewards.networks import RewardNetwork
from learner.rewards.objective import Indices, Job, labelled_loss

CHECK_EVERY = 10
"""Batches between two looks at the held-out loss."""

_CHECK_PAIRS = 16  # pairs of either side in one look
_CHECK_MEMORY = 0.8  # of the running means that the looks feed
_STOP_PAIRS = 256  # newest held-out pairs that decide on early stopping
_L2_RANGE = (1e-8, 1e-1)
# Inside the band the penalty sinks, slower by this root: what few labels once needed would else
# stay for good, and smooth away what many labels can tell apart. Left alone there, as in the paper,
# CartPole's seed 0 fell short of its bar with 200 labels, at 474 of 500.
_L2_SINKING = 0.25


class Watch:
    """Compares a member's loss on its bag and on its held-out labels while it trains."""

    def __init__(self, job: Job, member: int, bag: Indices, held: Indices, l2_step: float) -> None:
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
        loss = self._loss(self._held[-_STOP_PAIRS:])
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
            losses, _ = labelled_loss(self._job, self._member, pairs, train=False)
        return float(losses.mean())
