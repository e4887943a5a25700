"""A labeller's desk: pairs, answers, undo, corrections. Pages and API share it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from server.models import Answer, Preference, Purpose, Query, Run
from server.rules import rules_of
from server.schemas import (
    AgentViewOut,
    AnswerIn,
    AssignmentOut,
    Desk,
    Feedback,
    HistoryEntry,
    PreferenceOut,
    ProgressOut,
    WithdrawOut,
)
from server.store import assignments, corrections, gold, labelling, queries, trajectories
from server.store.assignments import Assignment, Side
from server.store.progress import Progress
from server.store.progress import progress as progress_of
from server.waiting import BELOW_THRESHOLD_LINE, PAUSED_LINE, waiting_line


def lay(
    s: Session, *, run: Run, person_id: int, count: int, lease_seconds: int, now: datetime
) -> Desk:
    """Give a person their next pairs, or say why there is none."""
    held = assignments.next_assignments(
        s, run_id=run.id, person_id=person_id, count=count, now=now, seconds=lease_seconds
    )
    own = progress_of(s, run_id=run.id, person_id=person_id, now=now)
    return Desk(
        assignments=_shown(s, held, now),
        progress=_progress(own),
        waiting=None if held else _why_none(s, run, person_id, own.left, now),
        lease_seconds=lease_seconds,
    )


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> ProgressOut:
    """Count a person's own answers."""
    return _progress(progress_of(s, run_id=run_id, person_id=person_id, now=now))


def _progress(own: Progress) -> ProgressOut:
    return ProgressOut(
        today=own.today,
        total=own.total,
        median_seconds=own.median_seconds,
        left=own.answers_left,
        newest_preference=own.newest,
    )


def answer(
    s: Session, *, assignment_id: int, person_id: int, body: AnswerIn, now: datetime
) -> tuple[PreferenceOut, bool]:
    """Store an answer; the second value tells whether it was there already."""
    stored = assignments.submit(
        s,
        assignment_id=assignment_id,
        person_id=person_id,
        side=body.side,
        seconds=body.seconds,
        submission_key=body.submission_key,
        now=now,
        strength=body.strength,
        flagged=body.flagged,
        comment=body.comment,
    )
    shown = PreferenceOut(**_facts(stored), **_told(s, stored))
    return shown, stored.created_at != now


def correct(
    s: Session, *, preference_id: int, person_id: int, body: AnswerIn, now: datetime
) -> tuple[PreferenceOut, bool]:
    """Replace one of a person's answers; the second value tells whether it was done already."""
    stored = corrections.correct(
        s,
        preference_id=preference_id,
        person_id=person_id,
        side=body.side,
        seconds=body.seconds,
        strength=body.strength,
        flagged=body.flagged,
        comment=body.comment,
        submission_key=body.submission_key,
        now=now,
    )
    return PreferenceOut(**_facts(stored)), stored.created_at != now


def history(
    s: Session, *, run_id: int, person_id: int, limit: int, before: int | None
) -> list[HistoryEntry]:
    """A person's own answers that count, newest first, with their pairs."""
    rows = labelling.own_answers(s, run_id=run_id, person_id=person_id, limit=limit, before=before)
    pairs = {
        pair.id: pair
        for pair in assignments.views(s, [row.assignment_id for row in rows if row.assignment_id])
    }
    return [
        HistoryEntry(
            **_facts(row),
            left=clip_address(pair.id, "left", pair.left_clip),
            right=clip_address(pair.id, "right", pair.right_clip),
        )
        for row in rows
        if row.assignment_id and (pair := pairs[row.assignment_id])
    ]


def agent_view(s: Session, *, assignment_id: int, person_id: int) -> AgentViewOut:
    """Ask for a pair in the agent's view, or say where it is."""
    labelling.shown_clip(s, assignment_id=assignment_id, person_id=person_id, side="left")
    (pair,) = assignments.views(s, [assignment_id])
    made = [one.agent_clip for one in trajectories.want_agent_clips(s, query_id=pair.query_id)]
    left, right = made if pair.a_on_left else made[::-1]
    if left is None or right is None:
        return AgentViewOut(state="making", left=None, right=None)
    if not (left and right):
        return AgentViewOut(state="none", left=None, right=None)
    return AgentViewOut(
        state="ready",
        left=clip_address(assignment_id, "agent/left", left),
        right=clip_address(assignment_id, "agent/right", right),
    )


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
    withdrawal, pair = corrections.withdraw(
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
    return _side(preference.answer, a_on_left=bool(preference.a_on_left))


def _side(answer: Answer, *, a_on_left: bool) -> Side:
    match answer:
        case Answer.A:
            return "left" if a_on_left else "right"
        case Answer.B:
            return "right" if a_on_left else "left"
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
            expires_in=max(0.0, (pair.expires_at - now).total_seconds()),
            earlier=side_of(earlier[pair.id]) if pair.id in earlier else None,
            earlier_strength=earlier[pair.id].strength if pair.id in earlier else None,
            practice=pair.purpose is Purpose.PRACTICE,
        )
        for pair in held
    ]


def _facts(row: Preference) -> dict[str, Any]:
    """A stored answer as its giver may see it."""
    return {
        "id": row.id,
        "assignment": row.assignment_id,
        "side": side_of(row),
        "strength": row.strength,
        "flagged": row.flagged,
        "comment": row.comment,
        "seconds": row.seconds,
        "late": row.late,
        "created_at": row.created_at,
    }


def _told(s: Session, row: Preference) -> dict[str, Any]:
    """What a person hears after the answer: feedback on practice, the reward model's opinion."""
    query = s.get_one(Query, row.query_id)  # loaded when the answer was stored
    if row.purpose is Purpose.PRACTICE and query.gold is not None:
        known = _side(query.gold, a_on_left=bool(row.a_on_left))
        return {"feedback": Feedback(right=row.answer is query.gold, side=known)}
    predicted = query.selection.get("predicted")
    if predicted is None or not rules_of(s.get_one(Run, row.run_id).config).show_prediction:
        return {}
    return {"prediction": predicted if row.a_on_left else 1.0 - predicted}


def _why_none(s: Session, run: Run, person_id: int, left: int, now: datetime) -> str:
    if gold.is_paused(s, run_id=run.id, person_id=person_id):
        below = gold.is_below_threshold(
            s, run_id=run.id, person_id=person_id, rules=rules_of(run.config)
        )
        return BELOW_THRESHOLD_LINE if below else PAUSED_LINE
    queue = queries.counts(s, run_id=run.id, now=now)
    return waiting_line(
        run,
        left=left,
        in_hands=queue.leased,
        rendering=queue.pending,
        next_in=labelling.next_asked_in(s, run_id=run.id, now=now),
        now=now,
    )
