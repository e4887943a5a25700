"""A run killed at 20 points ends as one that nobody touched: same answers, recipes and metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from learner.records import Workplace
from learner.trajectories import Trajectory

pytestmark = pytest.mark.slow

Build = Callable[..., dict[str, Any]]

VECTORS: dict[str, Any] = {
    "environment": {"id": "CartPole-v1"},
    "agent": {"network": "mlp"},
    "segments": {"at_episode_end": "pad"},
    "reward": {"network": "mlp"},
}
IMAGES: dict[str, Any] = {
    "environment": {"id": "procgen/fruitbot", "num_envs": 4},
    "agent": {"n_steps": 20, "batch_size": 80},
}
EVALUATION = {"every": 3, "interim_episodes": 1, "episodes": 1}
ITERATIONS = 8

# One process that has loaded everything and forks a life at a time. A life is ended by SIGKILL
# after some seconds of its own work, on machines of any speed and load: in a fit, a transaction,
# the writing of an artifact.
LIVES = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
import procgen  # loaded here, once, like what torch and Gymnasium would load in every life
import torch
import torch._dynamo
from gymnasium.envs import classic_control
from learner.control import Control
from learner.loop import TrainingLoop
from learner.records import RunRecords, Settings, Workplace

def live(var, facts):
    torch.set_num_threads(1)
    loop = TrainingLoop(RunRecords(Workplace(Settings(var=Path(var))), *facts), Control())
    begun = time.process_time()
    loop.run()
    return begun, time.process_time()

def work(child):
    return time.clock_gettime((~child << 3) | 2)  # as clock_getcpuclockid(3) puts it on Linux

def life(var, facts, seconds=float("inf")):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.write(tell, json.dumps(live(var, facts)).encode())
        os._exit(0)
    os.close(tell)
    ended = 0
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended and work(child) >= seconds:
            os.kill(child, signal.SIGKILL)
            seconds = float("inf")
        time.sleep(0.005)
    with os.fdopen(told) as pipe:
        return os.waitstatus_to_exitcode(status), pipe.read()

unbroken, broken, iterations = json.loads(sys.argv[1])
status, spent = life(*unbroken)
assert status == 0, status
begun, ended = json.loads(spent)
longest = begun + 1.3 * (ended - begun) / iterations
deaths = [life(*broken, float(one)) for one in np.random.default_rng(0).uniform(0, longest, 20)]
print(json.dumps([*(status for status, _ in deaths), life(*broken)[0]]))
"""


@pytest.mark.parametrize(
    ("changes", "steps"), [(VECTORS, 320), (IMAGES, 80)], ids=["vectors", "images"]
)
def test_a_run_killed_at_20_random_points_ends_as_an_unbroken_one(
    make_workplace: Callable[[str], Workplace],
    tiny: Build,
    stored: Callable[[Workplace], dict[str, list[Any]]],
    changes: dict[str, Any],
    steps: int,
) -> None:
    workplaces, runs = [make_workplace("unbroken"), make_workplace("broken")], []
    config = tiny(**changes, total_steps=ITERATIONS * steps, evaluation=EVALUATION)
    for workplace in workplaces:
        records = workplace.lease("test", name=workplace.create_run(config))
        assert records is not None
        facts = records.run_id, records.name, records.config, records.worker
        runs.append((str(workplace.settings.var), facts))
    command = [sys.executable, "-c", LIVES, json.dumps([*runs, ITERATIONS])]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(told.splitlines()[-1]) == [-9] * 20 + [0]
    unbroken, broken = (stored(workplace) for workplace in workplaces)
    assert broken == unbroken
    assert [why for *_, why in unbroken["preferences"]].count("ordinary") == 16
    for name in broken["recipes"]:  # the artifact before the row that names it
        assert Trajectory.from_bytes(workplaces[1].artifacts.get(name)).steps
