from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from learner import play
from learner.config import EnvironmentConfig
from learner.envs.protocol import UnavailableEnvironment
from learner.replay import verify

COINRUN = EnvironmentConfig(id="procgen/coinrun", num_levels=5, distribution_mode="easy")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "RATE", 100_000)


@pytest.mark.parametrize(
    ("keys", "action"),
    [
        ((), 4),
        (("ArrowLeft",), 1),
        (("ArrowLeft", "ArrowDown"), 0),
        (("ArrowUp", "ArrowLeft"), 2),
        (("ArrowDown",), 3),
        (("ArrowUp",), 5),
        (("ArrowRight", "ArrowDown"), 6),
        (("ArrowRight",), 7),
        (("ArrowRight", "ArrowUp"), 8),
        (("ArrowLeft", "ArrowRight"), 4),
        (("d",), 9),
        (("ArrowRight", "e"), 14),
        (("F1", "<script>"), 4),
    ],
)
def test_keys_are_procgens_own_combinations(keys: tuple[str, ...], action: int) -> None:
    assert play.procgen_action(keys) == action


def test_other_games_take_digits_and_arrows() -> None:
    held = [(), ("ArrowLeft",), ("ArrowRight",), ("2",), ("7",), ("²",)]
    assert [play.discrete_action(keys, 4) for keys in held] == [0, 0, 3, 2, 0, 0]


def test_an_episode_that_a_person_plays_replays_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(play, "LONGEST_EPISODE", 30)
    shown: list[bytes] = []

    def keys() -> tuple[str, ...]:
        if len(shown) > 45:
            raise play.Left
        return ("ArrowRight",) if len(shown) % 3 else ("ArrowRight", "ArrowUp")

    played = play.episodes(COINRUN, seed=3, name="play-1", keys=keys, show=shown.append)
    first = next(played)
    verify(first)
    assert first.episode == "play-1-0"
    assert first.actions[:3].tolist() == [7, 7, 8]
    picture = Image.open(io.BytesIO(shown[0]))
    assert (picture.format, picture.size) == ("JPEG", (512, 512))
    with pytest.raises(play.Left):
        next(iter(_exhausted(played)))


def _exhausted(played: Iterator[object]) -> Iterator[object]:
    for _ in played:
        pass
    yield None


def test_frames_come_at_a_steady_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(play, "RATE", 15)
    monkeypatch.setattr(play.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(play.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(play, "LONGEST_EPISODE", 12)
    ticks: list[float] = []

    def keys() -> tuple[str, ...]:
        ticks.append(now[0])
        now[0] += 0.5 if len(ticks) == 5 else 0.01  # once something takes too long
        return ()

    next(play.episodes(COINRUN, seed=0, name="p", keys=keys, show=lambda _: None))
    gaps = np.diff(ticks)
    assert np.allclose(np.delete(gaps, 4), 1 / 15)
    assert gaps[4] == pytest.approx(0.5)


def test_what_has_no_keys_says_so() -> None:
    pendulum = EnvironmentConfig(id="Pendulum-v1")
    with pytest.raises(UnavailableEnvironment, match="no actions that keys could choose"):
        next(play.episodes(pendulum, seed=0, name="p", keys=tuple, show=lambda _: None))
