"""Rankings, and the preferences that follow from a person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Segment
from server.rankings import RankedTrajectory, Ranking, RankingKind
from server.store.locks import lock_answers
from server.store.people import teacher_for_person
from server.store.preferences import check_key, effective, record_answer
from server.store.queries import add_query

MOST_CLIPS = 10
"""In one person's ranking; more cannot be kept in mind."""


@dataclass(frozen=True)
class Ranked:
    """A stored ranking.

    Attributes:
        places: ids of segments (of trajectories, where none was shown), the best first; those of
            one place are tied.
        withdrawn: whether whoever made it has taken it back.
    """

    ranking: Ranking
    places: list[list[int]]
    withdrawn: bool = False


def add_ranking(
    s: Session,
    *,
    run_id: int,
    teacher_id: int,
    kind: RankingKind,
    places: Sequence[Sequence[tuple[int, int | None]]],
    settings: dict[str, Any],
    preferences: int,
    submission_key: str,
    now: datetime,
) -> Ranking:
    """Store an order whose preferences are stored, or drawn, elsewhere.

    Args:
        places: trajectory ids with the segment that was shown, if one was; the best first.
        preferences: how many follow from it.
        others: as of the table's columns.
    """
    ranking = Ranking(
        run_id=run_id,
        teacher_id=teacher_id,
        kind=kind,
        settings=settings,
        preferences=preferences,
        submission_key=submission_key,
        created_at=now,
    )
    s.add(ranking)
    s.flush()
    s.add_all(
        RankedTrajectory(
            ranking_id=ranking.id, trajectory_id=trajectory, segment_id=segment, place=place
        )
        for place, tied in enumerate(places)
        for trajectory, segment in tied
    )
    s.flush()
    return ranking


def rank_clips(
    s: Session,
    *,
    run_id: int,
    person_id: int,
    places: Sequence[Sequence[int]],
    iteration: int,
    submission_key: str,
    now: datetime,
) -> tuple[Ranked, bool]:
    """Store a person's order over clips and every preference between two of them.

    Args:
        places: segment ids, the best first; those of one place are tied.
        iteration: of the run, when it was made.
        others: as elsewhere.

    Returns:
        The ranking, and whether the key had stored it before.

    Raises:
        Invalid: too few or too many clips, one twice, or one of another run.
        Conflict: the key was used for another order.
    """
    check_key(submission_key)
    lock_answers(s, run_id)
    teacher = teacher_for_person(s, person_id=person_id)
    wanted = [sorted(tied) for tied in places]
    earlier = s.scalar(
        select(Ranking).where(
            Ranking.teacher_id == teacher.id, Ranking.submission_key == submission_key
        )
    )
    if earlier is not None:
        found = _found(s, earlier)
        if earlier.run_id != run_id or found.places != wanted:
            raise Conflict("this submission key was used for another order; make a new key")
        return found, True
    trajectories = _trajectories(s, run_id, places)
    pairs = list(combinations([(at, one) for at, tied in enumerate(places) for one in tied], 2))
    ranking = add_ranking(
        s,
        run_id=run_id,
        teacher_id=teacher.id,
        kind=RankingKind.PERSON,
        places=[[(trajectories[one], one) for one in tied] for tied in places],
        settings={"rule": "every pair of clips"},
        preferences=len(pairs),
        submission_key=submission_key,
        now=now,
    )
    for pair in pairs:
        _prefer(s, ranking, pair, iteration=iteration, now=now)
    return Ranked(ranking, wanted), False


def _prefer(
    s: Session,
    ranking: Ranking,
    pair: tuple[tuple[int, int], tuple[int, int]],
    *,
    iteration: int,
    now: datetime,
) -> None:
    """Store what a ranking says of two clips: place and segment id of each, the better first."""
    (place, better), (other, worse) = pair
    query = add_query(
        s,
        run_id=ranking.run_id,
        segment_a_id=better,
        segment_b_id=worse,
        iteration=iteration,
        selection={"strategy": "ranking", "ranking": ranking.id},
        now=now,
    )
    record_answer(
        s,
        run_id=ranking.run_id,
        query_id=query.id,
        teacher_id=ranking.teacher_id,
        answer=Answer.TIE if place == other else Answer.A,
        submission_key=f"{_prefix(ranking)}{better}-{worse}",
        now=now,
    )


