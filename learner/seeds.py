"""Random generators, one per purpose, all derived from the run's seed.

A purpose that draws more or less never shifts the draws of another.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose of a run; equal arguments give equal draws."""
    return np.random.default_rng(_sequence(seed, purpose))


def integer(seed: int, purpose: str) -> int:
    """A seed below 2^31 for libraries that want a plain number."""
    return int(_sequence(seed, purpose).generate_state(1)[0]) >> 1


def _sequence(seed: int, purpose: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
