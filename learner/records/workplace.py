"""Where runs live: a database and its artifact store."""

from __future__ import annotations

from typing import Any

from learner.records.leased import LEASE_SECONDS, now
from learner.records.run import RunRecords
from server.artifacts import Artifacts
from server.database import Database
from server.errors import NotFound
from server.models import RunState
from server.settings import Settings
from server.store import runs, versions


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
                now=now(),
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
            run = runs.lease_run(s, worker=worker, now=now(), seconds=LEASE_SECONDS, run_id=run_id)
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
