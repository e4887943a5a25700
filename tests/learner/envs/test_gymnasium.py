from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import learner.envs.gymnasium
from learner.config import EnvironmentConfig
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.registry import make


class Clock(gymnasium.Env):
    """Shows the time and pays it: reward t for the step taken at time t."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, render_mode=None, *, last=7, observation_space=None, action_space=None):
        self.render_mode = render_mode
        self.last = last
        self.observation_space = observation_space or spaces.Box(0, 100, (2,), np.float64)
        self.action_space = action_space or spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.name = 0, self.np_random.integers(100)
        return self.seen(), {}

    def step(self, action):
        paid = self.time
        self.time += 1
        return self.seen(), paid, self.time == self.last, False, {}

    def seen(self):
        return np.array([self.time, self.name], np.float64)

    def render(self):
        return np.full((40, 60, 3), 10 * self.time, np.uint8)


class Blind(Clock):
    """Has no pictures."""

    metadata = {"render_modes": []}  # noqa: RUF012


class Dice(Clock):
    """Breaks the promise to repeat itself."""

    def seen(self):
        return np.random.default_rng().random(2)


gymnasium.register("Clock-v0", Clock)
gymnasium.register("LimitedClock-v0", Clock, max_episode_steps=5)
gymnasium.register("Dice-v0", Dice)
gymnasium.register("LimitedDice-v0", Dice, max_episode_steps=5)
gymnasium.register("Blind-v0", Blind)
for name, space in [
    ("Lists-v0", {"observation_space": spaces.Sequence(spaces.Discrete(2))}),
    ("Talks-v0", {"action_space": spaces.Text(5)}),
    ("FromOne-v0", {"action_space": spaces.Discrete(2, start=1)}),
]:
    gymnasium.register(name, Clock, kwargs=space)


def config(name: str, **changes) -> EnvironmentConfig:
    return EnvironmentConfig.model_validate({"id": name, **changes})


def test_rewards_go_with_the_observation_before_the_action_and_ends_with_the_right_one():
    env = make(config("Clock-v0"), num_envs=2, seed=0)
    seen = env.reset()
    names = {seen[0, 1]}
    for step in range(21):
        assert seen[:, 0].tolist() == [step % 7] * 2
        following, rewards, ends, infos = env.step(np.array([0, 1]))
        assert rewards.tolist() == [step % 7] * 2
        assert ends.tolist() == [step % 7 == 6] * 2
        if ends[0]:
            # The last observation is the old episode's; the one returned is the next's first.
            assert infos[0]["terminal_observation"][0] == 7
            assert infos[0]["terminal_observation"][1] == seen[0, 1]
            assert following[0, 0] == 0
            assert infos[0]["TimeLimit.truncated"] is False
            assert infos[0]["episode"] == {"r": 21.0, "l": 7, "level": -1}
            names.add(following[0, 1])
        seen = following
    assert len(names) == 4  # every episode is another


def test_a_time_limit_truncates():
    env = make(config("LimitedClock-v0"), num_envs=1, seed=0)
    env.reset()
    for step in range(5):
        _, _, ends, infos = env.step(np.array([0]))
        assert ends[0] == (step == 4)
    assert infos[0]["TimeLimit.truncated"] is True
    assert infos[0]["episode"] == {"r": 10.0, "l": 5, "level": -1}
    shorter = config("LimitedClock-v0", options={"max_episode_steps": 3})
    env = make(shorter, num_envs=1, seed=0)
    env.reset()
    assert [bool(env.step(np.array([0]))[2][0]) for _ in range(3)] == [False, False, True]


def test_an_end_at_the_time_limit_is_an_end():
    env = make(config("LimitedClock-v0", options={"last": 5}), num_envs=1, seed=0)
    env.reset()
    infos = [env.step(np.array([0]))[3][0] for _ in range(5)]
    assert infos[-1]["TimeLimit.truncated"] is False


def test_episodes_of_length_one_work():
    env = make(config("Clock-v0", options={"last": 1}), num_envs=3, seed=0)
    env.reset()
    for _ in range(4):
        seen, _, ends, infos = env.step(np.zeros(3, int))
        assert ends.all()
        assert seen[:, 0].tolist() == [0, 0, 0]
        assert [info["episode"]["l"] for info in infos] == [1, 1, 1]


def test_environments_that_do_not_repeat_themselves_are_not_replayable():
    assert make(config("Clock-v0"), num_envs=1, seed=0).replayable
    assert not make(config("Dice-v0"), num_envs=1, seed=0).replayable


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 5),
        ({"frame_stack": 2}, 5),
        ({"episode_end": "fixed_horizon", "horizon": 4}, 4),
    ],
)
def test_an_episode_that_cannot_be_put_back_is_another_one_from_its_first_step(changes, length):
    """Else it would be paid for the old one's steps as well, and cut short by its length."""
    env = make(config("LimitedDice-v0", **changes), num_envs=1, seed=0)
    env.reset()
    for _ in range(3):
        env.step(np.array([0]))
    state = env.save(0)
    again = make(config("LimitedDice-v0", **changes), num_envs=1, seed=1)
    again.reset()
    again.load(0, state)
    if "frame_stack" in changes:
        np.testing.assert_array_equal(again.observe()[0, :2], again.observe()[0, 2:])
    while True:
        _, _, (end,), infos = again.step(np.array([0]))
        if end:
            break
    assert infos[0]["episode"]["l"] == length
    assert infos[0]["episode"]["r"] == sum(range(length))


