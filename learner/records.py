"""The one door between the learner and the database; each function is one transaction.

Large content goes to the artifact store before the row that names it, so a kill at any moment
leaves at most an artifact that no row mentions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
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
from learner.trajectories import Segment, Trajectory
from server.artifacts import Artifacts
from server.database import Database
from server.errors import ArtifactDamaged, ArtifactMissing, LeaseLost, NotFound
from server.errors import ClipwiseError as RecordsError
from server.models import Answer, CommandKind, RunState, Strength
from server.rankings import RankingKind
from server.rules import rules_of
from server.settings import Settings
from server.store import (
    labellers,
    metrics,
    people,
    preferences,
    queries,
    rankings,
    runs,
    trajectories,
    versions,
)

__all__ = [
    "CONTENT_LOST",
    "CommandKind",
    "LeaseLost",
    "RecordsError",
    "RunRecords",
    "RunState",
    "Settings",
    "Workplace",
]

LEASE_SECONDS = 20.0
"""A worker that is silent for so long has lost its run."""

CONTENT_LOST = (ArtifactMissing, ArtifactDamaged)
"""A row names content that is gone or is no longer what it was."""


def _now() -> datetime:
    return datetime.now(UTC)


class Workplace:
    """A database and its artifact store: where runs live."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.artifacts = Artifacts(settings.artifacts_url)
        self.artifacts.prepare()

    def create_run(self, config: dict[str, Any], *, name: str | None = None) -> str:
        """Store a new run that waits for a worker; return its name.

        The name is the config's, with a number behind it if it is taken.
        """
        with self.database.write() as s:
            run = runs.create_run(
                s,
                name=name or runs.unused_name(s, base=config["name"]),
                environment=config["environment"]["id"],
                config=config,
                seed=config["seed"],
                total_steps=config["total_steps"],
                label_budget=config["queries"]["budget"],
                goal=config["goal"],
                instructions=config["instructions"],
                now=_now(),
            )
            return run.name

    def run_for_people(self) -> str | None:
        """The newest run that has not ended and whose pairs people answer; None if none is."""
        with self.database.read() as s:
            return next(
                (
                    run.name
                    for run in (summary.run for summary in runs.list_runs(s))
                    if run.state != RunState.FINISHED and run.config["teacher"]["kind"] == "person"
                ),
                None,
            )

    def unfinished_run(self, config: dict[str, Any]) -> str | None:
        """The newest run of exactly this config that has not ended; None if there is none."""
        with self.database.read() as s:
            return runs.unfinished_run(s, config=config)

    def lease(self, worker: str, *, name: str | None = None) -> RunRecords | None:
        """Take a run that nobody works on: the named one, or the oldest that waits."""
        with self.database.write() as s:
            run_id = runs.get_run(s, name=name).id if name else None
            run = runs.lease_run(s, worker=worker, now=_now(), seconds=LEASE_SECONDS, run_id=run_id)
            if run is None:
                return None
            return RunRecords(self, run.id, run.name, run.config, worker)

    def lease_waiting(self, worker: str, name: str) -> RunRecords | None:
        """Take the named run if it waits for a worker; not one that somebody has stopped."""
        with self.database.read() as s:
            waits = runs.get_run(s, name=name).state in (RunState.WAITING, RunState.RUNNING)
        return self.lease(worker, name=name) if waits else None

    def kept_checkpoint(self, name: str) -> tuple[dict[str, Any], bytes]:
        """A run's config and its newest kept checkpoint; also while somebody works on it.

        Raises:
            NotFound: no such run, or it has not kept a checkpoint yet.
        """
        with self.database.read() as s:
            run = runs.get_run(s, name=name)
            rows = versions.list_checkpoints(s, run_id=run.id)
            if (kept := next((row.artifact for row in rows if row.kept), None)) is None:
                raise NotFound(f"run {name} has no checkpoint yet; wait for its first iteration")
            return run.config, self.artifacts.get(kept)

    def kept_checkpoints(self, name: str) -> tuple[dict[str, Any], list[bytes]]:
        """A run's config and all its kept checkpoints, the oldest first.

        Raises:
            NotFound: no such run, or it has not kept a checkpoint yet.
        """
        with self.database.read() as s:
            run = runs.get_run(s, name=name)
            rows = versions.list_checkpoints(s, run_id=run.id)
            kept = sorted((row.iteration, row.artifact) for row in rows if row.kept)
            if not kept:
                raise NotFound(f"run {name} has no checkpoint yet; wait for its first iteration")
            return run.config, [self.artifacts.get(artifact) for _, artifact in kept]

    def reward_model(self, name: str, version: int | None = None) -> tuple[int, bytes]:
        """A version of a run's reward model with its number; None = the newest.

        Raises:
            NotFound: no such run or version.
        """
        with self.database.read() as s:
            run = runs.get_run(s, name=name)
            rows = versions.list_reward_models(s, run_id=run.id)
            if not rows:
                raise NotFound(f"run {name} has no reward model yet; it needs answers first")
            if (row := next((r for r in rows if version in (None, r.version)), None)) is None:
                raise NotFound(f"run {name} has no version {version}, only 1 to {rows[0].version}")
            return row.version, self.artifacts.get(row.artifact)

    def check(self) -> None:
        """Make sure that the database is of this version.

        Raises:
            DatabaseVersionError: it is not; the message says what to do.
        """
        self.database.check_version()

    def close(self) -> None:
        """Give the database connections back."""
        self.database.close()


