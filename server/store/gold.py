"""Pairs that tell how somebody answers: gold, repeats, practice, and the pause they can lead to."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from server.errors import Conflict, Invalid, NotFound
from server.labellers import Labeller
from server.models import (
    Answer,
    Assignment,
    Person,
    Preference,
    Purpose,
    Query,
    QueryState,
    Run,
    Segment,
    Teacher,
)
from server.rules import Rules
from server.store import audit, trials
from server.store.locks import lock_answers
from server.store.preferences import effective, settle
from server.store.slots import (
    ANSWERED_BY_PERSON,
    HELD_BY_PERSON,
    SKIPPED_BY_PERSON,
    Lease,
    assign,
)

_A, _B = aliased(Segment), aliased(Segment)
_UNSEEN = (
    select(Query.id)
    .join(_A, _A.id == Query.segment_a_id)
    .join(_B, _B.id == Query.segment_b_id)
    .where(
        Query.run_id == bindparam("run_id"),
        Query.gold.is_not(None),
        Query.state.in_((QueryState.OPEN, QueryState.CLOSED)),
        _A.clip.is_not(None),
        _B.clip.is_not(None),
        ~HELD_BY_PERSON,
        ~ANSWERED_BY_PERSON,
        ~SKIPPED_BY_PERSON,
    )
    .order_by(Query.id)
)
_OWN = (
    Preference.run_id == bindparam("run_id"),
    Preference.teacher_id
    == select(Teacher.id).where(Teacher.person_id == bindparam("person_id")).scalar_subquery(),
    effective(),
)
_COUNT = select(func.count()).where(*_OWN, Preference.purpose == bindparam("purpose"))
_AGAIN = aliased(Assignment)
_LONG_AGO = (  # answered by this person, not by their newest `after` answers, never repeated
    select(Preference.query_id, Preference.a_on_left)
    .join(Query, Query.id == Preference.query_id)
    .where(
        *_OWN,
        Preference.purpose == Purpose.ORDINARY,
        Preference.a_on_left.is_not(None),
        Query.state != QueryState.SET_ASIDE,
        Query.gold.is_(None),
        ~select(_AGAIN.id)
        .where(
            _AGAIN.query_id == Preference.query_id,
            _AGAIN.person_id == bindparam("person_id"),
            _AGAIN.purpose == Purpose.REPEAT,
        )
        .correlate(Preference)
        .exists(),
        ~HELD_BY_PERSON,
    )
    .order_by(Preference.id.desc())
    .offset(bindparam("after"))
    .limit(200)
)
_HELD_FOR_PRACTICE = (
    select(func.count())
    .select_from(Assignment)
    .join(Query, Query.id == Assignment.query_id)
    .where(
        Query.run_id == bindparam("run_id"),
        Assignment.person_id == bindparam("person_id"),
        Assignment.purpose == Purpose.PRACTICE,
        Assignment.closed_at.is_(None),
    )
)
_GOLD_ANSWERS = (
    select(Preference.answer == Query.gold)
    .join(Query, Query.id == Preference.query_id)
    .where(
        *_OWN,
        Preference.purpose == Purpose.GOLD,
        Query.gold.is_not(None),
        Preference.id > bindparam("after_id"),
    )
)

_PAUSED = select(Labeller.paused_at).where(
    Labeller.run_id == bindparam("run_id"), Labeller.person_id == bindparam("person_id")
)


@dataclass(frozen=True)
class GoldScore:
    """How a person answers pairs whose answer is known.

    Attributes:
        right: of `given` answers; "can't tell" is never right.
    """

    right: int
    given: int

    @property
    def share(self) -> float | None:
        """Of right answers; None before the first."""
        return self.right / self.given if self.given else None


@dataclass(frozen=True)
class Chance:
    """What decides whether a check comes now: the rules, and a source of randomness."""

    rules: Rules
    rng: random.Random


def set_gold(s: Session, *, run_id: int, query_id: int, answer: Answer | None) -> Query:
    """Mark a query as gold with its known answer, or as an ordinary one again (None).

    Ordinary answers given before stay labels; later ones are not.

    Raises:
        NotFound: no such query in this run.
        Invalid: an answer that cannot be known.
        Conflict: its clips are gone, or it belongs to a blind trial.
    """
    if answer not in (None, Answer.A, Answer.B, Answer.TIE):
        raise Invalid("a gold answer must be a, b or tie")
    lock_answers(s, run_id)
    query = s.scalar(
        select(Query).where(Query.id == query_id, Query.run_id == run_id).with_for_update()
    )
    if query is None:
        raise NotFound(f"no query {query_id} in this run")
    if query.state is QueryState.SET_ASIDE:
        raise Conflict("this pair is set aside: nobody is asked about it; choose another")
    if query.trial_id is not None:
        raise Conflict("this pair belongs to a blind trial and cannot be gold; choose another")
    query.gold = answer
    s.flush()
    settle(s, query=query)
    return query


def mark(
    s: Session, *, run: Run, query_id: int, answer: Answer | None, by_id: int, now: datetime
) -> Query:
    """Mark a query as `set_gold` does, and note who did it."""
    marked = set_gold(s, run_id=run.id, query_id=query_id, answer=answer)
    action = "mark gold" if answer else "unmark gold"
    audit.note(s, person_id=by_id, action=action, subject=f"{run.name}: query {query_id}", now=now)
    return marked


def take_practice(s: Session, lease: Lease, chance: Chance) -> Assignment | None:
    """Lease a practice pair to somebody who has neither finished practice nor begun in earnest."""
    if not chance.rules.practice:
        return None
    begun = s.scalar(_COUNT, {**lease.who, "purpose": Purpose.ORDINARY})
    done = s.scalar(_COUNT, {**lease.who, "purpose": Purpose.PRACTICE}) or 0
    held = s.scalar(_HELD_FOR_PRACTICE, lease.who) or 0
    if begun or done + held >= chance.rules.practice:
        return None
    return _take_gold(s, lease, chance.rng, Purpose.PRACTICE)


def take_check(s: Session, lease: Lease, chance: Chance) -> Assignment | None:
    """After an ordinary pair, lease a gold, repeated or trial one as often as the rules want.

    The shares are of all pairs, so of ordinary ones they are larger. Drawn at random: whoever
    knew that every tenth pair is gold would know which ones.
    """
    rules = chance.rules
    checks = rules.gold_share + rules.repeat_share
    drawn = chance.rng.random() * (1.0 - checks - rules.trial_share)
    if drawn < rules.gold_share:
        return _take_gold(s, lease, chance.rng, Purpose.GOLD)
    if drawn < checks:
        return _take_repeat(s, lease, chance)
    if drawn < checks + rules.trial_share:
        return trials.take_trial(s, lease, chance.rng)
    return None


def gold_score(s: Session, *, run_id: int, person_id: int) -> GoldScore:
    """A person's answers to gold pairs since they were last let in again."""
    standing = s.get(Labeller, (run_id, person_id))
    after = standing.gold_after_id if standing else 0
    answers = s.scalars(
        _GOLD_ANSWERS, {"run_id": run_id, "person_id": person_id, "after_id": after}
    ).all()
    return GoldScore(right=sum(answers), given=len(answers))


