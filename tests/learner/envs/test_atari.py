from __future__ import annotations

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.atari import SCORES
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.registry import make

FIRE, RIGHT, LEFT = 1, 2, 3


def made(name: str = "ALE/Breakout-v5", **changes):
    config = EnvironmentConfig.model_validate({"id": name, **changes})
    env = make(config, num_envs=1, seed=3)
    env.reset()
    return env


def play(env, steps: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return [env.step(rng.integers(0, env.action_space.n, 1)) for _ in range(steps)]


def test_the_agent_sees_four_grey_frames_of_84_by_84():
    env = made(frame_stack=4)
    assert env.observation_space.shape == (84, 84, 4)
    assert env.observe().dtype == np.uint8
    assert env.fps == 15


@pytest.mark.parametrize("game", SCORES)
def test_where_a_score_is_drawn_agent_and_people_see_black(game):
    env = made(f"ALE/{game}-v5")
    play(env, 60)
    top, bottom, left, right = SCORES[game]
    assert env.render_people().shape == (210, 160, 3)
    assert not env.render_people()[top:bottom, left:right].any()
    rows = slice(-(-top * 84 // 210), bottom * 84 // 210)
    columns = slice(-(-left * 84 // 160), right * 84 // 160)
    assert not env.observe()[0, rows, columns].any()
    assert env.observe().any()


def test_the_picture_does_not_tell_breakouts_score():
    """With the mask, two games that differ in the score only look the same."""
    masked, plain = made(), made(options={"mask": []})
    seen = {"masked": [], "plain": []}
    games = play(masked, 300), play(plain, 300)
    for (a, reward, *_), (b, *_) in zip(*games, strict=True):
        if reward[0] > 0:
            seen["masked"].append(a[0, 2:6, 19:32])
            seen["plain"].append(b[0, 2:6, 19:32])
    assert len(seen["plain"]) >= 1
    assert not np.any(seen["masked"])
    assert np.any(seen["plain"])


def test_a_mask_of_ones_own():
    env = made(options={"mask": [[0, 210, 0, 80]]})
    assert not env.observe()[0, :, :42].any()
    with pytest.raises(UnavailableEnvironment, match="mask must be a list"):
        made(options={"mask": [1, 2]})


def test_a_game_whose_score_is_not_known_needs_a_mask():
    with pytest.raises(UnavailableEnvironment, match=r"ALE/Freeway-v5 draws.*mask to a list") as no:
        made("ALE/Freeway-v5")
    assert "\n" not in str(no.value)
    assert made("ALE/Freeway-v5", options={"mask": []}).observe().any()


# Bytes of the console's memory that hold the score, two digits each.
DIGITS = {
    "Hero": (55, 56, 57),
    "MontezumaRevenge": (19, 20, 21),
    "PrivateEye": (72, 73, 74),
}


@pytest.mark.parametrize("game", DIGITS)
def test_no_digit_of_the_score_can_be_seen(game):
    """All that another score changes on the next screen is under the mask, and is something."""
    env, plain = made(f"ALE/{game}-v5"), made(f"ALE/{game}-v5", options={"mask": []})
    told = {}
    for name, one in (("masked", env), ("plain", plain)):
        play(one, 40)
        console = one._singles[0]._console
        state = console.cloneState()
        screens = []
        for digits in (0x00, 0x88, 0x99):
            console.restoreState(state)
            for _ in range(2):  # the game may keep the score of the first
                for byte in DIGITS[game]:
                    console.setRAM(byte, digits)
                console.act(0)
            screens.append(one._singles[0]._masked(console.getScreenRGB()))
        told[name] = len({screen.tobytes() for screen in screens})
    assert told == {"masked": 1, "plain": 3}


def test_episodes_begin_with_other_numbers_of_idle_steps():
    starts = set()
    env = made("ALE/Seaquest-v5")
    for _ in range(6):
        play(env, 1)
        env.restart(np.array([0]))
        starts.add(env._singles[0]._console.getEpisodeFrameNumber())
    assert len(starts) > 3
    assert starts <= set(range(31))
    idle = made("ALE/Seaquest-v5", options={"noop_max": 0})
    first = idle.observe()
    play(idle, 3)
    idle.restart(np.array([0]))
    assert np.array_equal(idle.observe(), first)


def test_losing_a_life_is_no_end_and_losing_the_last_is():
    env = made()
    steps, ends = 0, False
    while not ends:
        _, _, (ends,), infos = env.step(np.array([FIRE if steps % 20 == 0 else LEFT]))
        steps += 1
        assert steps < 2000
    assert env._singles[0]._console.lives() == 5  # of the next episode
    assert infos[0]["episode"]["l"] == steps
    assert infos[0]["TimeLimit.truncated"] is False


def test_the_people_view_is_back_after_a_snapshot_is_restored():
    env = made()
    play(env, 40)
    state, frame = env.save(0), env.render_people().copy()
    play(env, 20, seed=1)
    assert not np.array_equal(env.render_people(), frame)
    env.load(0, state)
    assert np.array_equal(env.render_people(), frame)


def test_the_emulator_prints_nothing(capfd):
    made("ALE/Tennis-v5")
    assert capfd.readouterr() == ("", "")