class RunRecords:
    """One leased run, as its worker reads and writes it.

    Attributes:
        folder: for files that people open, such as TensorBoard's events.
    """

    def __init__(
        self, workplace: Workplace, run_id: int, name: str, config: dict[str, Any], worker: str
    ) -> None:
        self.workplace = workplace
        self.run_id = run_id
        self.name = name
        self.config = config
        self.worker = worker
        self.folder = workplace.settings.var / "runs" / name
        self._artifacts = workplace.artifacts
        self._database = workplace.database

    # -- is it alive, and what do people want of it ------------------------------------------

    def heartbeat(self, activity: str) -> list[CommandKind] | None:
        """Renew the lease, say what the worker does; its new commands, or None: it is lost."""
        with self._database.write() as s:
            held = runs.heartbeat(
                s,
                run_id=self.run_id,
                worker=self.worker,
                now=_now(),
                seconds=LEASE_SECONDS,
                activity=activity,
            )
            if not held:
                return None
            return runs.take_commands(s, run_id=self.run_id, now=_now())

    def set_state(self, state: RunState, reason: str = "") -> None:
        """Write the run's state and, in one line for people, why.

        Raises:
            LeaseLost: another worker has taken the run over.
        """
        with self._database.write() as s:
            self._require_lease(s)
            runs.set_state(s, run_id=self.run_id, state=state, reason=reason)

    def release(self, left: RunState = RunState.WAITING) -> None:
        """Give the run back; one that was still running is left in the state `left`."""
        with self._database.write() as s:
            runs.release_run(s, run_id=self.run_id, worker=self.worker, now=_now(), left=left)

    def _require_lease(self, s: Any) -> None:
        runs.require_lease(s, run_id=self.run_id, worker=self.worker)

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
            return queries.counts(s, run_id=self.run_id, now=_now())

    def segment(self, segment_id: int) -> Segment:
        """A stored segment with its recipe."""
        with self._database.read() as s:
            found = trajectories.recipe(s, segment_id=segment_id)
        return self._read(found)

    def _read(self, recipe: trajectories.Recipe) -> Segment:
        trajectory = Trajectory.from_bytes(self._artifacts.get(recipe.artifact))
        return Segment(trajectory, recipe.start, recipe.length)

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
        recipes = {
            key: self._artifacts.put(segment.trajectory.to_bytes())
            for key, segment in segments.items()
        }
        ranked = {
            id(one): self._artifacts.put(one.to_bytes())
            for tied in (iteration.ranking.places if iteration.ranking else ())
            for one in tied
        }
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
                s, run_id=self.run_id, step=iteration.steps, values=iteration.metrics, now=_now()
            )
            _, stale = versions.add_checkpoint(
                s,
                run_id=self.run_id,
                iteration=iteration.number,
                steps=iteration.steps,
                artifact=checkpoint,
                kept=iteration.keep,
                now=_now(),
            )
            runs.update_progress(
                s,
                run_id=self.run_id,
                iteration=iteration.number,
                steps=iteration.steps,
                steps_per_second=iteration.steps_per_second,
            )
        # After the commit: a kill here leaves files that no row names, never the reverse.
        for name in stale:
            self._artifacts.delete(name)
        return asked

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
            now=_now(),
        )
        labellers.store_reliabilities(s, run_id=self.run_id, found=version.trust, now=_now())

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
            now=_now(),
        )

    def store_scores(self, steps: int, values: dict[str, float], showing: Trajectory) -> None:
        """Add the scores of the newest checkpoint's agent, and the agent at work for its video.

        Raises:
            LeaseLost: another worker has taken the run over; nothing is stored.
        """
        artifact = self._artifacts.put(showing.to_bytes())
        with self._database.write() as s:
            self._require_lease(s)
            row = versions.latest_checkpoint(s, run_id=self.run_id)
            assert row is not None, "scores come after their iteration"
            versions.set_showing(s, checkpoint_id=row.id, showing=artifact)
            metrics.add_metrics(s, run_id=self.run_id, step=steps, values=values, now=_now())

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
            now=_now(),
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
                now=_now(),
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
            now=_now(),
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

    # -- clips and videos, made off the training path -----------------------------------------

    def segments_without_clip(self, limit: int) -> list[int]:
        """Ids of the segments that people wait to see, in the order of the queue."""
        with self._database.read() as s:
            found = trajectories.segments_without_clip(s, run_id=self.run_id, limit=limit)
            return [one.segment_id for one in found]

    def store_clip(self, segment_id: int, video: bytes) -> None:
        """Store a rendered clip; a pair whose two clips are there opens."""
        name = self._artifacts.put(video)
        with self._database.write() as s:
            trajectories.set_clip(s, segment_id=segment_id, clip=name)

    def agent_clips_wanted(self, limit: int) -> list[int]:
        """Ids of the segments that somebody wants to see as the agent does."""
        with self._database.read() as s:
            found = trajectories.agent_clips_wanted(s, run_id=self.run_id, limit=limit)
            return [one.segment_id for one in found]

    def store_agent_clip(self, segment_id: int, video: bytes | None) -> None:
        """Store a segment's clip in the agent's view; None: there is nothing to be seen."""
        name = self._artifacts.put(video) if video else ""
        with self._database.write() as s:
            trajectories.set_agent_clip(s, segment_id=segment_id, clip=name)

    def clip_failed(self, segment_id: int) -> None:
        """Set the pairs of a segment that cannot be rendered aside."""
        with self._database.write() as s:
            trajectories.clip_failed(s, segment_id=segment_id)

    def checkpoint_without_video(self) -> tuple[int, str] | None:
        """The newest kept checkpoint whose video is still to be made; its id and what it shows."""
        with self._database.read() as s:
            row = versions.next_without_video(s, run_id=self.run_id)
        return None if row is None or row.showing is None else (row.id, row.showing)

    def showing(self, artifact: str) -> Trajectory:
        """What a checkpoint's video is to show."""
        return Trajectory.from_bytes(self._artifacts.get(artifact))

    def store_video(self, checkpoint_id: int, video: bytes | None) -> None:
        """Store the video of a checkpoint's agent; None: there is nothing to be seen."""
        name = self._artifacts.put(video) if video else ""
        with self._database.write() as s:
            versions.set_video(s, checkpoint_id=checkpoint_id, video=name)
