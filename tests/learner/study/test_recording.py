from __future__ import annotations

import json
import re
import shutil
from contextlib import closing

import numpy as np
import pytest
from pydantic import ValidationError

from learner.config import EnvironmentConfig
from learner.envs.registry import make
from learner.replay import verify
from learner.study.bank import make_bank, open_bank
from learner.study.config import StudyConfig
from learner.study.experts import checkpoints, train_expert
from learner.study.folder import StudyError, StudyFolder
from learner.study.players import Noisy, Waiting
from learner.study.playing import play_levels, start_of, trajectory_of
from learner.study.ranking import rank
from learner.study.recording import path_of, plan, record_split
from learner.trajectories import Trajectory, TrajectoryError

GAME = "maze/coin-flip"


class Killed(BaseException):
    """As a signal would: raised out of whatever is under way."""


def trained(folder: StudyFolder) -> list[bytes]:
    return [one.path.read_bytes() for one in checkpoints(folder.experts(GAME))]


def test_checkpoints_are_kept_over_all_of_training(folder):
    kept = checkpoints(folder.experts(GAME))
    assert [one.steps for one in kept] == [0, 512, 1024]


def test_an_expert_that_was_killed_goes_on_to_the_same_checkpoints(finished, tmp_path):
    study, root, _ = finished
    mine = StudyFolder(tmp_path)
    told = 0

    def die(_: str) -> None:
        nonlocal told
        told += 1
        if told == 2:
            raise Killed

    with pytest.raises(Killed):
        train_expert(study, mine, GAME, die)
    train_expert(study, mine, GAME, lambda _: None)
    states = [
        [one.load()["agent"]["policy"] for one in checkpoints(folder.experts(GAME))]
        for folder in (mine, StudyFolder(root))
    ]
    for resumed, unbroken in zip(*states, strict=True):
        assert all(bool((resumed[name] == unbroken[name]).all()) for name in unbroken)


def test_demonstrations_have_levels_of_their_own_and_uniform_checkpoints(folder, tiny):
    entries = {
        split: json.loads((folder.demonstrations(GAME, split) / "index.json").read_text())
        for split in ("train", "test")
    }
    assert [len(entries["train"]), len(entries["test"])] == [20, 12]
    levels = [one["level"] for split in entries.values() for one in split]
    assert len(set(levels)) == 32
    many = tiny(demonstrations={"train": 3000})
    drawn = [index for _, index in plan(many, GAME, "train", 3)]
    assert np.bincount(drawn) / 3000 == pytest.approx([1 / 3] * 3, abs=0.04)


def test_poor_demonstrations_can_be_asked_for(tiny):
    poor = tiny(demonstrations={"train": 3000, "low_quality": 3.0})
    drawn = [index for _, index in plan(poor, GAME, "train", 3)]
    shares = np.bincount(drawn, minlength=3) / 3000
    assert shares == pytest.approx(np.array([27, 8, 1]) / 36, abs=0.03)


def test_a_demonstration_is_a_recipe_that_plays_as_it_was_recorded(folder):
    for number in range(3):
        content = path_of(folder.demonstrations(GAME, "train"), number).read_bytes()
        trajectory = Trajectory.from_bytes(content)
        assert trajectory.observations is None
        verify(trajectory)


