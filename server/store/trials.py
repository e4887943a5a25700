"""Blind trials: clips of two checkpoints on the same levels, compared without knowing which is new.

Their queries are given to people between ordinary ones, in the share that the rules say, and their
answers are nobody's labels. Segment a is the newer checkpoint's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from server.models import (
    Answer,
    Assignment,
    Checkpoint,
    Preference,
    Purpose,
    Query,
    QueryState,
    Run,
    Segment,
    Trajectory,
    Trial,
    UtcDateTime,
)
from server.rules import rules_of
from server.store.preferences import effective
from server.store.slots import HELD_BY_PERSON, SKIPPED_BY_PERSON, Lease, assign

REACH = 3
"""A checkpoint is put beside the one so many kept ones before it."""

_A, _B = aliased(Segment), aliased(Segment)
_ANSWERED = (
    select(Preference.id)
    .where(Preference.query_id == Query.id, Preference.purpose == Purpose.TRIAL, effective())
    .correlate(Query)
    .exists()
)
_IN_HANDS = (
    select(Assignment.id)
    .where(
        Assignment.query_id == Query.id,
        Assignment.closed_at.is_(None),
        Assignment.expires_at >= bindparam("now", type_=UtcDateTime()),
    )
    .correlate(Query)
    .exists()
)
WAITING = (
    select(Query.id)
    .join(_A, _A.id == Query.segment_a_id)
    .join(_B, _B.id == Query.segment_b_id)
    .where(
        Query.run_id == bindparam("run_id"),
        Query.trial_id
        == select(func.max(Trial.id)).where(Trial.run_id == bindparam("run_id")).scalar_subquery(),
        Query.state == QueryState.CLOSED,
        _A.clip.is_not(None),
        _B.clip.is_not(None),
        ~_ANSWERED,
    )
    .order_by(Query.id)
)
"""Pairs of the newest trial that somebody could judge."""
_FREE = WAITING.where(~_IN_HANDS, ~HELD_BY_PERSON, ~SKIPPED_BY_PERSON)
_LOCK = (
    select(Query.id)
    .where(Query.id == bindparam("query_id"))
    .with_for_update(skip_locked=True, key_share=True)
)


@dataclass(frozen=True)
class Result:
    """How a trial went so far.

    Attributes:
        wins: pairs in which the newer agent's clip was preferred.
        losses: pairs in which the older one's was.
        ties: neither.
        untold: pairs of which nobody can tell.
        waiting: pairs that somebody will be asked about; of the newest trial only.
        pairs: all of them.
    """

    id: int
    older_steps: int
    newer_steps: int
    wins: int
    losses: int
    ties: int
    untold: int
    waiting: int
    pairs: int
    created_at: datetime

    @property
    def decided(self) -> int:
        """Pairs that say which is better."""
        return self.wins + self.losses


def performances(s: Session, *, run_id: int, steps: int) -> dict[int, int]:
    """Segments of the agent of a checkpoint, recorded for trials, by place among its levels."""
    rows = s.execute(
        select(Trajectory.episode, Segment.id)
        .join(Segment, Segment.trajectory_id == Trajectory.id)
        .where(
            Trajectory.run_id == run_id,
            Trajectory.policy_step == steps,
            Trajectory.episode.startswith(f"trial-{steps}-"),
        )
        .order_by(Segment.id)
    )
    return {int(episode.rsplit("-", 1)[1]): segment_id for episode, segment_id in rows}


def opponent(s: Session, *, run_id: int, steps: int) -> int | None:
    """Steps of the checkpoint that one is put beside: the third kept before it, or the first."""
    kept = s.scalars(
        select(Checkpoint.steps)
        .where(Checkpoint.run_id == run_id, Checkpoint.kept, Checkpoint.steps < steps)
        .order_by(Checkpoint.steps.desc())
        .limit(REACH)
    ).all()
    return kept[-1] if kept else None


def add_trial(
    s: Session, *, run_id: int, older_steps: int, newer_steps: int, now: datetime
) -> Trial:
    """Add a trial without pairs yet."""
    trial = Trial(run_id=run_id, older_steps=older_steps, newer_steps=newer_steps, created_at=now)
    s.add(trial)
    s.flush()
    return trial


def results(s: Session, *, run_id: int) -> Sequence[Result]:
    """A run's trials, oldest first; of a pair that several judged, what most of them said."""
    of_trial = Preference.purpose == Purpose.TRIAL
    counted = and_(Preference.query_id == Query.id, of_trial, effective())
    rows = s.execute(
        select(Trial, Query.id, Preference.answer)
        .join(Query, Query.trial_id == Trial.id)
        .outerjoin(Preference, counted)
        .where(Trial.run_id == run_id)
        .order_by(Trial.id, Query.id)
    )
    trials: dict[int, Trial] = {}
    answers: dict[int, dict[int, list[Answer]]] = {}
    for trial, query_id, answer in rows:
        trials[trial.id] = trial
        given = answers.setdefault(trial.id, {}).setdefault(query_id, [])
        given += [answer] if answer else []
    newest = max(trials, default=0)
    return [
        _result(trial, list(answers[number].values()), asked=number == newest)
        for number, trial in trials.items()
    ]


def _result(trial: Trial, pairs: Sequence[Sequence[Answer]], *, asked: bool) -> Result:
    verdicts = [_verdict(given) for given in pairs]
    return Result(
        id=trial.id,
        older_steps=trial.older_steps,
        newer_steps=trial.newer_steps,
        wins=verdicts.count(Answer.A),
        losses=verdicts.count(Answer.B),
        ties=verdicts.count(Answer.TIE),
        untold=verdicts.count(Answer.INCOMPARABLE),
        waiting=verdicts.count(None) if asked else 0,
        pairs=len(pairs),
        created_at=trial.created_at,
    )


def _verdict(given: Sequence[Answer]) -> Answer | None:
    """What most said of a pair; None before anybody has judged it."""
    lead = given.count(Answer.A) - given.count(Answer.B)
    if lead:
        return Answer.A if lead > 0 else Answer.B
    if not given:
        return None
    told = any(answer is not Answer.INCOMPARABLE for answer in given)
    return Answer.TIE if told else Answer.INCOMPARABLE


def trials_left(s: Session, *, run: Run) -> int:
    """Pairs that people could judge now, where the run's rules want that."""
    if not rules_of(run.config).trial_share:
        return 0
    return len(s.scalars(WAITING, {"run_id": run.id}).all())


def take_trial(s: Session, lease: Lease, rng: random.Random) -> Assignment | None:
    """Lease a pair of the newest trial that nobody has judged or holds.

    PostgreSQL reads what was free before it got the lock on a pair; only a second look, taken while
    the lock is held, sees what others did meanwhile.
    """
    who = {**lease.who, "now": lease.now}
    free = list(s.scalars(_FREE, who))
    while free:
        query_id = free.pop(rng.randrange(len(free)))
        held = s.scalar(_LOCK, {"query_id": query_id}) is not None
        if held and query_id in s.scalars(_FREE, who).all():
            a_on_left = rng.random() < 0.5
            return assign(s, lease, query_id=query_id, a_on_left=a_on_left, purpose=Purpose.TRIAL)
    return None
