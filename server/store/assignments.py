"""Assignments: pairs leased to people, and the answers they give.

Within one transaction call `submit` (or one of `corrections`) before `next_assignments` (see
`locks`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import and_, bindparam, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from server import models
from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import (
    Answer,
    Preference,
    Purpose,
    Query,
    QueryState,
    Run,
    Segment,
    Strength,
)
from server.rules import Rules, rules_of
from server.store import gold
from server.store.budget import pairs_left
from server.store.locks import enter_answers, lock_order, lock_person
from server.store.people import teacher_for_person
from server.store.preferences import KEY_USED, check_key, refuse_second, settle, with_key
from server.store.runs import ENDED
from server.store.slots import Lease, has_free_slot, take_slot
from server.store.trials import take_trial

COMMENT_LIMIT = 2000

Side = Literal["left", "right", "tie", "incomparable"]


_A, _B = aliased(Segment), aliased(Segment)
_VIEWS = (
    select(models.Assignment, Query.run_id, _A.id, _A.clip, _B.id, _B.clip)
    .join(Query, Query.id == models.Assignment.query_id)
    .join(_A, _A.id == Query.segment_a_id)
    .join(_B, _B.id == Query.segment_b_id)
    .where(models.Assignment.id.in_(bindparam("ids", expanding=True)))
)
_WITH_QUERY = select(models.Assignment, Query).join(Query, Query.id == models.Assignment.query_id)
_HELD = (
    _WITH_QUERY.where(
        Query.run_id == bindparam("run_id"),
        or_(
            Query.state == QueryState.OPEN,
            and_(Query.state == QueryState.CLOSED, models.Assignment.purpose != Purpose.ORDINARY),
        ),
        models.Assignment.person_id == bindparam("person_id"),
        models.Assignment.closed_at.is_(None),
    )
    .order_by(models.Assignment.id)
    .with_for_update(of=Query, skip_locked=True, key_share=True)
    .execution_options(populate_existing=True)
)
_LOCKED = (
    _WITH_QUERY.where(models.Assignment.id == bindparam("id"))
    .with_for_update(of=Query, key_share=True)
    .execution_options(populate_existing=True)
)
_OWNER = (
    select(models.Assignment.person_id, Query.run_id, Run.config)
    .join(Query, Query.id == models.Assignment.query_id)
    .join(Run, Run.id == Query.run_id)
    .where(models.Assignment.id == bindparam("id"))
)
_CLOSE = (  # all that a person holds of a query: it may have been given to them twice
    update(models.Assignment)
    .where(
        models.Assignment.query_id == bindparam("query"),
        models.Assignment.person_id == bindparam("person"),
        models.Assignment.closed_at.is_(None),
    )
    .values(closed_at=bindparam("at", type_=models.UtcDateTime()))
    .execution_options(synchronize_session=False)
)


@dataclass(frozen=True)
class Assignment:
    """A pair as one person sees it.

    Attributes:
        purpose: why it was given; but for practice the person is not told.
        left_clip, right_clip: artifacts of the videos.
        expires_at: until then it is nobody else's.
    """

    id: int
    run_id: int
    query_id: int
    person_id: int
    purpose: Purpose
    a_on_left: bool
    expires_at: datetime
    left_segment_id: int
    right_segment_id: int
    left_clip: str
    right_clip: str


@dataclass(frozen=True)
class Given:
    """An answer as a person gives it.

    Attributes:
        a_on_left: how the pair was shown.
        seconds: from the pair's first playing; None = not known.
        strength: how much better, where the run asks for it.
        comment: why it is flagged.
    """

    side: Side
    a_on_left: bool
    seconds: float | None
    strength: Strength | None = None
    flagged: bool = False
    comment: str = ""

    def check(self, rules: Rules) -> None:
        """Refuse what cannot be, or what the run does not ask for.

        Raises:
            Invalid: the message says which part.
            Conflict: a strength, and the run asks for none.
        """
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise Invalid("seconds must be a number that is not negative")
        if self.strength is not None and self.side not in ("left", "right"):
            raise Invalid("strength goes with left and right only")
        if self.strength is not None and not rules.strengths:
            raise Conflict("this run asks for no strength; leave it out")
        if len(self.comment) > COMMENT_LIMIT or "\0" in self.comment:
            raise Invalid(f"a comment has at most {COMMENT_LIMIT} characters, and no NUL")
        _answer(self.side, a_on_left=self.a_on_left)

    def write(self, row: Preference) -> None:
        """Put it into a new row."""
        row.answer = _answer(self.side, a_on_left=self.a_on_left)
        row.seconds = self.seconds
        row.strength = self.strength
        row.flagged = self.flagged or bool(self.comment)
        row.comment = self.comment

    def is_in(self, row: Preference) -> bool:
        """Whether a stored row says the same."""
        said = _answer(self.side, a_on_left=self.a_on_left), self.strength, self.comment
        return (row.answer, row.strength, row.comment) == said


def next_assignments(
    s: Session,
    *,
    run_id: int,
    person_id: int,
    now: datetime,
    seconds: float,
    count: int = 2,
    rng: random.Random | None = None,
) -> list[Assignment]:
    """The pairs a person works on next: those they hold, renewed, topped up to `count`.

    The first is the current one, the rest can be preloaded. Newer iterations come first, then
    higher priority. Fewer than `count`, or none, where no more pairs are ready; none of a run that
    has ended, which still takes the answers to what people hold. `rng` shuffles the sides.
    """
    run = s.get_one(Run, run_id)
    if run.state in ENDED:
        return []
    rules = rules_of(run.config)
    left = pairs_left(s, run=run, now=now)
    lock_person(s, person_id)
    if gold.is_paused(s, run_id=run_id, person_id=person_id):
        return []
    expires_at = now + timedelta(seconds=seconds)
    held = _renewed(s, run_id=run_id, person_id=person_id, now=now, expires_at=expires_at)
    chance = gold.Chance(rules, rng or random.SystemRandom())
    lease = Lease(run_id, person_id, now, expires_at)
    while len(held) < count and (pair := gold.take_practice(s, lease, chance)):
        held.append(pair.id)
    while len(held) < count and left > 0:
        a_on_left = chance.rng.random() < 0.5
        skipped_too = rules.skip == "later"
        pair = take_slot(s, lease, a_on_left=a_on_left, skipped_too=skipped_too)
        if pair is None:
            break
        held.append(pair.id)
        left -= 1
        if check := gold.take_check(s, lease, chance):
            held.append(check.id)
    while len(held) < count and rules.trial_share and (pair := take_trial(s, lease, chance.rng)):
        held.append(pair.id)  # also when nothing else is left to judge, or has come yet
    return views(s, held[:count])


def renew(
    s: Session, *, assignment_id: int, person_id: int, now: datetime, seconds: float
) -> Assignment:
    """Hold a pair for longer, also after the lease expired if nobody took it.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
        Conflict: it is closed, or others have it now. An answer to it is kept all the same.
    """
    assignment, query, _ = _own(s, assignment_id, person_id)
    contested = assignment.purpose is Purpose.ORDINARY
    wanted = query.state is QueryState.OPEN
    gone = contested and wanted and assignment.expires_at < (assignment.closed_at or now)
    if gone and not has_free_slot(s, query_id=query.id, now=now):
        raise Conflict("this pair has gone to somebody else; your answer is kept all the same")
    if assignment.closed_at is not None or (contested and not wanted):
        raise Conflict("this pair is closed; load the next one")
    assignment.expires_at = now + timedelta(seconds=seconds)
    s.flush()
    return views(s, [assignment_id])[0]


def skip(s: Session, *, assignment_id: int, person_id: int, now: datetime) -> None:
    """Pass a pair over, as the run's rules allow; a repeated skip changes nothing.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
        Conflict: the run does not let anybody skip, or the pair is answered.
    """
    assignment, query, rules = _own(s, assignment_id, person_id)
    policy = rules.skip
    if policy == "off":
        raise Conflict("this run has no skipping; say that you can't tell")
    if assignment.skipped:
        return
    if assignment.closed_at is not None:
        raise Conflict("this pair is closed; load the next one")
    assignment.closed_at = now
    assignment.skipped = True
    if policy == "ignore" and query.state is QueryState.OPEN:
        query.state = QueryState.SET_ASIDE
    s.flush()


def submit(
    s: Session,
    *,
    assignment_id: int,
    person_id: int,
    side: Side,
    seconds: float | None,
    submission_key: str,
    now: datetime,
    strength: Strength | None = None,
    flagged: bool = False,
    comment: str = "",
) -> Preference:
    """Store a person's answer. The same key with the same answer returns the row stored before.

    An answer after the lease expired is kept and marked late; one to a pair that has become gold
    meanwhile is an answer to gold.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
        Conflict: answered already, the key was used for another answer, or the run asks for no
            strength.
        Invalid: a side, strength, duration, comment or key that cannot be.
    """
    check_key(submission_key)
    assignment, query, rules = _own(s, assignment_id, person_id)
    given = Given(side, assignment.a_on_left, seconds, strength, flagged, comment)
    given.check(rules)
    teacher = teacher_for_person(s, person_id=person_id)
    earlier = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if earlier is not None:
        if earlier.assignment_id != assignment_id or not given.is_in(earlier):
            raise Conflict(KEY_USED)
        return earlier
    refuse_second(s, query_id=query.id, teacher_id=teacher.id, purpose=assignment.purpose)
    if query.gold is not None and assignment.purpose is Purpose.ORDINARY:
        assignment.purpose = Purpose.GOLD  # marked while it was in their hands: no label any more
        refuse_second(s, query_id=query.id, teacher_id=teacher.id, purpose=Purpose.GOLD)
    preference = Preference(
        run_id=query.run_id,
        query_id=query.id,
        teacher_id=teacher.id,
        assignment_id=assignment_id,
        purpose=assignment.purpose,
        a_on_left=assignment.a_on_left,
        late=now > assignment.expires_at,
        submission_key=submission_key,
        created_at=now,
    )
    given.write(preference)
    _add(s, preference, query, person_id=person_id, now=now)
    if preference.purpose is Purpose.GOLD:
        gold.pause_below_threshold(
            s, run_id=query.run_id, person_id=person_id, rules=rules, now=now
        )
    return preference


def _add(
    s: Session, preference: Preference, query: Query, *, person_id: int, now: datetime
) -> None:
    """Add an answer to a query that is locked, and close the pair and perhaps the query by it."""
    lock_order(s, query.run_id)
    close_all(s, query_id=query.id, person_id=person_id, now=now)
    s.add(preference)
    try:
        s.flush()
    except IntegrityError as error:  # sent for two pairs at the same moment
        raise Conflict(KEY_USED) from error
    settle(s, query=query)


def close_all(s: Session, *, query_id: int, person_id: int, now: datetime) -> None:
    """Close everything that a person holds of a query."""
    s.execute(_CLOSE, {"query": query_id, "person": person_id, "at": now})


def locked(s: Session, assignment_id: int) -> tuple[models.Assignment, Query]:
    """An assignment and its query, the query locked."""
    assignment, query = s.execute(_LOCKED, {"id": assignment_id}).one()
    return assignment, query


def open_view(s: Session, assignment_id: int | None) -> Assignment | None:
    """An assignment as its person sees it; None if it is closed."""
    row = None if assignment_id is None else s.get(models.Assignment, assignment_id)
    return views(s, [row.id])[0] if row is not None and row.closed_at is None else None


def _own(s: Session, assignment_id: int, person_id: int) -> tuple[models.Assignment, Query, Rules]:
    """A person's assignment and its query, the query locked; its rules."""
    found = s.execute(_OWNER, {"id": assignment_id}).one_or_none()
    if found is None:
        raise NotFound(f"no assignment {assignment_id}")
    if found.person_id != person_id:
        raise Forbidden("this pair was given to somebody else")
    enter_answers(s, found.run_id)
    return *locked(s, assignment_id), rules_of(found.config)


