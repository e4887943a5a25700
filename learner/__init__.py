"""Environments, segments, teachers, reward models, agents, evaluation and the worker."""

from __future__ import annotations

from gym_notices import notices

# SB3 and Procgen import the retired gym, which would print its obituary to every user. This has
# to come before either of them.
notices.notices.clear()
