from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.registry import make

TASKS = [
    "Ant-v5", "HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5", "InvertedPendulum-v5", "Pusher-v5", "Reacher-v5", "Swimmer-v5",
    "Walker2d-v5",
]  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_on_bit_for_bit_contacts_included(task):
    env = make(EnvironmentConfig(id=task), num_envs=1, seed=2)
    env.reset()
    rng = np.random.default_rng(0)
    space = env.action_space

    def move():
        return rng.uniform(space.low, space.high, (1, *space.shape)).astype(space.dtype)

    for _ in range(60):
        env.step(move())
    state = env.save(0)
    assert len(state) < 10_000  # the state, not the episode
    moves = [move() for _ in range(80)]
    expected = [env.step(one) for one in moves]
    other = make(EnvironmentConfig(id=task), num_envs=1, seed=5)
    other.load(0, state)
    for one, was in zip(moves, expected, strict=True):
        now = other.step(one)
        assert np.array_equal(was[0], now[0])
        assert np.array_equal(was[1], now[1])
        assert np.array_equal(was[2], now[2])


def test_without_early_ends_every_episode_lasts_to_the_limit():
    options = {"terminate_when_unhealthy": False, "max_episode_steps": 100}
    env = make(EnvironmentConfig(id="Hopper-v5", options=options), num_envs=2, seed=0)
    env.reset()
    rng = np.random.default_rng(0)
    for step in range(200):
        _, _, ends, infos = env.step(rng.uniform(-1, 1, (2, 3)).astype(np.float32))
        assert ends.all() == ends.any() == (step % 100 == 99)
    assert all(info["TimeLimit.truncated"] for info in infos)


def rendered(folder: Path, **variables: str) -> str:
    code = (
        "from learner.envs.registry import make\n"
        "from learner.config import EnvironmentConfig\n"
        "from learner.envs.protocol import UnavailableEnvironment\n"
        "try:\n"
        "    config = EnvironmentConfig(id='HalfCheetah-v5')\n"
        "    env = make(config, num_envs=1, seed=0, people_view=True)\n"
        "    env.reset()\n"
        "    print('made')\n"
        "    print(env.render_people().shape)\n"
        "except UnavailableEnvironment as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), **variables},
        cwd=folder,
        check=True,
    )
    assert list(folder.iterdir()) == []  # MuJoCo leaves no log behind
    return result.stdout


@pytest.mark.slow
def test_without_a_display_people_see_pictures_or_read_what_to_install(tmp_path):
    made, said = rendered(tmp_path).splitlines()
    assert made == "made"
    assert said == "(480, 480, 3)" or "install libegl1" in said


def test_without_opengl_it_trains_and_one_line_says_what_people_need(tmp_path):
    made, said = rendered(tmp_path, MUJOCO_EGL_DEVICE_ID="99").splitlines()
    assert made == "made"
    assert "install libegl1" in said


def test_a_backend_that_is_not_here_is_one_line(tmp_path):
    said = rendered(tmp_path, MUJOCO_GL="osmesa").splitlines()[-1]
    assert said == "(480, 480, 3)" or "set MUJOCO_GL=egl" in said