def _renewed(
    s: Session, *, run_id: int, person_id: int, now: datetime, expires_at: datetime
) -> list[int]:
    """Renew what a person holds, oldest first; an expired one only if its slot is still free."""
    own = s.execute(_HELD, {"run_id": run_id, "person_id": person_id}).all()
    held = []
    for assignment, query in own:
        gone = assignment.purpose is Purpose.ORDINARY and assignment.expires_at < now
        if gone and not has_free_slot(s, query_id=query.id, now=now):
            assignment.closed_at = now
            continue
        assignment.expires_at = expires_at
        held.append(assignment.id)
    s.flush()
    return held


def views(s: Session, assignment_ids: Sequence[int]) -> list[Assignment]:
    """Assignments with their clips, in the given order."""
    views = {}
    for row, run_id, a_id, a_clip, b_id, b_clip in s.execute(_VIEWS, {"ids": assignment_ids}):
        sides = [(a_id, a_clip or ""), (b_id, b_clip or "")]
        (left_id, left_clip), (right_id, right_clip) = sides if row.a_on_left else sides[::-1]
        views[row.id] = Assignment(
            id=row.id,
            run_id=run_id,
            query_id=row.query_id,
            person_id=row.person_id,
            purpose=row.purpose,
            a_on_left=row.a_on_left,
            expires_at=row.expires_at,
            left_segment_id=left_id,
            right_segment_id=right_id,
            left_clip=left_clip,
            right_clip=right_clip,
        )
    return [views[assignment_id] for assignment_id in assignment_ids]


def _answer(side: str, *, a_on_left: bool) -> Answer:
    match side:
        case "left":
            return Answer.A if a_on_left else Answer.B
        case "right":
            return Answer.B if a_on_left else Answer.A
        case "tie":
            return Answer.TIE
        case "incomparable":
            return Answer.INCOMPARABLE
    raise Invalid("side must be left, right, tie or incomparable")
