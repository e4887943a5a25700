"""The people of one run, as page and API show them: notes, trust, where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from server.labellers import Reliability
from server.models import Person, Run
from server.notebook import Concord, Notes, read_notebook
from server.store import audit, gold, judgements, labellers

_MEANINGS = (
    (0.95, "nearly always right"),
    (0.85, "mostly right"),
    (0.65, "often wrong"),
    (0.35, "little better than a coin"),
    (0.0, "mostly the wrong way round: are the instructions understood?"),
)
"""From which estimated share of right answers on, in words."""


@dataclass(frozen=True)
class Entry:
    """A person in a run.

    Attributes:
        person: who.
        notes: what their answers tell; None if none counts.
        gold: since they were last let in again: what a pause goes by.
        trust: the learner's newest estimate; None before its first.
        excluded_at: since when their answers do not count; None: they do.
        paused_at: since when they get no pairs; None: they do.
    """

    person: Person
    notes: Notes | None
    gold: gold.GoldScore
    trust: Reliability | None
    excluded_at: datetime | None
    paused_at: datetime | None

    @property
    def reliability(self) -> float | None:
        """The estimate that rests on most: the reward model's, Crowd-BT's, one-coin's."""
        found = self.trust
        known = (found.learned, found.crowd_bt, found.one_coin) if found else ()
        return next((value for value in known if value is not None), None)

    @property
    def meaning(self) -> str:
        """What that estimate says, in words."""
        share = self.reliability
        if share is None:
            return "nothing to tell it from yet"
        return next(words for least, words in _MEANINGS if share >= least)


@dataclass(frozen=True)
class Roster:
    """Everybody in a run, by name, and how far they agree."""

    entries: Sequence[Entry]
    crowd: Concord

    def of(self, person_id: int) -> Entry | None:
        """One person's entry."""
        return next((one for one in self.entries if one.person.id == person_id), None)


def read_roster(s: Session, *, run: Run) -> Roster:
    """Everybody who has labelled a run, or is paused in it."""
    excluded = labellers.excluded_teachers(s, run_id=run.id)
    book = read_notebook(judgements.judgements(s, run_id=run.id), excluded)
    trust = labellers.reliabilities(s, run_id=run.id)
    teachers = {
        person.id: teacher for teacher, person in judgements.people_of(s, run_id=run.id).items()
    }
    entries = []
    for person, score, paused_at in gold.labellers(s, run_id=run.id):
        teacher = teachers.get(person.id, 0)
        entries.append(
            Entry(
                person=person,
                notes=book.notes.get(teacher),
                gold=score,
                trust=trust.get(teacher),
                excluded_at=excluded.get(teacher),
                paused_at=paused_at,
            )
        )
    return Roster(entries, book.crowd)


def pause(s: Session, *, run: Run, person_id: int, paused: bool, by_id: int, now: datetime) -> None:
    """Give somebody no more pairs of a run, or let them go on, and note who did it.

    Whoever goes on has their gold answers counted afresh.

    Raises:
        NotFound: no such person.
    """
    if paused:
        gold.pause(s, run_id=run.id, person_id=person_id, now=now)
    else:
        gold.unpause(s, run_id=run.id, person_id=person_id)
    name = s.get_one(Person, person_id).name
    action = "pause labeller" if paused else "let labeller go on"
    audit.note(s, person_id=by_id, action=action, subject=f"{run.name}: {name}", now=now)


def exclude(
    s: Session, *, run: Run, person_id: int, excluded: bool, by_id: int, now: datetime
) -> None:
    """Leave somebody's answers out of a run, or take them in again, and note who did it.

    Raises:
        NotFound: no such person.
    """
    changed = labellers.exclude(
        s, run_id=run.id, person_id=person_id, excluded=excluded, by_id=by_id, now=now
    )
    if changed:
        name = s.get_one(Person, person_id).name
        action = "exclude answers" if excluded else "include answers"
        audit.note(s, person_id=by_id, action=action, subject=f"{run.name}: {name}", now=now)
