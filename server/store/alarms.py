"""Alarms: raised and cleared by a run's learner, acknowledged by people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.errors import NotFound
from server.models import Alarm, Run
from server.store import audit
from server.store.runs import ENDED

PATIENCE = 3
"""Iterations in which an alarm must not hold before it is cleared: one on the edge stays one."""

_TEXT = 500

TITLES = {
    "hacking": "Reward hacking",
    "clock": "A clock",
    "sign": "Sign arbitrary",
    "ensemble": "Ensemble",
    "negatives": "Nothing negative shown",
    "ties": "Too many ties",
    "disagreement": "People disagree",
    "disk": "Disk",
    "learner": "Learner gone",
}
"""What each kind is called on pages."""


@dataclass(frozen=True)
class Found:
    """An alarm as the learner raises it.

    Attributes:
        kind: of each kind one is open at a time.
        text: one sentence that explains itself.
        evidence: where to look.
    """

    kind: str
    text: str
    evidence: str


def update(
    s: Session,
    *,
    run_id: int,
    found: Collection[Found],
    iteration: int,
    step: int,
    now: datetime,
) -> list[Alarm]:
    """Bring a run's open alarms up to what holds now; returns those that are new."""
    standing = {alarm.kind: alarm for alarm in uncleared(s, run_id=run_id)}
    raised = []
    for one in found:
        alarm = standing.pop(one.kind, None)
        if alarm is None:
            alarm = Alarm(
                run_id=run_id, kind=one.kind, iteration=iteration, step=step, raised_at=now
            )
            s.add(alarm)
            raised.append(alarm)
        alarm.text, alarm.evidence = one.text[:_TEXT], one.evidence
        alarm.seen_iteration = iteration
    for alarm in standing.values():
        if iteration - alarm.seen_iteration >= PATIENCE:
            alarm.cleared_at = now
    s.flush()
    return raised


def open_alarms(s: Session, *, run_id: int) -> Sequence[Alarm]:
    """A run's alarms that hold, the newest first; of a run that has ended none does any more."""
    ended = s.get_one(Run, run_id).state in ENDED
    return [] if ended else uncleared(s, run_id=run_id)


def uncleared(s: Session, *, run_id: int) -> Sequence[Alarm]:
    """Alarms that hold, or held when the run ended, the newest first."""
    return s.scalars(
        select(Alarm)
        .where(Alarm.run_id == run_id, Alarm.cleared_at.is_(None))
        .order_by(Alarm.id.desc())
    ).all()


def all_alarms(s: Session, *, run_id: int, limit: int) -> Sequence[Alarm]:
    """A run's alarms, those that were cleared too, the newest first."""
    wanted = select(Alarm).where(Alarm.run_id == run_id).order_by(Alarm.id.desc()).limit(limit)
    return s.scalars(wanted).all()


def unacknowledged(s: Session) -> dict[int, list[Alarm]]:
    """Alarms that hold and that nobody has acknowledged, by run; none of runs that have ended."""
    found: dict[int, list[Alarm]] = {}
    for alarm in s.scalars(
        select(Alarm)
        .join(Run, Run.id == Alarm.run_id)
        .where(
            Alarm.cleared_at.is_(None),
            Alarm.acknowledged_at.is_(None),
            Run.state.not_in(ENDED),
        )
        .order_by(Alarm.id.desc())
    ):
        found.setdefault(alarm.run_id, []).append(alarm)
    return found


def acknowledge(
    s: Session, *, run: Run, alarm_id: int, person_id: int | None, now: datetime
) -> Alarm:
    """Note that somebody has seen an alarm; a second time changes nothing.

    Raises:
        NotFound: no such alarm in this run.
    """
    alarm = s.get(Alarm, alarm_id)
    if alarm is None or alarm.run_id != run.id:
        raise NotFound(f"no alarm {alarm_id} in this run")
    if alarm.acknowledged_at is None:
        alarm.acknowledged_at, alarm.acknowledged_by_id = now, person_id
        subject = f"{run.name}: {alarm.kind}"
        audit.note(s, person_id=person_id, action="acknowledge alarm", subject=subject, now=now)
        s.flush()
    return alarm