def pause_below_threshold(
    s: Session, *, run_id: int, person_id: int, rules: Rules, now: datetime
) -> bool:
    """Pause a person whose gold answers fall short; their open pairs go to others.

    Called where one answer of the run is added after the other (`locks`).
    """
    below = is_below_threshold(s, run_id=run_id, person_id=person_id, rules=rules)
    if below:
        _pause(s, run_id, person_id, now)
    return below


def is_below_threshold(s: Session, *, run_id: int, person_id: int, rules: Rules) -> bool:
    """Whether a person's gold answers fall short, after as many as the rules want to judge by."""
    if rules.gold_threshold is None:
        return False
    score = gold_score(s, run_id=run_id, person_id=person_id)
    return score.given >= rules.gold_minimum and score.right < rules.gold_threshold * score.given


def pause(s: Session, *, run_id: int, person_id: int, now: datetime) -> None:
    """Give a person no more pairs of a run; what they hold goes to others.

    Raises:
        NotFound: no such person.
    """
    lock_answers(s, run_id)
    _pause(s, run_id, person_id, now)


def _pause(s: Session, run_id: int, person_id: int, now: datetime) -> None:
    standing = _standing(s, run_id, person_id)
    standing.paused_at = standing.paused_at or now
    s.flush()
    of_run = select(Query.id).where(Query.run_id == run_id)
    s.execute(
        update(Assignment)
        .where(
            Assignment.person_id == person_id,
            Assignment.closed_at.is_(None),
            Assignment.query_id.in_(of_run),
        )
        .values(closed_at=now)
        .execution_options(synchronize_session="fetch")
    )


def unpause(s: Session, *, run_id: int, person_id: int) -> None:
    """Let a person label again; their gold answers count afresh from here.

    Raises:
        NotFound: no such person.
    """
    lock_answers(s, run_id)
    standing = _standing(s, run_id, person_id)
    standing.paused_at = None
    newest = select(func.max(Preference.id)).where(Preference.run_id == run_id)
    standing.gold_after_id = s.scalar(newest) or 0
    s.flush()


def is_paused(s: Session, *, run_id: int, person_id: int) -> bool:
    """Whether a person gets no pairs of a run for now."""
    return s.scalar(_PAUSED, {"run_id": run_id, "person_id": person_id}) is not None


def labellers(s: Session, *, run_id: int) -> list[tuple[Person, GoldScore, datetime | None]]:
    """Everybody who has labelled a run or is paused: how they answer gold, paused since when."""
    answered = (
        select(Teacher.person_id)
        .join(Preference, Preference.teacher_id == Teacher.id)
        .where(Preference.run_id == run_id)
    )
    paused = select(Labeller.person_id).where(Labeller.run_id == run_id)
    people = s.scalars(
        select(Person)
        .where(or_(Person.id.in_(answered), Person.id.in_(paused)))
        .order_by(Person.name)
    )
    found = []
    for person in people.all():
        standing = s.get(Labeller, (run_id, person.id))
        score = gold_score(s, run_id=run_id, person_id=person.id)
        found.append((person, score, standing.paused_at if standing else None))
    return found


def _standing(s: Session, run_id: int, person_id: int) -> Labeller:
    if s.get(Person, person_id) is None:
        raise NotFound(f"no person {person_id}")
    standing = s.get(Labeller, (run_id, person_id), populate_existing=True)
    if standing is None:
        standing = Labeller(run_id=run_id, person_id=person_id, paused_at=None, gold_after_id=0)
        s.add(standing)
    return standing


def _take_gold(s: Session, lease: Lease, rng: random.Random, purpose: Purpose) -> Assignment | None:
    unseen = s.scalars(_UNSEEN, lease.who).all()
    if not unseen:
        return None
    query_id, a_on_left = rng.choice(unseen), rng.random() < 0.5
    return assign(s, lease, query_id=query_id, a_on_left=a_on_left, purpose=purpose)


def _take_repeat(s: Session, lease: Lease, chance: Chance) -> Assignment | None:
    answered = s.execute(_LONG_AGO, {**lease.who, "after": chance.rules.repeat_after}).all()
    if not answered:
        return None
    query_id, a_on_left = chance.rng.choice(answered)
    return assign(s, lease, query_id=query_id, a_on_left=not a_on_left, purpose=Purpose.REPEAT)
