"""Segments as networks read them: what the batches of one fit are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.preferences import SegmentStore
from learner.rewards.ensemble import RewardEnsemble


@dataclass(frozen=True)
class Sights:
    """Frames as networks read them, and where each step of some segments is among them.

    Attributes:
        seen: (frames, ...) scaled observations on the device.
        done: (frames, ...) actions; 0 wide where none are read.
        places: (n, L) index of each step's frame; padded steps are their segment's last. None = a
            frame for every step, segment by segment.
        valid: (n, L) bool; padded steps are False and worth 0.
        times: (frames,) steps since each frame's episode began; None = unknown.
    """

    seen: Tensor
    done: Tensor
    places: NDArray[np.int64] | None
    valid: NDArray[np.bool_]
    times: NDArray[np.int64] | None

    def by_step(self, values: Tensor) -> Tensor:
        """(n, L) values of the segments' steps, from those of (frames,)."""
        if self.places is None:
            return values.view(self.valid.shape)
        return values.take(torch.from_numpy(self.places).to(values.device))


class Material:
    """Segments of a store, by position; a frame comes once in a batch, whoever shows it.

    Vectors of numbers are scaled once for the whole fit: doing it for each batch takes as long as
    a small network does. Images and categories are when a batch of them is made, because as floats
    they would take many times the memory.
    """

    def __init__(self, ensemble: RewardEnsemble, store: SegmentStore, keys: Sequence[int]) -> None:
        """Take in segments; vectors are scaled as the ensemble scales them now.

        Args:
            ensemble: scales and holds the device.
            store: holds the segments.
            keys: theirs, by position.
        """
        self._ensemble, self._store, self._keys = ensemble, store, keys
        self._all: Sights | None = None
        if len(ensemble.inputs.mean) and keys:
            self._all = self._look(keys, apart=False)

    def __len__(self) -> int:
        return len(self._keys)

    def batch(self, chosen: NDArray[np.integer[Any]], *, apart: bool = False) -> Sights:
        """Some segments; what is `seen` may be changed in place. Call it under `autocast`.

        Args:
            chosen: (n,) positions.
            apart: images get a frame for every step, segment by segment, to be changed each in
                its own way.
        """
        if self._all is None:
            return self._look([self._keys[one] for one in chosen], apart=apart)
        every = self._all
        if every.places is None:
            return _rows(every, chosen)
        frames, places = np.unique(every.places[chosen], return_inverse=True)
        return Sights(
            seen=every.seen[frames],
            done=every.done[frames],
            places=places.reshape(len(chosen), -1),
            valid=every.valid[chosen],
            times=None if every.times is None else every.times[frames],
        )

    def _look(self, keys: Sequence[int], *, apart: bool) -> Sights:
        frames = self._store.frames(keys)
        if apart:
            frames = frames.apart()
        seen, done = self._ensemble.prepare(frames.observations, frames.actions)
        shared = not np.array_equal(frames.places.reshape(-1), np.arange(len(seen)))
        return Sights(seen, done, frames.places if shared else None, frames.valid, frames.times)


def _rows(every: Sights, chosen: NDArray[np.integer[Any]]) -> Sights:
    """Some segments that share no frames: whole rows, which are read faster than single frames."""
    shape, rows = every.valid.shape, torch.from_numpy(chosen).to(every.seen.device)

    def taken(values: Tensor) -> Tensor:
        return values.view(*shape, *values.shape[1:]).index_select(0, rows).flatten(0, 1)

    times = None if every.times is None else every.times.reshape(shape)[chosen].reshape(-1)
    return Sights(taken(every.seen), taken(every.done), None, every.valid[chosen], times)
