"""What may be loaded where; import-linter checks the arrows, this what really happens."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "procgen", "gym3", "gym", "stable_baselines3", "gymnasium", "learner", "cli"}


@pytest.mark.parametrize("module", ["server.app", "migrations"])
def test_the_server_starts_without_the_learner(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


def test_only_the_records_bring_the_database_to_the_learner() -> None:
    program = "import sys, learner.agents.ppo, learner.asking, learner.replay; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"sqlalchemy", "fastapi", "server"} & set(done.stdout.split())
