"""Intervals of shares."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""95 % of a normal distribution lie within so many standard deviations."""


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (Wilson 1927); the whole of [0, 1] of nothing."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + Z * Z / (2 * n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
