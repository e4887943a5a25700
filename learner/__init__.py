"""Environments, segments, teachers, reward models, agents, evaluation and the worker."""

from __future__ import annotations

import os
from contextlib import suppress

# SB3 and Procgen import the retired gym, which would print its obituary to every user. This has
# to come before either of them; where there is a server alone, neither of them is installed.
with suppress(ModuleNotFoundError):
    from gym_notices import notices

    notices.notices.clear()

# Read when torch is first imported. By default its threads spin while they wait for each other:
# beside a browser and a server on two cores that made small networks up to thirty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
