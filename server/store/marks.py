"""What happened to a run, as marks on the axis of its curves."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import Alarm, Change, Command, CommandKind, Preference, RewardModel
from server.store.alarms import TITLES
from server.store.changes import told
from server.store.preferences import given

MOST = 300
"""Marks of one kind that are shown, the newest."""

PAUSE = timedelta(minutes=10)
"""So long without an answer ends a burst of labels."""

BURST = 10
"""Answers that make a burst."""

_DONE = {
    CommandKind.PAUSE: "paused",
    CommandKind.RESUME: "resumed",
    CommandKind.STOP: "stopped",
}

Kind = Literal["version", "command", "labels", "change", "alarm"]


@dataclass(frozen=True)
class Mark:
    """Something that happened.

    Attributes:
        step: where on the axis; of what has a time alone, the last step stored before it.
        text: what, in a few words.
    """

    kind: Kind
    step: int
    at: datetime
    text: str


@dataclass(frozen=True)
class Clock:
    """When which step was reached.

    Attributes:
        steps: increasing.
        times: seconds since 1970, one per step.
    """

    steps: list[int]
    times: list[float]

    @cached_property
    def _forward(self) -> list[float]:
        """The times as of a clock that stood still while a real one had been set back."""
        return list(accumulate(self.times, max))

    def step_at(self, moment: datetime) -> int:
        """The last step stored by then; 0 before the first."""
        place = bisect_right(self._forward, moment.timestamp())
        return self.steps[place - 1] if place else 0


def read_marks(s: Session, *, run_id: int, clock: Clock) -> tuple[Mark, ...]:
    """A run's marks, oldest first."""
    found = [
        *_versions(s, run_id),
        *_commands(s, run_id, clock),
        *_bursts(s, run_id, clock),
        *_changes(s, run_id, clock),
        *_alarms(s, run_id),
    ]
    return tuple(sorted(found, key=lambda mark: mark.at))


def _versions(s: Session, run_id: int) -> Iterator[Mark]:
    rows = s.execute(
        select(RewardModel.steps, RewardModel.created_at, RewardModel.version)
        .where(RewardModel.run_id == run_id)
        .order_by(RewardModel.version.desc())
        .limit(MOST)
    )
    for steps, at, version in rows:
        yield Mark("version", steps, at, f"reward model v{version}")


def _commands(s: Session, run_id: int, clock: Clock) -> Iterator[Mark]:
    rows = s.execute(
        select(Command.taken_at, Command.kind)
        .where(Command.run_id == run_id, Command.taken_at.is_not(None))
        .order_by(Command.id.desc())
        .limit(MOST)
    )
    for at, kind in rows:
        assert at is not None
        yield Mark("command", clock.step_at(at), at, _DONE[kind])


def _changes(s: Session, run_id: int, clock: Clock) -> Iterator[Mark]:
    """Changes of settings, where the learner began to go by them."""
    rows = s.scalars(
        select(Change)
        .where(Change.run_id == run_id, Change.taken_at.is_not(None))
        .order_by(Change.id.desc())
        .limit(MOST)
    )
    for row in rows:
        assert row.taken_at is not None
        yield Mark("change", clock.step_at(row.taken_at), row.taken_at, told(row))


def _alarms(s: Session, run_id: int) -> Iterator[Mark]:
    rows = s.execute(
        select(Alarm.step, Alarm.raised_at, Alarm.kind)
        .where(Alarm.run_id == run_id)
        .order_by(Alarm.id.desc())
        .limit(MOST)
    )
    for step, at, kind in rows:
        yield Mark("alarm", step, at, f"alarm: {TITLES.get(kind, kind)}")


def _bursts(s: Session, run_id: int, clock: Clock) -> Iterator[Mark]:
    """Where people began to label, and how much they did without a pause."""
    moments = s.scalars(
        select(Preference.created_at)
        .where(Preference.run_id == run_id, Preference.assignment_id.is_not(None), given())
        .order_by(Preference.id)
    ).all()
    for begin, end in _runs(moments):
        if end - begin >= BURST:
            minutes = max(1, round((moments[end - 1] - moments[begin]).total_seconds() / 60))
            text = f"{end - begin} labels in {minutes} min"
            yield Mark("labels", clock.step_at(moments[begin]), moments[begin], text)


def _runs(moments: Sequence[datetime]) -> Iterator[tuple[int, int]]:
    """Stretches without a pause, as (first, behind the last)."""
    begin = 0
    for place in range(1, len(moments) + 1):
        if place == len(moments) or moments[place] - moments[place - 1] > PAUSE:
            yield begin, place
            begin = place
