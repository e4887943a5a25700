"""What learning the reward costs: steps per second of the whole loop beside plain PPO.

    python -m benchmarks.loop_overhead [--quick] [--rounds 2] [--game coinrun]

Two runs of one config in one process take turns, an iteration each: one pays the true reward,
one learns it with three image members while 28 labels arrive an iteration, segments are captured
and stored, and the ensemble is refitted at every iteration. Both store checkpoints and figures as
any run does. Turns count from when the first pairs are asked and fitted on; the first fit, which
happens once, is reported by itself, and scoring the agent is part of neither. Measured twice, in
some twelve minutes on two cores: with few labels, and with a buffer of 3,000 that is full before
the first turn that counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Figure, report
from learner.config import RunConfig, parse_config
from learner.control import Control
from learner.loop import TrainingLoop
from learner.records import Settings, Workplace
from server.database import migrate

BARS = {"cpu": 0.80, "cuda": 0.90}
LABELS = 28  # per iteration, as in experiments/coinrun-oracle.yaml
FEW, FULL = 2 * LABELS, 3000  # labels at the first fit; `reward.buffer` holds no more
WARM_UP = 3  # iterations: the first pairs, the first fit, and one as all later ones


class Stopwatch(Control):
    """A control that notes how long each activity takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._doing = ""
        self._since = time.perf_counter()
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "activity":
            self.note(value)
        super().__setattr__(name, value)

    def note(self, doing: str) -> None:
        """End what is done now and start something else."""
        now = time.perf_counter()
        self.seconds[self._doing] += now - self._since
        self.__dict__.update(_doing=doing, _since=now)


class Contender:
    """A run that is taken forward an iteration at a time."""

    def __init__(self, config: RunConfig, var: Path) -> None:
        settings = Settings(var=var)
        migrate(settings.database_url)
        self._workplace = Workplace(settings)
        name = self._workplace.create_run(config.model_dump(mode="json"))
        records = self._workplace.lease("benchmark", name=name)
        assert records is not None, "nobody else leases a run made a moment ago"
        self.watch = Stopwatch()
        self.loop = TrainingLoop(records, self.watch)

    def iterate(self) -> float:
        """Seconds of one iteration."""
        started = time.perf_counter()
        with self.loop.agent.compute.active():
            self.loop.iterate()
        self.watch.note("")
        return time.perf_counter() - started

    def close(self) -> None:
        """Free everything."""
        self.loop.events.close()
        self.loop.environments.close()
        self._workplace.close()


def make_config(game: str, rounds: int, labels: int, n_steps: int) -> dict[str, Any]:
    """A run that can be taken forward by `rounds` iterations, behind those that warm up.

    All first pairs are asked out of its first rollout, `LABELS` out of each later one.
    """
    later = rounds + WARM_UP  # the last one of a run asks nothing and is scored; it is not reached
    return {
        "total_steps": (1 + later) * n_steps * 64,
        "environment": {"id": f"procgen/{game}"},
        "agent": {"n_steps": n_steps},
        "queries": {
            "budget": labels + LABELS * (later - 1),
            "initial": labels,
            "initial_steps": n_steps * 64,
            "schedule": {"kind": "constant"},
        },
        # One that draws its answers decides between clips without a coin, too: no pair is wasted.
        "teacher": {"kind": "synthetic", "beta": 1.0},
        "evaluation": {"every": 10_000, "interim_episodes": 1},
    }


@contextmanager
def contenders(values: dict[str, Any]) -> Iterator[tuple[Contender, Contender]]:
    """The baseline and the whole loop; in one folder, so that their agents are run alike."""
    with tempfile.TemporaryDirectory() as folder:
        plain = parse_config(values | {"agent": values["agent"] | {"reward": "true"}})
        baseline = Contender(plain, Path(folder))
        whole = Contender(parse_config(values), Path(folder))
        print(f"agents: {whole.loop.agent.compute}, reward model: {whole.loop.reward_compute}")
        try:
            yield baseline, whole
        finally:
            baseline.close()
            whole.close()


def measure(name: str, values: dict[str, Any], rounds: int, *, bar: bool) -> list[Figure]:
    """Take turns; the figures are medians over the rounds."""
    with contenders(values) as (baseline, whole):
        first = warm_up(whole)
        for contender in (baseline, whole):
            contender.iterate()
            contender.watch.seconds.clear()
        labels = whole.loop.asking.asked
        seconds = np.array([(baseline.iterate(), whole.iterate()) for _ in range(rounds)])
        labels = whole.loop.asking.asked - labels
        shares = [
            (baseline.watch.seconds, f"{name}: true reward"),
            (whole.watch.seconds, f"{name}: whole loop"),
        ]
        steps = whole.loop.config.rollout_steps
        device = whole.loop.agent.compute.device
    speed = steps / seconds
    ratio = speed[:, 1] / speed[:, 0]
    figures = [
        Figure(
            f"{name}: true reward", float(np.median(speed[:, 0])), "steps/s", _spread(speed[:, 0])
        ),
        Figure(
            f"{name}: whole loop", float(np.median(speed[:, 1])), "steps/s", _spread(speed[:, 1])
        ),
        Figure(
            f"{name}: whole loop / true reward",
            float(np.median(ratio)),
            "x",
            _spread(ratio),
            at_least=BARS[device] if bar else None,
        ),
        Figure(
            f"{name}: labels per iteration",
            labels / rounds,
            at_least=LABELS - 1,
            at_most=LABELS + 1,
        ),
        Figure(f"{name}: iteration with the first fit", first, "s"),
    ]
    for spent, side in shares:
        figures += [
            Figure(f"{side}, {doing}", value / rounds, "s")
            for doing, value in spent.items()
            if doing  # the other's turn
        ]
    return figures


def warm_up(whole: Contender) -> float:
    """Let a run ask its first pairs and fit on all of them; seconds of the iteration that fits."""
    loop, wanted = whole.loop, whole.loop.config.queries.initial
    whole.iterate()
    assert loop.asking.asked >= wanted, f"{loop.asking.asked} of {wanted} first pairs were asked"
    seconds = whole.iterate()
    fitted = len(loop.answers.labels())
    assert loop.version == 1, "the second iteration makes the first fit"
    assert fitted >= wanted, f"{fitted} of {wanted} first labels were fitted on"
    return seconds


def _spread(values: Any) -> float:
    """Half the range."""
    return float(np.ptp(values)) / 2


def main() -> int:
    """Measure and report; 1 if learning the reward costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short rollouts, two rounds, no bar")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--game", default="coinrun")
    options = parser.parse_args()
    rounds, n_steps = (2, 64) if options.quick else (options.rounds, 256)
    figures = []
    for labels in (FEW,) if options.quick else (FEW, FULL):
        values = make_config(options.game, rounds, labels, n_steps)
        figures += measure(f"{labels:,} labels", values, rounds, bar=not options.quick)
    return report("loop_overhead", figures)


if __name__ == "__main__":
    sys.exit(main())
