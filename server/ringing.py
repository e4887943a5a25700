"""Alarms as pages, lists and the API tell of them; a silent learner among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import Person, Run
from server.store import alarms

SILENCE = "learner"
"""The one kind that no learner can raise."""


@dataclass(frozen=True)
class AlarmView:
    """An alarm that holds.

    Attributes:
        id: None = it ends by itself and cannot be acknowledged.
        title: what kind it is.
        where: address of the evidence.
        acknowledged_by: who has seen it; None = nobody.
    """

    id: int | None
    kind: str
    title: str
    text: str
    where: str
    step: int
    raised_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


def read_alarms(s: Session, *, run: Run, gone: bool) -> tuple[AlarmView, ...]:
    """A run's alarms that hold, those that nobody has acknowledged first.

    Args:
        s: the session.
        run: the run.
        gone: whether it should have a learner and that one is silent.
    """
    rows = alarms.open_alarms(s, run_id=run.id)
    names = {row.acknowledged_by_id for row in rows}
    people = dict(s.execute(select(Person.id, Person.name).where(Person.id.in_(names))).all())
    found = [
        AlarmView(
            id=row.id,
            kind=row.kind,
            title=alarms.TITLES.get(row.kind, row.kind),
            text=row.text,
            where=_where(run.name, row.evidence),
            step=row.step,
            raised_at=row.raised_at,
            acknowledged_at=row.acknowledged_at,
            acknowledged_by=people.get(row.acknowledged_by_id or 0),
        )
        for row in rows
    ]
    shown = sorted(found, key=lambda one: one.acknowledged_at is not None)
    return (*_silence(run, gone=gone), *shown)


def _silence(run: Run, *, gone: bool) -> list[AlarmView]:
    if not gone or run.heartbeat_at is None:
        return []
    return [
        AlarmView(
            id=None,
            kind=SILENCE,
            title=alarms.TITLES[SILENCE],
            text="The learner has fallen silent; start one with clipwise work.",
            where=f"/runs/{quote(run.name)}#standing",
            step=run.steps,
            raised_at=run.heartbeat_at,
        )
    ]


def _where(name: str, evidence: str) -> str:
    """Address of an alarm's evidence: a chart, a page of the run, or the run's people."""
    if evidence == "people":
        return f"/people?run={quote(name)}"
    if evidence.startswith("chart-"):
        return f"/runs/{quote(name)}#{quote(evidence)}"
    return f"/runs/{quote(name)}/{quote(evidence)}"
