"""Answers of a run out of the database as rows, and rows of a file into it, all or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from server.answer_files import BATCH, AnswerRow, Parsed, Refused
from server.models import (
    Answer,
    Preference,
    Purpose,
    Query,
    QueryState,
    Run,
    Segment,
    Teacher,
    TeacherKind,
    Trajectory,
)
from server.store.locks import lock_answers
from server.store.preferences import effective, settle

_A, _B = aliased(Segment), aliased(Segment)
_TA, _TB = aliased(Trajectory), aliased(Trajectory)
_ROWS = (
    select(
        Preference,
        Query,
        Teacher.kind,
        Teacher.name,
        effective().label("counts"),
        _A.clip.label("clip_a"),
        _B.clip.label("clip_b"),
        _TA.artifact,
        _A.start,
        _A.length,
        _TB.artifact.label("other_artifact"),
        _B.start.label("other_start"),
        _B.length.label("other_length"),
    )
    .join(Query, Query.id == Preference.query_id)
    .join(Teacher, Teacher.id == Preference.teacher_id)
    .join(_A, _A.id == Query.segment_a_id)
    .join(_B, _B.id == Query.segment_b_id)
    .join(_TA, _TA.id == _A.trajectory_id)
    .join(_TB, _TB.id == _B.trajectory_id)
    .order_by(Preference.id)
)


def answer_rows(s: Session, *, run: Run, names: bool = False) -> Iterator[AnswerRow]:
    """Every answer of a run, oldest first, as the database stands in this transaction.

    People are `annotator-1`, `annotator-2`, ... in the order of their first answers, the same in
    every export of the run, unless `names` are wanted.
    """
    pseudonyms: dict[int, str] = {}
    found = s.execute(_ROWS.where(Preference.run_id == run.id).execution_options(yield_per=BATCH))
    for row in found:
        given, query = row.Preference, row.Query
        name = row.name
        if row.kind is TeacherKind.PERSON and not names:
            new = f"annotator-{len(pseudonyms) + 1}"
            name = pseudonyms.setdefault(given.teacher_id, new)
        yield AnswerRow.model_construct(
            id=given.id,
            run=run.name,
            query=query.id,
            iteration=query.iteration,
            segment_a=query.segment_a_id,
            segment_b=query.segment_b_id,
            clip_a=row.clip_a,
            clip_b=row.clip_b,
            recipe_a=f"{row.artifact}/{row.start}/{row.length}",
            recipe_b=f"{row.other_artifact}/{row.other_start}/{row.other_length}",
            left=None if given.a_on_left is None else "a" if given.a_on_left else "b",
            answer=given.answer,
            strength=given.strength,
            purpose=given.purpose,
            gold=query.gold,
            flagged=given.flagged,
            comment=given.comment,
            seconds=given.seconds,
            late=given.late,
            counts=row.counts,
            replaces=given.replaces_id,
            teacher=row.kind,
            annotator=name,
            key=given.submission_key,
            answered_at=given.created_at,
        )


def clips(s: Session, *, run_id: int) -> list[tuple[int, str]]:
    """Segments of a run that have a clip, and the clip's artifact."""
    rows = s.execute(
        select(Segment.id, Segment.clip)
        .where(Segment.run_id == run_id, Segment.clip.is_not(None))
        .order_by(Segment.id)
    )
    return [(segment, clip) for segment, clip in rows if clip]


def add_rows(s: Session, *, run: Run, parsed: Parsed, now: datetime) -> int:
    """Store answers that were given elsewhere, for pairs of this run's own segments.

    Args:
        s: rolled back by the caller when this raises.
        run: where they go.
        parsed: the file, read before the transaction began: others wait to write.
        now: when pairs that are not here yet are made.

    Returns:
        How many were stored.

    Raises:
        Refused: unknown clips, duplicates, or histories that cannot be; nothing is stored.
    """
    lock_answers(s, run.id)
    desk = _Desk.of(s, run, now)
    for line, row in parsed.rows:
        if (problem := desk.problem(row)) is not None:
            desk.problems.append(f"line {line}: {problem}")
        elif not desk.problems:
            desk.add(s, row)
    if problems := desk.problems + parsed.problems:
        raise Refused(problems)
    s.flush()
    for exported, query in desk.queries.items():
        if query.id in desk.made:
            query.answers_wanted = max(1, desk.counting[exported])
            query.answers_limit = query.answers_wanted
        settle(s, query=query)
    return len(desk.stored)


