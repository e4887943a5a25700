"""The training loop: collect a rollout, fit the reward model, improve the agent, ask new pairs.

One loop serves people, synthetic teachers and rankings; they differ only in who answers when.
An iteration is stored whole, with its checkpoint, in one transaction: killed at any moment,
the run goes on from the last one as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.agents.payment import pay, pay_true
from learner.agents.ppo import make_agent
from learner.agents.probe import choose_compute
from learner.agents.rollouts import Rollout
from learner.answers import Answers
from learner.asking import Asking, Question, ranked_pairs, unlabelled_pairs
from learner.changes import changed
from learner.checkpoints import Checkpoint
from learner.choices import FOLDER
from learner.config import parse_config
from learner.control import Control
from learner.demonstrations import Demonstrations, load
from learner.devices import Compute, require
from learner.envs.registry import make
from learner.evaluation.filming import film
from learner.evaluation.ordering import calibration_error
from learner.evaluation.scoring import Scores, score
from learner.iteration import Iteration, NewQuery, NewRanking, NewVersion
from learner.logs import EventFile
from learner.machine import Machine
from learner.queries.audit import pair_accuracy
from learner.queries.schedules import untrained_steps
from learner.records import RunRecords
from learner.refusals import (
    refuse_long_segments,
    refuse_short_run,
    refuse_ties,
    refuse_untrained,
)
from learner.replay import verify
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.packing import pack
from learner.rewards.probe import choose_compute as choose_reward_compute
from learner.seeds import generator, integer
from learner.teachers import refuse_unpaid
from learner.vigil import Vigil

ANSWER_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an iteration."""

    iteration: int
    steps: int
    total_steps: int
    labels: int
    steps_per_second: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to.

    Attributes:
        steps: environment steps of training, all of them counted.
        labels: preferences that count.
        seconds: wall time of the training done by this process.
        steps_per_second: over that time.
        metrics: the last iteration's, and the closing scores'.
        scores: on train and on unseen levels, after the last iteration.
    """

    steps: int
    labels: int
    seconds: float
    steps_per_second: float
    metrics: dict[str, float]
    scores: Scores


class TrainingLoop:
    """A run in the making: agent, reward model, teacher, environments, and what was asked."""

    def __init__(
        self,
        records: RunRecords,
        control: Control,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Build everything from the run's config, then load its last checkpoint if it has one.

        Args:
            records: the leased run.
            control: pause and stop, obeyed between steps.
            report: told of every finished iteration.
        """
        self._first_config = parse_config(records.config, source=f"run {records.name}")
        self.config = config = self._first_config
        refuse_short_run(config)
        self.records, self.control, self.report = records, control, report
        self.environments = make(
            config.environment,
            num_envs=config.environment.num_envs,
            seed=integer(config.seed, "environments"),
            test_start_level=config.evaluation.test_start_level,
        )
        refuse_long_segments(config, self.environments)
        latest = records.latest_checkpoint()
        checkpoint = Checkpoint.from_bytes(latest.content) if latest else None
        if checkpoint:
            checkpoint.refuse_other(config)
        compute, self.reward_compute = self._computes(checkpoint)
        self.agent = make_agent(config, self.environments, compute)
        self.ensemble = RewardEnsemble(
            self.environments.observation_space,
            self.environments.action_space,
            config.reward,
            seed=integer(config.seed, "reward model"),
            device=self.reward_compute.device,
            precision=self.reward_compute.precision,
        )
        self.answers = Answers(records, config.segments.length, newest=config.reward.buffer)
        self.asking = Asking(config, generator(config.seed, "queries"))
        self.fitting = generator(config.seed, "fitting")
        self.iteration = 0
        self.steps = 0
        self.version = 0
        self._passes_left: float | None = 0.0
        self._ranking: NewRanking | None = None
        self._changes: list[int] = []
        self._unscored = latest is not None and latest.unscored
        self._closing: Scores | None = None
        self._elapsed = checkpoint.elapsed if checkpoint else 0.0
        self._begun = control.clock()
        self.vigil = Vigil(records, Machine(self.agent.compute.device, records.folder))
        self.environments.reset()
        if checkpoint:
            self._resume(checkpoint)
        self.demonstrations, self._begun_with = self._shown_first(checkpoint)
        self.events = EventFile(records.folder / "tensorboard", self.steps)

    def _shown_first(self, checkpoint: Checkpoint | None) -> tuple[Demonstrations | None, str]:
        """Demonstrations while they are of use, and the digest of those the run was begun with."""
        # That is before the first rollout and in the first pairs, so they are held no longer.
        shown = None if self.version else load(self.config, self.environments)
        if checkpoint is None:
            return shown, shown.digest if shown else ""
        if shown:
            shown.refuse_changed(checkpoint.demonstrations)
        return shown, checkpoint.demonstrations

    def run(self) -> Outcome:
        """Iterate until the step budget is used up, then score the agent.

        Raises:
            Stopped: somebody asked for it, or the lease is lost.
            LearnerError: the run cannot go on.
        """
        try:
            with self.agent.compute.active():
                return self._run()
        finally:
            self.events.close()
            self.environments.close()

    def _run(self) -> Outcome:
        started, begun = self.control.clock(), self.steps
        metrics = self._score_checkpoint() if self._unscored else {}
        while self._rollout_steps():
            self._await_answers()
            metrics = self.iterate()
        if self._learns and not self.version:
            queue = self.records.queue()
            refuse_untrained(self.config, queue.total_labels, queue.decided_labels)
        seconds = self.control.clock() - started
        scores = self._closing or self._score(self.config.evaluation.episodes)
        return Outcome(
            steps=self.steps,
            labels=self.records.queue().total_labels,
            seconds=seconds,
            steps_per_second=(self.steps - begun) / seconds,
            metrics=metrics | scores.metrics(),
            scores=scores,
        )

    # -- one iteration, top to bottom ---------------------------------------------------------

    def iterate(self) -> dict[str, float]:
        """One iteration, stored whole; returns its figures."""
        started = self.control.clock()
        self._take_up()
        metrics = {} if self.iteration else self._imitate()

        self.control.activity = "collecting"
        rollout = self._collect()
        metrics["rollout/negative_rewards"] = float((rollout.true_rewards < 0).sum())

        self.control.activity = "fitting the reward model"
        version, fitted = self._fit(rollout)
        metrics |= fitted

        self.control.activity = "improving the agent"
        raw = self._raw_rewards(rollout)
        metrics |= self._improve(rollout, raw)

        self.control.activity = "choosing pairs to ask"
        questions = self._ask(rollout, raw)

        self.iteration += 1
        metrics |= self.asking.figures
        metrics |= self._standing(rollout.ends.size / (self.control.clock() - started), questions)
        self._store(questions, version, metrics)
        self._refuse_ties()
        if self._is_milestone():
            metrics |= self._score_checkpoint()
        self.vigil.look(self.config, iteration=self.iteration, step=self.steps)
        self.report(
            Progress(
                self.iteration,
                self.steps,
                self.config.total_steps,
                int(metrics["preferences/total"]),
                metrics["time/fps"],
                metrics,
            )
        )
        return metrics

    def _refuse_ties(self) -> None:
        """Rest, once, where all answers to the first pairs are ties: more will not differ much."""
        first = self.steps == untrained_steps(self.config) and self._learns
        alone = self.config.teacher.kind == "synthetic" and self.config.demonstrations.path is None
        if first and alone:
            queue = self.records.queue()
            refuse_ties(self.config, queue.total_labels, queue.decided_labels)

    def _take_up(self) -> None:
        """Go by what people have changed; an iteration that is repeated goes by the same again."""
        changes = self.records.changes()
        self.config = changed(self._first_config, changes)
        self.asking.config = self.config
        self._changes = [change.id for change in changes if change.iteration is None]

    def _imitate(self) -> dict[str, float]:
        """Let the policy start from the demonstrations, if there are any (Ibarz 2018)."""
        if self.demonstrations is None:
            return {}
        self.control.activity = "imitating the demonstrations"
        return self.demonstrations.imitate(self.agent, pulse=self.control.pulse)

    def _collect(self) -> Rollout:
        """One rollout; the last is shorter, so that the step budget is never exceeded."""
        rollout = self.agent.collect(
            iteration=self.iteration + 1,
            n_steps=self._rollout_steps(),
            capture=self._learns,
            pulse=self.control.pulse,
        )
        self.steps += rollout.ends.size
        self.asking.observe(rollout)
        return rollout

    def _fit(self, rollout: Rollout) -> tuple[NewVersion | None, dict[str, float]]:
        """Refit the reward model where labels have changed or lack passes; that is a new version.

        They lack them where many came at once, more than one fit's batches can go over.
        """
        if not self._learns or self._gathers(rollout):
            return None, {}
        if self.answers.read():
            self._passes_left = None  # all that the config asks for
        if self._passes_left == 0:
            return None, {}
        labels = self.answers.labels()
        if not labels.decided.any():  # a model of ties alone is noise to the agent
            return None, {}
        unlabelled = None
        if self.config.reward.pseudo_label_threshold is not None:
            rng = generator(self.config.seed, f"unlabelled {self.iteration}")
            unlabelled = unlabelled_pairs(rollout, self.config, rng)
        with self.reward_compute.active():
            report = fit(
                self.ensemble,
                labels,
                self.config.reward,
                self.fitting,
                passes=self._passes_left,
                unlabelled=unlabelled,
                centred=self.config.segments.at_episode_end == "shift",
            )
        if not self.version:
            self.vigil.warn_of_uneven(self.config, labels)
        self._passes_left = report.passes_left
        self.version += 1
        self.demonstrations = None
        # What there was nothing to measure on is left out, not drawn as a zero.
        metrics = {name: value for name, value in report.metrics.items() if value is not None}
        metrics |= calibration_error(report.predicted, report.answered)
        if self.config.teacher.kind == "person":
            metrics |= self.vigil.crowd()
        last, trust = self.answers.last, self.answers.trust(self.ensemble.teacher_noise)
        version = NewVersion(pack(self.ensemble), len(labels), last, metrics, trust)
        return version, dict(metrics)

    def _raw_rewards(self, rollout: Rollout) -> NDArray[np.float32] | None:
        """(K, T, N) unnormalised rewards of the whole rollout in one pass.

        Asked about the frames before the actions, so never about the next episode's first.
        """
        if not self.version:
            return None
        with self.reward_compute.active():
            return self.ensemble.raw(rollout.observations, rollout.actions)

    def _improve(self, rollout: Rollout, raw: NDArray[np.float32] | None) -> dict[str, float]:
        """PPO on the learned reward; none before the first version, there is nothing to learn."""
        if not self._learns:
            paid = pay_true(rollout.true_rewards, self.config.agent)
            return self.agent.improve(rollout, paid, pulse=self.control.pulse)
        if raw is None:
            return {}
        members = self.ensemble.normalise(raw)
        paid = pay(members, self.config.agent, first_step=self.steps - rollout.ends.size)
        audit = generator(self.config.seed, f"audit {self.iteration}")
        return {
            **self.agent.improve(rollout, paid, pulse=self.control.pulse),
            **pair_accuracy(rollout, members, raw, self.config.segments, audit),
            "reward_model/reward_mean": float(members.mean()),
            "reward_model/disagreement": float(members.std(axis=0).mean()),
        }

    def _ask(self, rollout: Rollout, raw: NDArray[np.float32] | None) -> list[Question]:
        if not self._learns:
            return []
        count = 0
        if self._rollout_steps():  # no fit sees answers to what is asked after the last rollout
            queue = self.records.queue()
            count = self.asking.due(
                self.steps,
                open_pairs=queue.pending + queue.open - queue.begun,
                labels=queue.total_labels + queue.owed,
            )
        questions = self.asking.choose(
            rollout, raw, count, self.demonstrations, answered=self.answers.labels
        )
        if not self.iteration:
            questions += self._rank()
        for question in questions:
            for side in (question.a, question.b):
                refuse_unpaid(side.segment.trajectory.rewards)
        for question in questions[:1]:
            # A sample: what is stored must replay bit for bit.
            verify(question.a.segment.trajectory)
        return questions

    def _rank(self) -> list[Question]:
        """Preferences between parts of ranked demonstrations (T-REX), if the run wants them."""
        wanted = self.config.demonstrations
        if self.demonstrations is None or wanted.ranking is None:
            return []
        order, places = self.demonstrations.ranking()
        rng = generator(self.config.seed, "ranked demonstrations")
        questions = ranked_pairs(self.demonstrations.snippets(order, rng))
        settings = wanted.model_dump(mode="json", include={"ranking_rule", "ranking_pairs"})
        self._ranking = NewRanking(wanted.ranking, places, settings, len(questions))
        return questions

    def _store(
        self, questions: list[Question], version: NewVersion | None, metrics: dict[str, float]
    ) -> None:
        """One transaction; then what the next fit needs is taken from the rollout at hand."""
        asked = self.records.store_iteration(
            Iteration(
                number=self.iteration,
                steps=self.steps,
                steps_per_second=metrics["time/fps"],
                queries=[
                    NewQuery(
                        one.a.segment,
                        one.b.segment,
                        one.selection,
                        answer=one.answer,
                        teacher=one.teacher,
                    )
                    for one in questions
                ],
                metrics=metrics,
                version=version,
                checkpoint=self._checkpoint().to_bytes(),
                keep=self._is_milestone(),
                ranking=self._ranking,
                changes=self._changes,
            ),
            {
                "synthetic": self.config.teacher.model_dump(mode="json"),
                "demonstration": self.config.demonstrations.model_dump(mode="json"),
                "ranking": self.config.demonstrations.model_dump(mode="json"),
            },
        )
        self._ranking = None
        self.events.write(metrics, self.steps)
        for question, ids in zip(questions, asked, strict=True):
            for key, side in ((ids.a, question.a), (ids.b, question.b)):
                self.answers.remember(key, side.segment, side.seen)

    # -- what the iteration is made of --------------------------------------------------------

    @property
    def _learns(self) -> bool:
        """Whether the reward is learned; otherwise this is plain PPO, the baseline."""
        return self.config.agent.reward == "learned"

    @property
    def _first_labels(self) -> int:
        """Answers wanted before the first fit; a ranking's preferences are enough."""
        if self.config.demonstrations.ranking is not None:
            return 0
        return min(self.config.queries.min_preferences, self.config.queries.budget)

    def _gathers(self, rollout: Rollout) -> bool:
        """Whether first pairs are still being asked or answered, before the first fit."""
        if self.version:
            return False
        early = self.steps - rollout.ends.size < untrained_steps(self.config)
        return early or self.records.queue().total_labels < self._first_labels

    def _rollout_steps(self) -> int:
        """Steps per environment that the next rollout may take; 0 when the budget is used up."""
        left = (self.config.total_steps - self.steps) // self.config.environment.num_envs
        return min(self.config.agent.n_steps, left)

    def _is_milestone(self) -> bool:
        """Whether the last iteration is kept, scored and filmed: the first, and every so many."""
        return (self.iteration - 1) % self.config.evaluation.every == 0 or not self._rollout_steps()

    def _await_answers(self) -> None:
        """Wait for people's first answers while there are pairs to answer; later never.

        One of them at least must be decided: from ties alone nothing can be fitted. A ranking's
        preferences are there already.
        """
        early = self.steps < untrained_steps(self.config)
        if not self._learns or self.version or early or not self.asking.asked:
            return
        if not self._first_labels:
            return
        self.control.activity = f"awaiting the first {self._first_labels} answers"
        self.control.wait_until(self._answered_enough, seconds=ANSWER_POLL_SECONDS)

    def _answered_enough(self) -> bool:
        """Whether the first fit can be made, or nothing more would come."""
        self._take_up()  # a lowered budget may be all that there is to wait for
        queue = self.records.queue()
        enough = queue.total_labels >= self._first_labels and queue.decided_labels > 0
        return enough or not queue.pending + queue.open

    def _score(self, episodes: int) -> Scores:
        self.control.activity = "scoring the agent"
        return score(
            self.agent,
            self.config,
            episodes,
            rewarding=self.ensemble.rewards if self.version else None,
            mean_reward=self.ensemble.mean_reward,
            pulse=self.control.pulse,
            policy_step=self.steps,
        )

    def _score_checkpoint(self) -> dict[str, float]:
        """Score and film the agent of the newest checkpoint; its pairs are out already."""
        if self._rollout_steps():
            scores = self._score(self.config.evaluation.interim_episodes)
        else:
            scores = self._closing = self._score(self.config.evaluation.episodes)
        metrics = scores.metrics()
        showing = film(self.agent, self.config, policy_step=self.steps)
        shown = scores.performances if self._learns else ()
        if not all(np.isfinite(one.rewards).all() for one in shown):
            shown = ()
        self.records.store_scores(
            self.steps,
            metrics,
            showing,
            shown,
            oracle=self.config.teacher.kind == "synthetic",
        )
        self.events.write(metrics, self.steps)
        return metrics

    def _standing(self, steps_per_second: float, questions: list[Question]) -> dict[str, float]:
        """Figures of the run itself, the questions of this iteration counted."""
        return {
            "time/fps": steps_per_second,
            "time/iterations": float(self.iteration),
            "time/time_elapsed": self._worked(),
            "time/total_timesteps": float(self.steps),
            "preferences/asked": float(self.asking.asked),
            "preferences/asked_negative": float(self.asking.asked_negative),
            **self.vigil.figures(self.config, questions),
        }

    def _computes(self, checkpoint: Checkpoint | None) -> tuple[Compute, Compute]:
        """How agent and reward model are run: as the run was begun, or as is fastest here.

        Other threads or another precision would round differently, so a run never changes them.
        """
        if checkpoint:
            return (
                require(Compute(**checkpoint.agent["compute"])),
                require(Compute(**checkpoint.reward_compute)),
            )
        folder = self.records.workplace.settings.var / FOLDER
        agents = choose_compute(self.config, self.environments, folder)
        if not self._learns:
            return agents, agents
        spaces = self.environments.observation_space, self.environments.action_space
        return agents, choose_reward_compute(self.config, *spaces, folder)

    def _worked(self) -> float:
        """Seconds of work on this run so far, those of earlier processes included."""
        return self._elapsed + self.control.clock() - self._begun

    # -- checkpoint and resume ----------------------------------------------------------------

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            config=self._first_config.model_dump(mode="json"),
            run=self.records.name,
            iteration=self.iteration,
            steps=self.steps,
            version=self.version,
            last_preference=self.answers.last,
            last_exclusion=self.answers.last_exclusion,
            passes_left=self._passes_left,
            agent=self.agent.state_dict(),
            ensemble=self.ensemble.state_dict(),
            reward_compute=self.reward_compute.as_dict(),
            environments=[
                self.environments.save(index) for index in range(self.environments.num_envs)
            ],
            demonstrations=self._begun_with,
            asking=self.asking.state_dict(),
            fitting=self.fitting.bit_generator.state,
            elapsed=self._worked(),
        )

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Go on as if nothing had stopped."""
        self.iteration, self.steps = checkpoint.iteration, checkpoint.steps
        self.version, self._passes_left = checkpoint.version, checkpoint.passes_left
        self.agent.load_state_dict(checkpoint.agent)
        self.ensemble.load_state_dict(checkpoint.ensemble)
        for index, state in enumerate(checkpoint.environments):
            self.environments.load(index, state)
        if not self.environments.replayable:
            self.agent.forget_episodes()
        self.asking.load_state_dict(checkpoint.asking)
        self.fitting.bit_generator.state = checkpoint.fitting
        self.answers.read(checkpoint.last_preference, checkpoint.last_exclusion)