def test_an_interrupted_recording_goes_on_to_the_same_demonstrations(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    mine = StudyFolder(copy)
    place = mine.demonstrations(GAME, "train")
    before = {path.name: path.read_bytes() for path in place.glob("*.npz")}
    for number in (0, 7, 19):
        path_of(place, number).unlink()
    record_split(study, mine, GAME, "train", lambda _: None)
    assert {path.name: path.read_bytes() for path in place.glob("*.npz")} == before


def test_a_damaged_demonstration_is_named_and_the_rest_is_used(finished, tmp_path):
    _, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    mine = StudyFolder(copy)
    damaged = path_of(mine.demonstrations(GAME, "train"), 4)
    damaged.write_bytes(damaged.read_bytes()[:200])
    make_bank(mine, GAME, "train")
    bank = open_bank(mine, GAME, "train")
    assert len(bank) == 19
    assert [one.number for one in bank.entries] == [n for n in range(20) if n != 4]
    (problem,) = bank.problems
    assert str(damaged) in problem


def played(game: str, size: int, level: int) -> bytes:
    """A demonstration that always goes one way."""
    options = {"size": size, "terminating": False}
    environment = EnvironmentConfig(id=game, num_envs=1, options=options)
    start = start_of(environment, level)
    with closing(make(environment, num_envs=1, seed=0)) as batch:
        (one,) = play_levels(Waiting(0), batch, [start], 50, np.random.default_rng(0))
    return trajectory_of(one, environment, start, level, 0, "mine").to_bytes()


@pytest.mark.parametrize(
    ("game", "size", "level", "said"),
    [
        ("maze/two-goals", 4, 10_000_004, "is of maze-two-goals, level 10000004, not of maze-coin"),
        (GAME, 4, 10_000_005, "level 10000005, not of maze-coin-flip, level 10000004"),
        (GAME, 6, 10_000_004, r"shows \(\(8, 8, 3\), '\|u1'\), the ones before it \(\(6, 6, 3\)"),
    ],
)
def test_a_demonstration_of_something_else_is_named_and_left_out(
    finished, tmp_path, game, size, level, said
):
    _, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    mine = StudyFolder(copy)
    foreign = path_of(mine.demonstrations(GAME, "train"), 4)
    foreign.write_bytes(played(game, size, level))
    make_bank(mine, GAME, "train")
    bank = open_bank(mine, GAME, "train")
    assert 4 not in [one.number for one in bank.entries]
    assert len(bank) == 19
    (problem,) = bank.problems
    assert str(foreign) in problem
    assert re.search(said, problem)


def test_a_recording_with_a_damaged_file_says_which(finished, tmp_path):
    study, root, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    mine = StudyFolder(copy)
    damaged = path_of(mine.demonstrations(GAME, "train"), 4)
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(TrajectoryError, match=f"{damaged} is damaged; remove it"):
        record_split(study, mine, GAME, "train", lambda _: None)


def test_a_bank_shows_what_the_demonstrations_showed(folder):
    bank = open_bank(folder, GAME, "test")
    assert bank.observations.shape == (12 * 50, 6, 6, 3)
    assert bank.lengths.tolist() == [50] * 12
    assert bank.returns == pytest.approx([one.sum() for one in bank.reward_lists()])
    with pytest.raises(StudyError, match="cannot read"):
        open_bank(folder, "maze/two-goals", "test")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"demonstrations": {"first_train_level": 100}}, "both PPO training and train demon"),
        (
            {"demonstrations": {"first_test_level": 10_000_019}},
            "level 10000019 would serve both train demonstrations and test demonstrations",
        ),
        ({"sweep": {"counts": [21]}}, "asks for 21 demonstrations, demonstrations.train is 20"),
    ],
)
def test_levels_and_counts_that_do_not_fit_are_refused(tiny, changes, said):
    with pytest.raises(ValidationError, match=said):
        tiny(**changes)


def test_levels_of_the_published_size_are_disjoint():
    study = StudyConfig.model_validate({"demonstrations": {"train": 1500, "test": 500}})
    levels = study.levels()
    assert sum(len(levels[name]) for name in levels if "demonstrations" in name) == 2000


def test_procgen_demonstrations_are_played_on_the_levels_planned_for_them(tmp_path, tiny):
    study = tiny(
        games=["fruitbot"],
        environment={"num_envs": 4, "options": {}},
        experts={"total_steps": 1, "agent": {"network": "nature", "n_steps": 8, "batch_size": 32}},
        demonstrations={"train": 3, "test": 3, "longest": 15},
        sweep={"counts": [3]},
    )
    mine = StudyFolder(tmp_path)
    train_expert(study, mine, "fruitbot", lambda _: None)
    record_split(study, mine, "fruitbot", "test", lambda _: None)
    make_bank(mine, "fruitbot", "test")
    bank = open_bank(mine, "fruitbot", "test")
    assert bank.problems == ()
    assert [one.level for one in bank.entries] == [20_000_000, 20_000_001, 20_000_002]
    stored = sum(path.stat().st_size for path in mine.demonstrations("fruitbot", "test").iterdir())
    assert stored / 3 < 100_000  # 2,000 of them take less than 200 MB


def test_noise_ranks_demonstrations_of_a_clone(finished, tmp_path, tiny):
    """D-REX: levels of noise, each on levels of its own, compared from the minimum gap on."""
    _, root, _ = finished
    mine = StudyFolder(tmp_path)
    shutil.copytree(StudyFolder(root).experts(GAME), mine.experts(GAME))
    noise = {"levels": [0.0, 0.5, 1.0], "gap": 0.6, "cloned": 4, "clone_epochs": 2}
    study = tiny(ranking={"by": "noise", "noise": noise}, demonstrations={"train": 30})
    record_split(study, mine, GAME, "train", lambda _: None)
    make_bank(mine, GAME, "train")
    entries = open_bank(mine, GAME, "train").entries
    assert {one.noise for one in entries} == {0.0, 0.5, 1.0}
    assert len({one.level for one in entries}) == 30
    order = rank(study, entries).compare()
    quiet = next(n for n, one in enumerate(entries) if one.noise == 0.0)
    loud = next(n for n, one in enumerate(entries) if one.noise == 1.0)
    half = next(n for n, one in enumerate(entries) if one.noise == 0.5)
    assert (order[quiet, loud], order[quiet, half]) == (1, 2)


def test_noise_replaces_its_share_of_actions_and_the_last_bin_only_waits():
    batch = make(EnvironmentConfig(id="procgen/fruitbot"), num_envs=1, seed=0)
    seen, rng = np.zeros((4000, 1), np.uint8), np.random.default_rng(0)
    actions = Noisy(Waiting(4), batch, 0.5).act(seen, rng)
    assert np.mean(actions != 4) == pytest.approx(0.5 * 14 / 15, abs=0.03)
    assert set(Waiting(4).act(seen[:5], rng)) == {4}
    batch.close()