@dataclass(frozen=True)
class _Place:
    """Whose answer to what: of those at one place, one counts."""

    teacher: TeacherKind
    annotator: str
    query: int
    purpose: Purpose

    @classmethod
    def of(cls, row: AnswerRow) -> _Place:
        return cls(row.teacher, row.annotator, row.query, row.purpose)


@dataclass
class _Desk:
    """What an import knows while it goes through a file.

    Attributes:
        segments: of the run, by recipe: their ids, and whether they have a clip.
        pairs: ids of the run's queries that no row has come to yet, by their segments.
        known: submissions that are stored already: key and time.
        stored_places: of answers that count, by teachers of this run; its own query ids.
        places: of the file's rows, by the ids they have there.
        counted: places with an answer of the file that counts.
        pairs_in_file: clips and gold of the file's queries.
        targets: this run's own queries for those of the file; None: to be made.
        stored: the file's rows by the ids they have there.
        queries: this run's, by the ids they have in the file.
        counting: ordinary answers that count, by the same.
        made: ids of queries that were not here.
    """

    run: Run
    now: datetime
    segments: dict[str, tuple[int, bool]]
    pairs: dict[tuple[int, int], list[int]]
    known: set[tuple[str, datetime]]
    stored_places: set[_Place]
    places: dict[int, _Place] = field(default_factory=dict)
    counted: set[_Place] = field(default_factory=set)
    pairs_in_file: dict[int, tuple[str, str, Answer | None]] = field(default_factory=dict)
    targets: dict[int, int | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    stored: dict[int, Preference] = field(default_factory=dict)
    queries: dict[int, Query] = field(default_factory=dict)
    counting: Counter[int] = field(default_factory=Counter)
    made: set[int] = field(default_factory=set)
    keys: set[tuple[str, str]] = field(default_factory=set)
    replaced: set[int] = field(default_factory=set)
    stands: set[int] = field(default_factory=set)
    teachers: dict[tuple[TeacherKind, str], Teacher] = field(default_factory=dict)

    @classmethod
    def of(cls, s: Session, run: Run, now: datetime) -> _Desk:
        segments = s.execute(
            select(
                Segment.id,
                Segment.clip.is_not(None),
                Trajectory.artifact,
                Segment.start,
                Segment.length,
            )
            .join(Trajectory, Trajectory.id == Segment.trajectory_id)
            .where(Segment.run_id == run.id)
            .order_by(Segment.id.desc())
        )
        stored = s.execute(
            select(Preference.submission_key, Preference.created_at).where(
                Preference.run_id == run.id
            )
        )
        asked = s.execute(
            select(Query.id, Query.segment_a_id, Query.segment_b_id)
            .where(Query.run_id == run.id)
            .order_by(Query.id)
        )
        pairs: dict[tuple[int, int], list[int]] = {}
        for query_id, a, b in asked:
            pairs.setdefault((a, b), []).append(query_id)
        return cls(
            run=run,
            now=now,
            segments={
                f"{name}/{start}/{length}": (segment_id, clip)
                for segment_id, clip, name, start, length in segments
            },
            pairs=pairs,
            known={(key, at) for key, at in stored},
            stored_places=_places(s, run.id),
        )

    def problem(self, row: AnswerRow) -> str | None:
        """Why a row cannot be stored; None if it can."""
        unknown = [
            side
            for side, recipe in (("a", row.recipe_a), ("b", row.recipe_b))
            if recipe not in self.segments
        ]
        if unknown:
            return f"clip {' and '.join(unknown)} unknown in run {self.run.name}"
        if row.recipe_a == row.recipe_b:
            return "both clips are the same"
        twice = row.id in self.places or (row.annotator, row.key) in self.keys
        if twice or (row.key, row.answered_at) in self.known:
            return "duplicate of an answer " + ("above" if twice else "that is stored already")
        pair = row.recipe_a, row.recipe_b, row.gold
        if self.pairs_in_file.setdefault(row.query, pair) != pair:
            return f"query {row.query} has other clips above, or another known answer"
        if (impossible := self._impossible(row)) is not None:
            return impossible
        self._note(row)
        return None

    def _impossible(self, row: AnswerRow) -> str | None:
        """Why a row cannot follow those above it."""
        place = _Place.of(row)
        if row.replaces is not None:
            if row.replaces not in self.places or row.replaces in self.replaced:
                return f"it replaces answer {row.replaces}, which is not above, or replaced already"
            if self.places[row.replaces] != place:
                return f"it replaces answer {row.replaces}, which is not theirs to this query"
            if row.replaces not in self.stands:
                return f"it replaces answer {row.replaces}, which is a withdrawal"
            return None
        if row.answer is Answer.WITHDRAWN:
            return "a withdrawal must name what it replaces"
        own = self._target(row)
        stored = own is not None and replace(place, query=own) in self.stored_places
        if stored or place in self.counted:
            return f"{row.annotator} has answered query {row.query} already; that answer counts"
        return None

    def _note(self, row: AnswerRow) -> None:
        place = self.places[row.id] = _Place.of(row)
        self.keys.add((row.annotator, row.key))
        if row.replaces is not None:
            self.replaced.add(row.replaces)
        if row.answer is Answer.WITHDRAWN:
            self.counted.discard(place)
        else:
            self.counted.add(place)
            self.stands.add(row.id)

    def add(self, s: Session, row: AnswerRow) -> None:
        """Store a row."""
        replaced = self.stored[row.replaces] if row.replaces is not None else None
        query = self._query(s, row)
        if replaced is not None and replaced.id is None:
            s.flush()
        preference = Preference(
            run_id=self.run.id,
            query_id=query.id,
            teacher_id=self._teacher(s, row).id,
            purpose=row.purpose,
            answer=row.answer,
            strength=row.strength,
            flagged=row.flagged,
            comment=row.comment,
            a_on_left=None if row.left is None else row.left == "a",
            seconds=row.seconds,
            late=row.late,
            replaces_id=replaced.id if replaced else None,
            submission_key=row.key,
            created_at=row.answered_at,
        )
        s.add(preference)
        self.stored[row.id] = preference
        if row.purpose is Purpose.ORDINARY:
            self.counting[row.query] += row.answer is not Answer.WITHDRAWN
            self.counting[row.query] -= replaced is not None

    def _query(self, s: Session, row: AnswerRow) -> Query:
        """The pair: the run's own if it is there, else a new one."""
        if row.query in self.queries:
            return self.queries[row.query]
        own = self._target(row)
        if own is not None:
            query = s.get_one(Query, own)
        else:
            (a, a_shown), (b, b_shown) = self.segments[row.recipe_a], self.segments[row.recipe_b]
            query = Query(
                run_id=self.run.id,
                segment_a_id=a,
                segment_b_id=b,
                state=_state(row, shown=bool(a_shown and b_shown)),
                iteration=row.iteration,
                gold=row.gold,
                created_at=self.now,
            )
            s.add(query)
            s.flush()
            self.made.add(query.id)
        self.queries[row.query] = query
        return query

    def _target(self, row: AnswerRow) -> int | None:
        """The run's own query for a row's, the same for all rows of that query; None: a new one."""
        if row.query not in self.targets:
            (a, _), (b, _) = self.segments[row.recipe_a], self.segments[row.recipe_b]
            free = self.pairs.get((a, b), [])
            own = row.query if row.query in free else next(iter(free), None)
            if own is not None:
                free.remove(own)
            self.targets[row.query] = own
        return self.targets[row.query]

    def _teacher(self, s: Session, row: AnswerRow) -> Teacher:
        """Whoever answered there; a teacher of this run alone, whom no account belongs to."""
        known = self.teachers.get((row.teacher, row.annotator))
        if known is None:
            known = s.scalars(
                select(Teacher).where(
                    Teacher.run_id == self.run.id,
                    Teacher.kind == row.teacher,
                    Teacher.name == row.annotator,
                )
            ).first()
        if known is None:
            known = Teacher(
                kind=row.teacher,
                name=row.annotator,
                run_id=self.run.id,
                settings={"imported": True},
            )
            s.add(known)
            s.flush()
        self.teachers[row.teacher, row.annotator] = known
        return known


def _places(s: Session, run_id: int) -> set[_Place]:
    """Places of stored answers that count, of the teachers that an import can add to."""
    rows = s.execute(
        select(Teacher.kind, Teacher.name, Preference.query_id, Preference.purpose)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Preference.run_id == run_id, Teacher.run_id == run_id, effective())
    )
    return {_Place(*row) for row in rows}


def _state(row: AnswerRow, *, shown: bool) -> QueryState:
    """Where a pair that came with a file stands; a trial's checkpoints are another run's."""
    if row.purpose is Purpose.TRIAL:
        return QueryState.SET_ASIDE
    return QueryState.OPEN if shown else QueryState.PENDING
