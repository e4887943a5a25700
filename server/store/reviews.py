"""Queries as a researcher looks through them: where people, or people and model, differ; flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, bindparam, distinct, func, or_, select, tuple_
from sqlalchemy.orm import Session

from server.errors import NotFound
from server.models import (
    Answer,
    Preference,
    Purpose,
    Query,
    QueryState,
    Segment,
    Teacher,
    Trajectory,
    Trial,
)
from server.store.labellers import excluded_pairs, excluded_teachers
from server.store.preferences import effective


class Which(StrEnum):
    """Which queries of a run are looked through."""

    ALL = "all"
    PEOPLE = "people"
    MODEL = "model"
    FLAGGED = "flagged"
    SET_ASIDE = "set-aside"
    GOLD = "gold"
    TRIALS = "trials"


_FIRST = and_(
    Preference.query_id == Query.id,
    Preference.purpose.in_((Purpose.ORDINARY, Purpose.GOLD, Purpose.TRIAL)),
    tuple_(Preference.run_id, Preference.teacher_id).not_in(excluded_pairs()),
    effective(),
)
_PREDICTED = Query.selection["predicted"].as_float()
_CONDITIONS: Mapping[Which, ColumnElement[bool]] = {
    Which.PEOPLE: select(func.count(distinct(Preference.answer)))
    .where(_FIRST, Preference.answer.in_((Answer.A, Answer.B, Answer.TIE)))
    .correlate(Query)
    .scalar_subquery()
    > 1,
    Which.MODEL: select(Preference.id)
    .where(
        _FIRST,
        or_(
            and_(Preference.answer == Answer.A, _PREDICTED < 0.5),
            and_(Preference.answer == Answer.B, _PREDICTED > 0.5),
        ),
    )
    .correlate(Query)
    .exists(),
    Which.FLAGGED: select(Preference.id)
    .where(Preference.query_id == Query.id, Preference.flagged, effective())
    .correlate(Query)
    .exists(),
    Which.SET_ASIDE: Query.state == QueryState.SET_ASIDE,
    Which.GOLD: Query.gold.is_not(None),
    Which.TRIALS: Query.trial_id.is_not(None),
}
_ANSWERED_BY = (
    select(Preference.id)
    .join(Teacher, Teacher.id == Preference.teacher_id)
    .where(
        Preference.query_id == Query.id,
        Teacher.person_id == bindparam("person_id"),
        effective(),
    )
    .correlate(Query)
    .exists()
)


@dataclass(frozen=True)
class Summary:
    """A query in the list.

    Attributes:
        votes: first answers of people who are not excluded, by answer.
        flags: answers that flag it.
    """

    query: Query
    votes: Mapping[Answer, int]
    flags: int


@dataclass(frozen=True)
class Given:
    """One stored answer, whether it counts or not.

    Attributes:
        who: the teacher's name.
        replaced: a later row takes its place, or takes it back.
        excluded: the teacher's answers do not count in this run.
    """

    row: Preference
    who: str
    person_id: int | None
    replaced: bool
    excluded: bool


@dataclass(frozen=True)
class Shown:
    """One of a query's two segments and where it is from."""

    segment: Segment
    trajectory: Trajectory


@dataclass(frozen=True)
class Review:
    """A query whole.

    Attributes:
        trial: that it belongs to, with its two checkpoints; None = an ordinary pair.
    """

    query: Query
    trial: Trial | None
    a: Shown
    b: Shown
    answers: Sequence[Given]


def count_queries(s: Session, *, run_id: int) -> dict[Which, int]:
    """How many queries of a run each choice would show."""
    of_each = [func.count(Query.id).filter(condition) for condition in _CONDITIONS.values()]
    found = s.execute(select(func.count(Query.id), *of_each).where(Query.run_id == run_id)).one()
    return dict(zip((Which.ALL, *_CONDITIONS), found, strict=True))


def list_queries(
    s: Session,
    *,
    run_id: int,
    which: Which = Which.ALL,
    person_id: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[Summary]:
    """Queries of a run, the newest first.

    Args:
        s: the session.
        run_id: the run.
        which: which ones.
        person_id: only those that this person has answered; None = all.
        before: only those with a lower id.
        limit: at most so many.
    """
    wanted = select(Query).where(Query.run_id == run_id)
    if which in _CONDITIONS:
        wanted = wanted.where(_CONDITIONS[which])
    if person_id is not None:
        wanted = wanted.where(_ANSWERED_BY)
    if before is not None:
        wanted = wanted.where(Query.id < before)
    rows = s.scalars(wanted.order_by(Query.id.desc()).limit(limit), {"person_id": person_id}).all()
    ids = [row.id for row in rows]
    votes: dict[int, dict[Answer, int]] = {}
    for query_id, answer, count in s.execute(
        select(Preference.query_id, Preference.answer, func.count())
        .join(Query, Query.id == Preference.query_id)
        .where(Query.id.in_(ids), _FIRST)
        .group_by(Preference.query_id, Preference.answer)
    ):
        votes.setdefault(query_id, {})[answer] = count
    flags = dict(
        s.execute(
            select(Preference.query_id, func.count())
            .where(Preference.query_id.in_(ids), Preference.flagged, effective())
            .group_by(Preference.query_id)
        ).all()
    )
    return [Summary(row, votes.get(row.id, {}), flags.get(row.id, 0)) for row in rows]


def read_query(s: Session, *, run_id: int, query_id: int) -> Review:
    """One query with its segments and every answer ever given to it, oldest first.

    Raises:
        NotFound: no such query in this run.
    """
    query = s.get(Query, query_id)
    if query is None or query.run_id != run_id:
        raise NotFound(f"no query {query_id} in this run")
    rows = s.execute(
        select(Preference, Teacher)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Preference.query_id == query_id)
        .order_by(Preference.id)
    ).all()
    replaced = {row.replaces_id for row, _ in rows}
    excluded = excluded_teachers(s, run_id=run_id)
    return Review(
        query=query,
        trial=None if query.trial_id is None else s.get_one(Trial, query.trial_id),
        a=_shown(s, query.segment_a_id),
        b=_shown(s, query.segment_b_id),
        answers=[
            Given(row, teacher.name, teacher.person_id, row.id in replaced, teacher.id in excluded)
            for row, teacher in rows
        ],
    )


def _shown(s: Session, segment_id: int) -> Shown:
    segment = s.get_one(Segment, segment_id)
    return Shown(segment, s.get_one(Trajectory, segment.trajectory_id))


def clip_of(s: Session, *, query_id: int, which: str) -> Segment:
    """A query's segment a or b.

    Raises:
        NotFound: no such query.
    """
    query = s.get(Query, query_id)
    if query is None:
        raise NotFound(f"no query {query_id}")
    return s.get_one(Segment, query.segment_a_id if which == "a" else query.segment_b_id)
