"""What is watched of a run: how labelling goes, alarms, settings that people change."""

from __future__ import annotations

from collections.abc import Sequence

from learner.alarms.history import NEWEST, Alarm, Point, Trial
from learner.changes import Change
from learner.records.leased import Leased, now
from server.notebook import Concord, read_crowd
from server.store import alarms, changes, judgements, labellers, metrics, trials
from server.store.pace import Pace, pace


class Watching(Leased):
    """What people watch, and what they change while they do."""

    def pace(self) -> Pace:
        """How labelling goes at this moment."""
        with self._database.read() as s:
            return pace(s, run_id=self.run_id, now=now())

    def concord(self) -> Concord:
        """How far people agree on the pairs that several of them answered."""
        with self._database.read() as s:
            given = judgements.judgements(s, run_id=self.run_id)
            return read_crowd(given, labellers.excluded_teachers(s, run_id=self.run_id))

    def tails(self, names: Sequence[str]) -> dict[str, list[Point]]:
        """The newest points of some curves."""
        with self._database.read() as s:
            return metrics.tails(s, run_id=self.run_id, names=names, count=NEWEST)

    def store_alarms(self, found: Sequence[Alarm], *, iteration: int, step: int) -> list[str]:
        """Bring the run's open alarms up to what holds; returns the texts of the new ones.

        Raises:
            LeaseLost: another worker has taken the run over; nothing is stored.
        """
        with self._database.write() as s:
            self._require_lease(s)
            raised = alarms.update(
                s,
                run_id=self.run_id,
                found=[alarms.Found(one.kind, one.text, one.evidence) for one in found],
                iteration=iteration,
                step=step,
                now=now(),
            )
            return [alarm.text for alarm in raised]

    def trials(self) -> list[Trial]:
        """Blind trials as far as they are answered, oldest first."""
        with self._database.read() as s:
            found = trials.results(s, run_id=self.run_id)
        return [
            Trial(one.newer_steps, one.older_steps, one.wins, one.losses, one.ties) for one in found
        ]

    def changes(self) -> list[Change]:
        """What people have changed since the run began, oldest first."""
        with self._database.read() as s:
            rows = changes.list_changes(s, run_id=self.run_id)
            return [Change(row.id, row.label_budget, row.strategy, row.iteration) for row in rows]
