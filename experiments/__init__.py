"""Published experiments: configs, grids of them, and their tables."""

from __future__ import annotations