def test_cartpole_ends_outside_its_bounds_and_lasts_at_most_500_steps():
    env = make(config("CartPole-v1"), num_envs=4, seed=0)
    env.reset()
    rng, seen = np.random.default_rng(0), 0
    while seen < 20:
        _, _, ends, infos = env.step(rng.integers(0, 2, 4))
        for index in np.flatnonzero(ends):
            x, _, angle, _ = infos[index]["terminal_observation"]
            assert abs(x) > 2.4 or abs(angle) > 0.2094
            assert infos[index]["episode"]["r"] == infos[index]["episode"]["l"]
            seen += 1
    assert env.fps == 50


@pytest.mark.parametrize(
    ("space", "shape", "dtype"),
    [
        (spaces.Discrete(5), (5,), np.float32),
        (spaces.MultiBinary(3), (3,), np.float32),
        (spaces.Box(0, 255, (8, 9), np.uint8), (8, 9, 1), np.uint8),
        (spaces.Box(0, 255, (8, 9, 3), np.uint8), (8, 9, 3), np.uint8),
        (spaces.Box(-1, 1, (2, 3), np.float64), (6,), np.float32),
        (spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (3,))}), (5,), np.float32),
    ],
)
def test_images_stay_images_and_all_else_becomes_a_vector(space, shape, dtype):
    seen_space, view = learner.envs.gymnasium.viewed("Any-v0", space)
    seen = view(space.sample())
    assert seen.shape == seen_space.shape == shape
    assert seen.dtype == seen_space.dtype == dtype
    assert seen_space.contains(seen)


def test_one_hot_of_a_discrete_observation():
    _, view = learner.envs.gymnasium.viewed("Any-v0", spaces.Discrete(4))
    assert view(2).tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("CartPoll-v1", {}, "unknown environment 'CartPoll-v1'"),
        ("CartPole-v7", {}, "unknown environment 'CartPole-v7'"),
        ("nosuchmodule:Thing-v0", {}, "unknown environment"),
        ("CartPole-v1", {"gravity": 1}, "CartPole-v1 cannot be made.*environment.options"),
        ("Lists-v0", {}, "observations of varying size"),
        ("Talks-v0", {}, "which the agent cannot give"),
        ("FromOne-v0", {}, "which the agent cannot give"),
        ("Taxi-v2", {}, "use"),
        ("ALE/NoSuchGame-v5", {}, "unknown environment"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(name, options, says):
    with pytest.raises(UnavailableEnvironment, match=says) as error:
        make(config(name, options=options), num_envs=1, seed=0)
    assert "\n" not in str(error.value)


def test_a_missing_package_names_our_extra(monkeypatch):
    def without_mujoco(*_args, **_options):
        raise gymnasium.error.DependencyNotInstalled("MuJoCo is not installed, run `pip install`")

    monkeypatch.setattr(gymnasium, "make", without_mujoco)
    with pytest.raises(UnavailableEnvironment, match=r"pip install 'clipwise\[mujoco\]'"):
        make(config("Hopper-v5"), num_envs=1, seed=0)


def test_people_see_pictures():
    for name in ("CartPole-v1", "Pendulum-v1", "Acrobot-v1"):
        env = make(config(name), num_envs=1, seed=0, people_view=True)
        env.reset()
        env.action_space.seed(0)
        before = env.render_people()
        assert before.ndim == 3
        assert before.shape[2] == 3
        assert before.dtype == np.uint8
        for _ in range(10):
            env.step(np.array([env.action_space.sample()]))
        assert not np.array_equal(before, env.render_people())


def test_an_environment_without_pictures_says_so():
    env = make(config("Blind-v0"), num_envs=1, seed=0, people_view=True)
    assert not env.pictures
    with pytest.raises(UnavailableEnvironment, match="Blind-v0 cannot be drawn"):
        env.render_people()


def test_what_cannot_be_replayed_is_filmed_without_being_asked():
    env = make(config("Dice-v0"), num_envs=2, seed=0)
    assert env.pictures
    env.reset()
    env.step(np.zeros(2, int))
    assert env.render_people(1).mean() == 10
