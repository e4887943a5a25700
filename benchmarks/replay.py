"""Segments replay bit-exact, and capturing them costs next to nothing.

    python -m benchmarks.replay [--quick]

Cuts random segments from rollouts of the real policy on four games, packs and unpacks them,
and plays them again: agent view, rewards and ends must be equal, bit for bit. Collection with
snapshots is timed against collection without them, in turns.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure, report
from learner.agents.ppo import PPOAgent, make_agent
from learner.agents.probe import choose_compute
from learner.agents.rollouts import Rollout
from learner.config import RunConfig, parse_config
from learner.devices import Compute
from learner.envs.registry import make
from learner.replay import verify
from learner.segments import Window, draw_windows, to_segment
from learner.trajectories import Trajectory, TrajectoryError

GAMES = ("coinrun", "fruitbot", "starpilot", "bigfish")
SEGMENTS = 250  # per game
MOST_CAPTURE_SHARE = 5.0  # % of collection time


@dataclass(frozen=True)
class Size:
    """How much is done per game."""

    num_envs: int
    n_steps: int
    rounds: int
    segments: int


@dataclass(frozen=True)
class Times:
    """Seconds that a rollout took; other work on the machine lengthens processor time less."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Outcome:
    """What one game gave.

    Attributes:
        exact: segments that replayed bit-exact.
        segments: segments tried.
        shares: per round, extra processor time of collecting with snapshots, % of the time without.
        snapshot_share: wall time of a rollout's snapshots alone, % of collection without.
        size: mean packed bytes of a segment.
        replay_time: mean seconds to replay and compare one.
    """

    exact: int
    segments: int
    shares: list[float]
    snapshot_share: float
    size: float
    replay_time: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all games and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.replay")
    parser.add_argument("--quick", action="store_true", help="a few segments, a small batch")
    quick = parser.parse_args(arguments).quick
    size = Size(16, 64, 2, 12) if quick else Size(64, 256, 3, SEGMENTS)
    compute: Compute | None = None
    outcomes: dict[str, Outcome] = {}
    for game in GAMES:
        config = _config(game, size)
        env = make(config.environment, num_envs=size.num_envs, seed=0)
        compute = compute or choose_compute(config, env)
        env.reset()
        outcomes[game] = _measure(make_agent(config, env, compute), config, size)
        env.close()
    return report("replay", _figures(outcomes))


def _config(game: str, size: Size) -> RunConfig:
    return parse_config(
        {
            "environment": {"id": f"procgen/{game}", "num_envs": size.num_envs},
            "agent": {"n_steps": size.n_steps, "batch_size": size.n_steps},
        }
    )


def _measure(agent: PPOAgent, config: RunConfig, size: Size) -> Outcome:
    rng = np.random.default_rng(0)
    agent.collect(0, capture=False)  # warm up
    shares, plain_times, exact, sizes, replayed = [], [], 0, [], 0.0
    each = -(-size.segments // size.rounds)
    for iteration in range(size.rounds):
        _, plain = _timed_collect(agent, iteration, capture=False)
        rollout, captured = _timed_collect(agent, iteration, capture=True)
        plain_times.append(plain.wall)
        shares.append(100 * (captured.processor / plain.processor - 1))
        for window in draw_windows(rollout, each, config.segments, rng):
            content = _packed(rollout, window, config)
            sizes.append(len(content))
            begun = time.perf_counter()
            exact += _replays(content)
            replayed += time.perf_counter() - begun
    return Outcome(
        exact,
        len(sizes),
        shares,
        100 * _snapshot_time(agent, len(rollout.anchors)) / float(np.median(plain_times)),
        float(np.mean(sizes)),
        replayed / len(sizes),
    )


def _timed_collect(agent: PPOAgent, iteration: int, *, capture: bool) -> tuple[Rollout, Times]:
    wall, processor = time.perf_counter(), time.process_time()
    rollout = agent.collect(iteration, capture=capture)
    return rollout, Times(time.perf_counter() - wall, time.process_time() - processor)


def _snapshot_time(agent: PPOAgent, anchors: int) -> float:
    """Seconds for the snapshots of one rollout."""
    begun = time.perf_counter()
    for _ in range(anchors):
        for index in range(agent.env.num_envs):
            agent.env.save(index)
    return time.perf_counter() - begun


def _packed(rollout: Rollout, window: Window, config: RunConfig) -> bytes:
    return to_segment(rollout, window, config.environment).trajectory.to_bytes()


def _replays(content: bytes) -> bool:
    try:
        verify(Trajectory.from_bytes(content))
    except TrajectoryError:
        return False
    return True


def _figures(outcomes: dict[str, Outcome]) -> list[Figure]:
    tried = sum(outcome.segments for outcome in outcomes.values())
    exact = sum(outcome.exact for outcome in outcomes.values())
    figures = [
        Figure("segments replayed", tried),
        Figure("bit-exact", 100 * exact / tried, "%", at_least=100),
    ]
    for game, outcome in outcomes.items():
        figures += [
            Figure(
                f"{game}: snapshots, share of collection",
                outcome.snapshot_share,
                "%",
                at_most=MOST_CAPTURE_SHARE,
            ),
            Figure(
                f"{game}: collection with snapshots, more processor time",
                float(np.median(outcome.shares)),
                "%",
                spread=float(np.ptp(outcome.shares) / 2),
            ),
            Figure(f"{game}: packed segment", outcome.size / 1000, "kB"),
            Figure(f"{game}: replay of one", 1000 * outcome.replay_time, "ms"),
        ]
    return figures


if __name__ == "__main__":
    sys.exit(main())