def withdraw_ranking(
    s: Session, *, run_id: int, ranking_id: int, person_id: int, now: datetime
) -> tuple[Ranked, bool]:
    """Take back a person's order: each of its preferences is followed by a withdrawal.

    Its pairs stay closed, nobody is asked about them. Taken back already, nothing happens.

    Returns:
        The ranking, and whether it was taken back before.

    Raises:
        NotFound: no such ranking in this run.
        Forbidden: somebody else's, or one that no person made.
    """
    lock_answers(s, run_id)
    ranking = s.get(Ranking, ranking_id)
    if ranking is None or ranking.run_id != run_id:
        raise NotFound(f"no ranking {ranking_id} in this run")
    if ranking.teacher_id != teacher_for_person(s, person_id=person_id).id:
        raise Forbidden("this ranking is not yours to take back")
    counting = s.scalars(_following(ranking).where(effective()).order_by(Preference.id)).all()
    s.add_all(
        Preference(
            run_id=run_id,
            query_id=answered.query_id,
            teacher_id=answered.teacher_id,
            answer=Answer.WITHDRAWN,
            replaces_id=answered.id,
            submission_key=f"{_prefix(ranking)}undo-{answered.id}",
            created_at=now,
        )
        for answered in counting
    )
    s.flush()
    return _found(s, ranking), not counting


def list_rankings(s: Session, *, run_id: int) -> list[Ranked]:
    """A run's rankings, the newest first."""
    rows = s.scalars(select(Ranking).where(Ranking.run_id == run_id).order_by(Ranking.id.desc()))
    return [_found(s, row) for row in rows]


def rankable(s: Session, *, run_id: int, limit: int = MOST_CLIPS) -> list[Segment]:
    """The newest clips of a run, one of each trajectory."""
    newest = select(Segment).where(Segment.run_id == run_id, Segment.clip.is_not(None))
    found: dict[int, Segment] = {}
    for segment in s.scalars(newest.order_by(Segment.id.desc()).limit(20 * limit)):
        found.setdefault(segment.trajectory_id, segment)
    return list(found.values())[:limit]


def _trajectories(s: Session, run_id: int, places: Sequence[Sequence[int]]) -> dict[int, int]:
    """The trajectory of each ranked segment, after a check of what was sent."""
    ids = [one for tied in places for one in tied]
    if not 2 <= len(ids) <= MOST_CLIPS or not all(places):
        raise Invalid(f"rank 2 to {MOST_CLIPS} clips, and leave no place empty")
    if len(set(ids)) != len(ids):
        raise Invalid("a clip is in this ranking twice; each has one place")
    query = select(Segment.id, Segment.trajectory_id).where(
        Segment.id.in_(ids), Segment.run_id == run_id
    )
    known = {segment: trajectory for segment, trajectory in s.execute(query)}
    missing = [one for one in ids if one not in known]
    if missing:
        raise Invalid(f"clip {missing[0]} is not of this run")
    if len(set(known.values())) != len(ids):
        raise Invalid("two of these clips are of one trajectory; rank clips of different ones")
    return known


def _found(s: Session, ranking: Ranking) -> Ranked:
    taken_back = _following(ranking).where(Preference.answer == Answer.WITHDRAWN).limit(1)
    return Ranked(ranking, _places(s, ranking.id), s.scalar(taken_back) is not None)


def _following(ranking: Ranking) -> Select[Preference]:
    """The preferences that follow from a person's ranking, and their withdrawals."""
    return select(Preference).where(
        Preference.run_id == ranking.run_id,
        Preference.teacher_id == ranking.teacher_id,
        Preference.submission_key.startswith(_prefix(ranking), autoescape=True),
    )


def _prefix(ranking: Ranking) -> str:
    """What the submission keys of its preferences begin with."""
    return f"ranking-{ranking.id}-"


def _places(s: Session, ranking_id: int) -> list[list[int]]:
    rows = s.scalars(
        select(RankedTrajectory)
        .where(RankedTrajectory.ranking_id == ranking_id)
        .order_by(RankedTrajectory.place)
    )
    places: dict[int, list[int]] = {}
    for row in rows:
        places.setdefault(row.place, []).append(row.segment_id or row.trajectory_id)
    return [sorted(tied) for tied in places.values()]
