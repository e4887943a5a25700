"""A run as the worker that has leased it knows it: alive, its own, its stored segments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from learner.trajectories import Segment, Trajectory
from server.models import CommandKind, RunState
from server.store import runs, trajectories

if TYPE_CHECKING:
    from learner.records.workplace import Workplace

LEASE_SECONDS = 20.0
"""A worker that is silent for so long has lost its run."""


def now() -> datetime:
    """The time, as it is stored."""
    return datetime.now(UTC)


class Leased:
    """One leased run.

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

    def heartbeat(self, activity: str) -> list[CommandKind] | None:
        """Renew the lease, say what the worker does; its new commands, or None: it is lost."""
        with self._database.write() as s:
            held = runs.heartbeat(
                s,
                run_id=self.run_id,
                worker=self.worker,
                now=now(),
                seconds=LEASE_SECONDS,
                activity=activity,
            )
            if not held:
                return None
            return runs.take_commands(s, run_id=self.run_id, now=now())

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
            runs.release_run(s, run_id=self.run_id, worker=self.worker, now=now(), left=left)

    def _require_lease(self, s: Any) -> None:
        runs.require_lease(s, run_id=self.run_id, worker=self.worker)

    def segment(self, segment_id: int) -> Segment:
        """A stored segment with its recipe."""
        with self._database.read() as s:
            found = trajectories.recipe(s, segment_id=segment_id)
        return self._read(found)

    def _read(self, recipe: trajectories.Recipe) -> Segment:
        trajectory = Trajectory.from_bytes(self._artifacts.get(recipe.artifact))
        return Segment(trajectory, recipe.start, recipe.length)
