"""What people want to know of trajectories: taken from the database, and put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learner.records.leased import now
from learner.trajectories import Trajectory
from server.inspections import Aspect
from server.store import inspections, trajectories
from server.store.inspections import Taken
from server.store.trajectories import Recipe

if TYPE_CHECKING:
    from learner.records.workplace import Workplace

__all__ = ["Aspect", "Inspections", "Taken"]


class Inspections:
    """The inspections of all runs; any worker may take any of them."""

    def __init__(self, workplace: Workplace) -> None:
        self._database = workplace.database
        self._artifacts = workplace.artifacts

    def are_waiting(self) -> bool:
        """Whether there is anything to find out."""
        with self._database.read() as s:
            return inspections.is_waiting(s, now=now())

    def take(self, *, quick: bool = False) -> Taken | None:
        """What to find out next; `quick` leaves out what takes long."""
        if not self.are_waiting():  # else an idle worker would write all the time
            return None
        with self._database.write() as s:
            return inspections.take(s, now=now(), quick=quick)

    def trajectory(self, artifact: str) -> Trajectory:
        """The recipe of that name."""
        return Trajectory.from_bytes(self._artifacts.get(artifact))

    def content(self, artifact: str) -> bytes:
        """The artifact of that name, such as a reward model."""
        return self._artifacts.get(artifact)

    def segments(self, run_id: int) -> list[Recipe]:
        """All segments of a run, the newest first."""
        with self._database.read() as s:
            return trajectories.recipes(s, run_id=run_id)

    def go_on(self, inspection_id: int) -> None:
        """Say that this one is being worked on still."""
        with self._database.write() as s:
            inspections.go_on(s, inspection_id=inspection_id, now=now())

    def store(self, inspection_id: int, content: bytes) -> None:
        """Store what was found."""
        name = self._artifacts.put(content)
        with self._database.write() as s:
            inspections.finish(s, inspection_id=inspection_id, result=name, now=now())

    def refuse(self, inspection_id: int, reason: str) -> None:
        """Say, in one line for people, why it cannot be found out."""
        with self._database.write() as s:
            inspections.refuse(s, inspection_id=inspection_id, reason=reason, now=now())
