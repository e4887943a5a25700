"""A labeller's desk: pairs, answers, undo. Pages and API share it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from server.models import Answer, Preference, Run
from server.schemas import AssignmentOut, Desk, PreferenceOut, ProgressOut, Side, WithdrawOut
from server.store import assignments, labelling, queries
from server.store.assignments import Assignment
from server.store.progress import progress as progress_of
from server.waiting import waiting_line


def lay(
    s: Session, *, run: Run, person_id: int, count: int, lease_seconds: int, now: datetime
) -> Desk:
    """Give a person their next pairs, or say why there is none."""
    held = assignments.next_assignments(
        s, run_id=run.id, person_id=person_id, count=count, now=now, seconds=lease_seconds
    )
    own = progress(s, run_id=run.id, person_id=person_id, now=now)
    return Desk(
        assignments=_shown(s, held, now),
        progress=own,
        waiting=None if held else _why_none(s, run, own.left, now),
        lease_seconds=lease_seconds,
    )


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> ProgressOut:
    """Count a person's own answers."""
    own = progress_of(s, run_id=run_id, person_id=person_id, now=now)
    newest = labelling.newest_answer(s, run_id=run_id, person_id=person_id)
    return ProgressOut(
        today=own.today,
        total=own.total,
        median_seconds=own.median_seconds,
        left=own.left,
        newest_preference=newest,
    )


def answer(
    s: Session,
    *,
    assignment_id: int,
    person_id: int,
    side: Side,
    seconds: float | None,
    submission_key: str,
    now: datetime,
) -> tuple[PreferenceOut, bool]:
    """Store an answer; the second value tells whether it was there already."""
    stored = assignments.submit(
        s,
        assignment_id=assignment_id,
        person_id=person_id,
        side=side,
        seconds=seconds,
        submission_key=submission_key,
        now=now,
    )
    shown = PreferenceOut(
        id=stored.id,
        assignment=stored.assignment_id,
        side=side_of(stored),
        seconds=stored.seconds,
        late=stored.late,
        created_at=stored.created_at,
    )
    return shown, stored.created_at != now


def withdraw(
    s: Session,
    *,
    preference_id: int,
    person_id: int,
    submission_key: str,
    lease_seconds: int,
    now: datetime,
) -> WithdrawOut:
    """Take an answer back and lay its pair on the desk again."""
    withdrawal, pair = assignments.withdraw(
        s,
        preference_id=preference_id,
        person_id=person_id,
        submission_key=submission_key,
        now=now,
        seconds=lease_seconds,
    )
    again = _shown(s, [pair] if pair else [], now)
    return WithdrawOut(
        withdrawn=withdrawal.replaces_id or preference_id,
        assignment=again[0] if again else None,
    )


def side_of(preference: Preference) -> Side:
    """Say where on the screen the answer pointed.

    Raises:
        ValueError: a withdrawal, which points nowhere.
    """
    match preference.answer:
        case Answer.A:
            return "left" if preference.a_on_left else "right"
        case Answer.B:
            return "right" if preference.a_on_left else "left"
        case Answer.TIE:
            return "tie"
        case Answer.INCOMPARABLE:
            return "incomparable"
    raise ValueError("a withdrawal has no side")


def clip_tag(assignment_id: int, side: str, artifact: str) -> str:
    """Name a clip's content as shown here, telling nothing about where else it is shown."""
    return hashlib.sha256(f"{assignment_id}/{side}/{artifact}".encode()).hexdigest()[:20]


def clip_address(assignment_id: int, side: str, artifact: str) -> str:
    """Address of a clip; the tag keeps a browser from showing one that it kept under that id."""
    tag = clip_tag(assignment_id, side, artifact)
    return f"/media/assignments/{assignment_id}/{side}.mp4?v={tag}"


def _shown(s: Session, held: Sequence[Assignment], now: datetime) -> list[AssignmentOut]:
    earlier = labelling.taken_back(s, assignment_ids=[pair.id for pair in held])
    return [
        AssignmentOut(
            id=pair.id,
            left=clip_address(pair.id, "left", pair.left_clip),
            right=clip_address(pair.id, "right", pair.right_clip),
            expires_in=(pair.expires_at - now).total_seconds(),
            earlier=side_of(earlier[pair.id]) if pair.id in earlier else None,
        )
        for pair in held
    ]


def _why_none(s: Session, run: Run, left: int, now: datetime) -> str:
    queue = queries.counts(s, run_id=run.id, now=now)
    return waiting_line(
        run,
        left=left,
        rendering=queue.pending,
        next_in=labelling.next_asked_in(s, run_id=run.id, now=now),
        now=now,
    )
