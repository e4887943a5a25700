"""What an iteration reads of its run, and what it writes; each function is one transaction.

Large content goes to the artifact store before the row that names it, so a kill at any moment
leaves at most an artifact that no row mentions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from learner.iteration import (
    Answering,
    AskedPair,
    Iteration,
    LatestCheckpoint,
    NewQuery,
    NewRanking,
    NewVersion,
)
from learner.preferences import ExclusionRow, PreferenceRow
from learner.records.leased import now
from learner.records.rendering import Rendering
from learner.records.watching import Watching
from learner.trajectories import Segment, Trajectory
from server.models import Answer, Purpose, Strength
from server.rankings import RankingKind
from server.rules import rules_of
from server.store import (
    changes,
    labellers,
    metrics,
    people,
    preferences,
    queries,
    rankings,
    runs,
    trajectories,
    trials,
    versions,
)


class RunRecords(Rendering, Watching):
    """One leased run, as its worker reads and writes it."""

    # -- what an iteration reads --------------------------------------------------------------

    def latest_checkpoint(self) -> LatestCheckpoint | None:
        """The newest checkpoint; None before the first iteration ended."""
        with self._database.read() as s:
            row = versions.latest_checkpoint(s, run_id=self.run_id)
        if row is None:
            return None
        unscored = row.kept and row.showing is None
        return LatestCheckpoint(self._artifacts.get(row.artifact), unscored)

    def preferences_after(self, last_id: int) -> list[PreferenceRow]:
        """Preferences stored since row `last_id`, oldest first."""
        with self._database.read() as s:
            rows = preferences.preferences_after(s, run_id=self.run_id, after_id=last_id)
        weak = self.config["reward"]["weak_preference"]
        strength = {Strength.BETTER: weak, Strength.MUCH_BETTER: 1.0, None: None}
        return [
            PreferenceRow(
                *(row.id, row.query_id, row.teacher_id, row.segment_a_id, row.segment_b_id),
                answer=row.answer.value,
                strength=strength[row.strength],
                replaces=row.replaces_id,
                purpose=row.purpose.value,
                uniform=row.strategy == "uniform",
            )
            for row in rows
        ]

    def exclusions_after(self, last_id: int) -> list[ExclusionRow]:
        """Decisions about whose answers count, since row `last_id`, oldest first."""
        with self._database.read() as s:
            rows = labellers.exclusions_after(s, run_id=self.run_id, after_id=last_id)
        return [ExclusionRow(*row) for row in rows]

    def queue(self) -> queries.QueueCounts:
        """Pairs by state, and the labels given so far."""
        with self._database.read() as s:
            return queries.counts(s, run_id=self.run_id, now=now())

    # -- what an iteration writes -------------------------------------------------------------

    def store_iteration(
        self, iteration: Iteration, teachers: Mapping[Answering, dict[str, Any]]
    ) -> list[AskedPair]:
        """Store an iteration in one transaction; return the ids of the pairs it asked.

        Args:
            iteration: everything the iteration made.
            teachers: settings of those who gave the answers that pairs carry.

        Raises:
            LeaseLost: another worker has taken the run over; nothing is stored.
        """
        checkpoint = self._artifacts.put(iteration.checkpoint)
        version = iteration.version
        weights = self._artifacts.put(version.content) if version else None
        segments = {id(one): one for query in iteration.queries for one in (query.a, query.b)}
        recipes = {key: self._put(segment.trajectory) for key, segment in segments.items()}
        places = iteration.ranking.places if iteration.ranking else ()
        ranked = {id(one): self._put(one) for tied in places for one in tied}
        with self._database.write() as s:
            self._require_lease(s)
            rows = {
                key: self._add_segment(s, segment, recipes[key])
                for key, segment in segments.items()
            }
            asked = [
                self._add_query(s, query, rows, iteration.number, teachers)
                for query in iteration.queries
            ]
            if iteration.ranking:
                self._add_ranking(s, iteration.ranking, ranked)
            if version and weights:
                self._add_version(s, iteration, version, weights)
            metrics.add_metrics(
                s, run_id=self.run_id, step=iteration.steps, values=iteration.metrics, now=now()
            )
            stale = self._add_checkpoint(s, iteration, checkpoint)
            changes.taken_up(s, ids=iteration.changes, iteration=iteration.number, now=now())
        # After the commit: a kill here leaves files that no row names, never the reverse.
        for name in stale:
            self._artifacts.delete(name)
        return asked

    def _put(self, recipe: Trajectory) -> str:
        return self._artifacts.put(recipe.to_bytes())

    def _add_checkpoint(self, s: Any, iteration: Iteration, artifact: str) -> list[str]:
        """The checkpoint and how far the run is; artifacts of checkpoints that are not kept."""
        _, stale = versions.add_checkpoint(
            s,
            run_id=self.run_id,
            iteration=iteration.number,
            steps=iteration.steps,
            artifact=artifact,
            kept=iteration.keep,
            now=now(),
        )
        runs.update_progress(
            s,
            run_id=self.run_id,
            iteration=iteration.number,
            steps=iteration.steps,
            steps_per_second=iteration.steps_per_second,
        )
        return stale

    def _add_version(
        self, s: Any, iteration: Iteration, version: NewVersion, artifact: str
    ) -> None:
        versions.add_reward_model(
            s,
            run_id=self.run_id,
            artifact=artifact,
            iteration=iteration.number,
            steps=iteration.steps,
            preferences=version.preferences,
            last_preference_id=version.last_preference_id,
            metrics=version.metrics,
            now=now(),
        )
        labellers.store_reliabilities(s, run_id=self.run_id, found=version.trust, now=now())

    def _add_ranking(self, s: Any, ranking: NewRanking, recipes: dict[int, str]) -> None:
        """An order over demonstrations, each stored whole."""
        places = [
            [(self._add_trajectory(s, one, recipes[id(one)]), None) for one in tied]
            for tied in ranking.places
        ]
        teacher = people.answering_teacher(s, self.run_id, "ranking", ranking.settings)
        rankings.add_ranking(
            s,
            run_id=self.run_id,
            teacher_id=teacher.id,
            kind=RankingKind(ranking.kind),
            places=places,
            settings=ranking.settings,
            preferences=ranking.preferences,
            submission_key=f"run-{self.run_id}",
            now=now(),
        )

    def store_scores(
        self,
        steps: int,
        values: dict[str, float],
        showing: Trajectory,
        performances: Sequence[Trajectory] = (),
        *,
        oracle: bool = False,
    ) -> None:
        """Add the scores of the newest checkpoint's agent, and the agent at work for its video.

        Args:
            steps: of the checkpoint.
            values: its scores.
            showing: what its video shows.
            performances: put beside those of an earlier checkpoint on the same levels.
            oracle: whether the true reward judges these pairs at once; else people do.

        Raises:
            LeaseLost: another worker has taken the run over; nothing is stored.
        """
        artifact = self._put(showing)
        recipes = [self._put(one) for one in performances]
        with self._database.write() as s:
            self._require_lease(s)
            row = versions.latest_checkpoint(s, run_id=self.run_id)
            assert row is not None, "scores come after their iteration"
            versions.set_showing(s, checkpoint_id=row.id, showing=artifact)
            metrics.add_metrics(s, run_id=self.run_id, step=steps, values=values, now=now())
            for one, recipe in zip(performances, recipes, strict=True):
                whole = Segment(one, 0, one.steps)
                self._add_segment(s, whole, recipe)
            if performances:
                self._add_trial(s, steps, oracle=oracle)

    def _add_trial(self, s: Any, steps: int, *, oracle: bool) -> None:
        """Put the newest checkpoint's performances beside an earlier one's."""
        older = trials.opponent(s, run_id=self.run_id, steps=steps)
        if older is None:
            return
        old = trials.performances(s, run_id=self.run_id, steps=older)
        new = trials.performances(s, run_id=self.run_id, steps=steps)
        places = sorted(old.keys() & new.keys())
        if not places:
            return
        trial = trials.add_trial(
            s, run_id=self.run_id, older_steps=older, newer_steps=steps, now=now()
        )
        returns = trajectories.true_returns(s, segment_ids=[*old.values(), *new.values()])
        for place in places:
            query = queries.add_query(
                s,
                run_id=self.run_id,
                segment_a_id=new[place],
                segment_b_id=old[place],
                iteration=0,
                trial_id=trial.id,
                now=now(),
            )
            if oracle:
                preferences.record_known(
                    s,
                    query=query,
                    kind="synthetic",
                    settings={},
                    answer=_better(returns[new[place]], returns[old[place]]),
                    purpose=Purpose.TRIAL,
                    now=now(),
                )

    def _add_query(
        self,
        s: Any,
        query: NewQuery,
        segments: Mapping[int, int],
        iteration: int,
        teachers: Mapping[Answering, dict[str, Any]],
    ) -> AskedPair:
        a, b = segments[id(query.a)], segments[id(query.b)]
        row = queries.add_query(
            s,
            run_id=self.run_id,
            segment_a_id=a,
            segment_b_id=b,
            iteration=iteration,
            priority=query.priority,
            selection=query.selection,
            now=now(),
        )
        if query.answer is None:
            queries.share_out(row, rules_of(self.config))
        else:
            preferences.record_known(
                s,
                query=row,
                kind=query.teacher,
                settings=teachers[query.teacher],
                answer=Answer(query.answer),
                now=now(),
            )
        return AskedPair(row.id, a, b)

    def _add_trajectory(self, s: Any, trajectory: Trajectory, artifact: str) -> int:
        return trajectories.add_trajectory(
            s,
            run_id=self.run_id,
            artifact=artifact,
            episode=trajectory.episode,
            level=trajectory.level,
            policy_step=trajectory.policy_step,
            steps=trajectory.steps,
            true_return=float(trajectory.rewards.sum()),
            now=now(),
        ).id

    def _add_segment(self, s: Any, segment: Segment, artifact: str) -> int:
        return trajectories.add_segment(
            s,
            run_id=self.run_id,
            trajectory_id=self._add_trajectory(s, segment.trajectory, artifact),
            start=segment.start,
            length=segment.length,
            true_return=segment.true_return,
        ).id


def _better(new: float, old: float) -> Answer:
    """What a teacher that sees the true reward says of two clips of one level."""
    if new == old:
        return Answer.TIE
    return Answer.A if new > old else Answer.B
