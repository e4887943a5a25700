"""What people do with an answer they have given: take it back, or correct it. Both add a row."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from server import models
from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Purpose, Query, QueryState, Run, Strength, Teacher
from server.rules import rules_of
from server.store.assignments import Assignment, Given, Side, close_all, locked, open_view
from server.store.locks import lock_answers
from server.store.people import teacher_for_person
from server.store.preferences import KEY_USED, check_key, effective, settle, with_key
from server.store.slots import has_free_slot

_LAST = (
    select(Preference)
    .where(
        Preference.run_id == bindparam("run_id"),
        Preference.teacher_id == bindparam("teacher_id"),
        Preference.purpose != Purpose.PRACTICE,
        effective(),
    )
    .order_by(Preference.id.desc())
    .limit(1)
)


def withdraw(
    s: Session,
    *,
    person_id: int,
    submission_key: str,
    now: datetime,
    seconds: float,
    run_id: int | None = None,
    preference_id: int | None = None,
) -> tuple[Preference, Assignment | None]:
    """Take back an answer: `preference_id`, or the person's last in `run_id` that still counts.

    A withdrawal is a new row; the pair comes back to the same person with the same sides, before
    any other. The same key again returns the same row.

    Returns:
        The withdrawal, and the pair; None for the pair if it has been set aside, or others hold
        all its slots by now.

    Raises:
        NotFound: nothing to take back.
        Forbidden: somebody else's answer.
        Conflict: taken back already, or the key was used for something else.
    """
    check_key(submission_key)
    teacher = teacher_for_person(s, person_id=person_id)
    if preference_id is not None:
        run_id = _given(s, teacher, preference_id).run_id
    if run_id is None:
        raise Invalid("name the answer to take back, or the run to take the last one back in")
    lock_answers(s, run_id)
    withdrawal = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if withdrawal is not None:
        same = preference_id in (None, withdrawal.replaces_id)
        if withdrawal.answer is not Answer.WITHDRAWN or not same:
            raise Conflict("this submission key was used for an answer; make a new key")
        return withdrawal, open_view(s, withdrawal.assignment_id)
    if preference_id is None:
        answered = s.scalar(_LAST, {"run_id": run_id, "teacher_id": teacher.id})
    else:
        answered = _given(s, teacher, preference_id)
    if answered is None:
        raise NotFound("there is no answer to take back")
    assignment, query = _standing(s, answered)
    withdrawal = _following(answered, submission_key, now)
    withdrawal.answer = Answer.WITHDRAWN
    s.add(withdrawal)
    s.flush()
    settle(s, query=query)
    close_all(s, query_id=query.id, person_id=person_id, now=now)  # it may be held as a repeat
    if _can_be_shown(s, query, answered.purpose, now):
        assignment.closed_at = None
        assignment.expires_at = now + timedelta(seconds=seconds)
        s.flush()
    return withdrawal, open_view(s, assignment.id)


def correct(
    s: Session,
    *,
    preference_id: int,
    person_id: int,
    side: Side,
    seconds: float | None,
    submission_key: str,
    now: datetime,
    strength: Strength | None = None,
    flagged: bool = False,
    comment: str = "",
) -> Preference:
    """Replace an answer by another one to the same pair. The same key again returns the same row.

    Raises:
        NotFound, Forbidden: no such answer, or somebody else's.
        Conflict: it no longer counts, the key was used for something else, or the run asks for no
            strength.
        Invalid: an answer that cannot be.
    """
    check_key(submission_key)
    teacher = teacher_for_person(s, person_id=person_id)
    answered = _given(s, teacher, preference_id)
    given = Given(side, bool(answered.a_on_left), seconds, strength, flagged, comment)
    given.check(rules_of(s.get_one(Run, answered.run_id).config))
    lock_answers(s, answered.run_id)
    earlier = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if earlier is not None:
        if earlier.replaces_id != preference_id or not given.is_in(earlier):
            raise Conflict(KEY_USED)
        return earlier
    _, query = _standing(s, answered)
    correction = _following(answered, submission_key, now)
    given.write(correction)
    s.add(correction)
    s.flush()
    settle(s, query=query)
    return correction


def _can_be_shown(s: Session, query: Query, purpose: Purpose, now: datetime) -> bool:
    """Whether a pair can come back to whoever took an answer to it back."""
    if purpose is Purpose.ORDINARY:  # after an expired lease somebody else may have it
        return has_free_slot(s, query_id=query.id, now=now)
    return query.state in (QueryState.OPEN, QueryState.CLOSED)  # a check takes no slot


def _following(answered: Preference, submission_key: str, now: datetime) -> Preference:
    """A row that takes another one's place."""
    return Preference(
        run_id=answered.run_id,
        query_id=answered.query_id,
        teacher_id=answered.teacher_id,
        assignment_id=answered.assignment_id,
        purpose=answered.purpose,
        a_on_left=answered.a_on_left,
        replaces_id=answered.id,
        submission_key=submission_key,
        created_at=now,
    )


def _standing(s: Session, answered: Preference) -> tuple[models.Assignment, Query]:
    """The pair of an answer that can still be changed."""
    counts = select(Preference.id).where(Preference.id == answered.id, effective())
    if answered.assignment_id is None or s.scalar(counts) is None:
        raise Conflict("this answer was taken back already, or corrected; load the page again")
    if answered.purpose is Purpose.PRACTICE:
        raise Conflict("a practice answer has been judged; it cannot be changed")
    return locked(s, answered.assignment_id)


def _given(s: Session, teacher: Teacher, preference_id: int) -> Preference:
    preference = s.get(Preference, preference_id)
    if preference is None:
        raise NotFound(f"no answer {preference_id}")
    if preference.teacher_id != teacher.id:
        raise Forbidden("this answer is somebody else's")
    return preference
