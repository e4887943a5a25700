"""Plants the bugs of docs/known-bugs.md, one at a time, and sees the tests named there fail.

    python tests/planted.py [WORD ...]

Each is put into a copy of the sources; WORDs choose those that are named by them. Exit status 1 if
one is not caught. `tests/test_planted.py` sees that every bug can still be planted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FAILED_TESTS = 1  # pytest's exit status


@dataclass(frozen=True)
class Plant:
    """A bug: `code` of a source, what it becomes, and tests that then fail, all of them."""

    bug: str
    source: str
    code: str
    planted: str
    tests: tuple[str, ...]


PLANTS = (
    Plant(
        "a Boltzmann teacher that never samples",
        "learner/teachers.py",
        'return "a" if draw < preference_probability(beta * difference) else "b"',
        'return "a" if difference > 0 else "b"',
        ("learner/test_teachers.py::test_boltzmann_answers_are_sampled",),
    ),
    Plant(
        "thresholds of skips and ties multiplied by eps twice",
        "learner/teachers.py",
        "return max(0.0, eps * mean_return",
        "return max(0.0, eps * eps * mean_return",
        (
            "learner/test_teachers.py::test_the_share_of_ties_follows_eps_and_not_its_square",
            "learner/test_teachers.py::test_the_share_of_skips_follows_eps_and_not_its_square",
        ),
    ),
    Plant(
        "the true reward leaks to the agent",
        "learner/agents/ppo.py",
        "self._targets(rollout, rewards), pulse",
        "self._targets(rollout, rewards + 1e-3 * rollout.true_rewards), pulse",
        (
            "learner/agents/test_ppo.py::test_true_rewards_of_nan_change_nothing",
            "learner/test_loop.py::test_the_true_reward_never_reaches_agent_or_reward_model",
        ),
    ),
    Plant(
        "the true reward leaks to the reward model",
        "learner/loop.py",
        "            report = fit(",
        "            labels.targets[:] += 0 * float(rollout.true_rewards[0, 0])\n"
        "            report = fit(",
        ("learner/test_loop.py::test_the_true_reward_never_reaches_agent_or_reward_model",),
    ),
    Plant(
        "frames 0-255 in training, 0-1 in use",
        "learner/rewards/objective.py",
        "        if train:\n            valid = crop",
        "        if train:\n            seen = 255 * seen\n            valid = crop",
        ("learner/rewards/test_fitting.py::test_pictures_are_scaled_alike_in_training_and_in_use",),
    ),
    Plant(
        "the last step of an episode paid for the next one's first frame",
        "learner/loop.py",
        "return self.ensemble.raw(rollout.observations, rollout.actions)",
        "return self.ensemble.raw(np.roll(rollout.observations, -1, axis=0), rollout.actions)",
        ("learner/test_loop.py::test_every_step_is_paid_for_the_frame_before_its_action",),
    ),
    Plant(
        "hold-out drawn after bagging",
        "learner/rewards/fitting.py",
        "    counts = learn.astype(np.int64)\n",
        "    learn = np.ones_like(learn)\n    counts = learn.astype(np.int64)\n",
        ("learner/rewards/test_fitting.py::test_what_is_held_out_never_reaches_the_weights",),
    ),
    Plant(
        "one iteration too many",
        "learner/loop.py",
        "return min(self.config.agent.n_steps, left)",
        "return self.config.agent.n_steps if left > 0 else 0",
        ("learner/test_loop.py::test_the_step_budget_is_kept_and_every_step_counted",),
    ),
    Plant(
        "uncounted sampling steps",
        "learner/loop.py",
        "        self.steps += rollout.ends.size\n",
        "        self.environments.step(rollout.actions[-1])\n"
        "        self.steps += rollout.ends.size\n",
        ("learner/test_loop.py::test_the_step_budget_is_kept_and_every_step_counted",),
    ),
    Plant(
        "short episodes are never shown",
        "learner/segments.py",
        "lengths[(starts < 0) | (starts + lengths > steps)] = 0",
        "lengths[(starts < 0) | (starts + lengths > steps) | (lengths < config.length)] = 0",
        (
            "learner/test_segments.py::"
            "test_episodes_shorter_than_a_segment_are_windows_of_their_own_length",
            "learner/test_loop.py::test_episodes_of_three_steps_are_learned_from",
        ),
    ),
    Plant(
        "accuracy on episodes that were trained on",
        "learner/rewards/holdout.py",
        "np.unique(np.array(labels.episodes), return_inverse=True)",
        "np.unique(np.arange(len(labels.episodes)).astype(str), return_inverse=True)",
        ("learner/rewards/test_holdout.py::test_no_episode_is_on_both_sides",),
    ),
    Plant(
        'ties dropped, or merged with "can\'t tell"',
        "learner/preferences.py",
        '"b": 0.0, "tie": 0.5}',
        '"b": 0.0}',
        ("learner/test_preferences.py::test_a_tie_is_a_label_and_is_not_the_same_as_cannot_tell",),
    ),
    Plant(
        "a restart loses answers that no fit has seen",
        "learner/loop.py",
        "        self.answers.read(checkpoint.last_preference, checkpoint.last_exclusion)\n",
        "        self.answers.read()\n",
        ("learner/test_loop.py::test_a_run_left_in_mid_iteration_ends_as_an_unbroken_one",),
    ),
    Plant(
        "no resume, or one that differs",
        "learner/loop.py",
        "        self.fitting.bit_generator.state = checkpoint.fitting\n",
        "",
        (
            "learner/test_loop.py::test_a_run_left_in_mid_iteration_ends_as_an_unbroken_one",
            "learner/test_kill.py::test_a_run_killed_at_20_random_points_ends_as_an_unbroken_one",
        ),
    ),
    Plant(
        "done, though a clip is missing",
        "learner/renderer.py",
        "records.clip_failed(segment_id)",
        'records.store_clip(segment_id, b"")',
        (
            "learner/test_renderer.py::"
            "test_a_recipe_or_episode_that_is_gone_is_set_aside_and_the_rest_is_rendered",
        ),
    ),
    Plant(
        "a clip needs a codec of the operating system",
        "learner/video.py",
        'CODEC = "libx264"',
        'CODEC = "mpeg4"',
        (
            "learner/test_clips.py::"
            "test_every_frame_lasts_exactly_as_long_and_the_last_is_held_half_a_second",
        ),
    ),
    Plant(
        "of an ensemble only the last member pays",
        "learner/rewards/ensemble.py",
        "self.members(observations, actions).mean(axis=0)",
        "self.members(observations, actions)[-1]",
        ("learner/rewards/test_ensemble.py::test_the_mean_and_the_spread_are_over_the_members",),
    ),
    Plant(
        "no floor for wrong answers",
        "learner/rewards/loss.py",
        "wrong = torch.log(floor / 2)",
        "wrong = torch.log(floor * 1e-9)",
        ("learner/rewards/test_loss.py::test_it_is_the_cross_entropy_under_the_papers_formula",),
    ),
)


def caught(plant: Plant) -> bool:
    """Whether all tests of a bug fail where it is planted."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "var", "node_modules"))
        source = copy / plant.source
        source.write_text(source.read_text().replace(plant.code, plant.planted, 1))
        return all(_fails(test, copy) for test in plant.tests)


def _fails(test: str, copy: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"tests/{test}"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        check=False,
        capture_output=True,
    )
    return done.returncode == _FAILED_TESTS


def main() -> int:
    """Plant them; 1 if one is not caught."""
    missed = 0
    for plant in PLANTS:
        if all(word in plant.bug for word in sys.argv[1:]):
            found = caught(plant)
            missed += not found
            sys.stdout.write(f"{'caught' if found else 'MISSED'}: {plant.bug}\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
