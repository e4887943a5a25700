"""Answers out of one database and into another, while people go on labelling."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from server.answer_files import AnswerRow, Kind, Refused, parse, write
from server.database import Database
from server.models import Preference, Query, QueryState, Segment, Teacher
from server.store import exchange, runs

OURS = {"id", "query", "segment_a", "segment_b", "replaces", "run", "annotator"}
"""What another database numbers anew, or names by the run."""


def spread(scene: Any) -> None:
    """Let every segment be a window of its own."""
    with scene.write() as s:
        s.execute(update(Segment).values(start=Segment.id))


def exported(database: Database, kind: Kind = Kind.CSV, run: str = "maze", **values: Any) -> bytes:
    file = io.BytesIO()
    with database.read() as s:
        write(exchange.answer_rows(s, run=runs.get_run(s, name=run), **values), kind, file)
    return file.getvalue()


def parsed(content: bytes, kind: Kind = Kind.CSV) -> list[AnswerRow]:
    found = parse(io.BytesIO(content), kind)
    assert found.problems == []
    return [row for _, row in found.rows]


def imported(scene: Any, content: bytes, kind: Kind = Kind.CSV) -> int:
    found = parse(io.BytesIO(content), kind)
    with scene.write() as s:
        run = runs.get_run(s, name="maze")
        count: int = exchange.add_rows(s, run=run, parsed=found, now=scene.now)
        return count


def plain(rows: list[AnswerRow]) -> list[dict[str, Any]]:
    """Rows without what another database numbers anew; what they replace by its place."""
    place = {row.id: n for n, row in enumerate(rows)}
    return [
        row.model_dump(exclude=OURS) | {"replaces": row.replaces and place[row.replaces]}
        for row in rows
    ]


PLAIN = {
    **{"id": 1, "run": "maze", "query": 1, "iteration": 0, "segment_a": 1, "segment_b": 2},
    **{"clip_a": None, "clip_b": None, "left": "a", "answer": "a", "strength": None},
    **{"recipe_a": f"{'0' * 64}/0/25", "recipe_b": f"{'0' * 64}/25/25", "purpose": "ordinary"},
    **{"gold": None, "flagged": True, "comment": "a comment", "seconds": 1.5, "late": False},
    **{"counts": True, "replaces": None, "teacher": "person", "annotator": "annotator-1"},
    **{"key": "k", "answered_at": "2026-06-01T12:00:00Z"},
}


def written(rows: list[AnswerRow], kind: Kind) -> bytes:
    file = io.BytesIO()
    write(rows, kind, file)
    return file.getvalue()


@pytest.fixture
def labelled(scene: Any) -> Any:
    """Two people have answered, one of them corrected and one took back."""
    scene.ask(6)
    spread(scene)
    for name in ("Ann", "Bob"):
        person = scene.person(name)
        for number, pair in enumerate(scene.next(person, count=3)):
            scene.submit(pair, ("left", "tie", "right")[number], key=f"{name}-{number}")
    return scene


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_file_says_the_same_when_read_again(labelled: Any, kind: Kind) -> None:
    rows = parsed(exported(labelled.database, kind), kind)
    assert [row.answer for row in rows].count("tie") == 2
    assert rows == parsed(exported(labelled.database))
    assert len(rows) == 6
    assert {row.annotator for row in rows} == {"annotator-1", "annotator-2"}
    with_names = parsed(exported(labelled.database, kind, names=True), kind)
    assert {row.annotator for row in with_names} == {"Ann", "Bob"}


def test_a_file_comes_in_where_the_answers_are_not_and_nowhere_twice(labelled: Any) -> None:
    content = exported(labelled.database)
    with pytest.raises(Refused, match="line 2: duplicate of an answer that is stored already"):
        imported(labelled, content)
    before = parsed(content)
    with labelled.write() as s:
        s.execute(update(Preference).values(replaces_id=None))
        s.execute(delete(Preference))
        s.execute(update(Query).values(state=QueryState.OPEN))
    assert imported(labelled, content) == 6
    assert plain(parsed(exported(labelled.database))) == plain(before)
    with labelled.database.read() as s:
        assert set(s.scalars(select(Query.state))) == {QueryState.CLOSED}
        assert s.scalar(select(func.count()).select_from(Query)) == 6, "the run's own pairs"
        imported_teachers = s.scalars(select(Teacher).where(Teacher.run_id.is_not(None))).all()
        assert {teacher.name for teacher in imported_teachers} == {"annotator-1", "annotator-2"}


def test_what_cannot_come_in_is_named_by_line_and_nothing_does(labelled: Any) -> None:
    lines = exported(labelled.database).decode().splitlines(keepends=True)
    with labelled.write() as s:
        s.execute(delete(Preference))
    rows = parsed("".join(lines).encode())
    unknown = lines[2].replace(rows[1].recipe_a, f"{'f' * 64}/0/25")
    wrong = lines[3].replace(f",{rows[2].answer},", ",perhaps,", 1)
    content = "".join([*lines[:2], unknown, lines[1], wrong])
    with pytest.raises(Refused) as refused:
        imported(labelled, content.encode())
    assert refused.value.problems.pop().startswith("line 5: answer: Input should be 'a', 'b'")
    assert refused.value.problems == [
        "line 3: clip a unknown in run maze",
        "line 4: duplicate of an answer above",
    ]
    with labelled.database.read() as s:
        assert s.scalar(select(func.count()).select_from(Preference)) == 0
    for wrong in (b"\xff\xfe", b"id,run\n1,maze\n", b"\0"):
        with pytest.raises(Refused):
            imported(labelled, wrong)
    with pytest.raises(Refused, match=r"line 2: row: Invalid JSON: EOF.*; line 3: id: Field"):
        imported(labelled, b"\n{\n{}\n", Kind.JSONL)
    with pytest.raises(Refused, match="no Parquet file"):
        imported(labelled, b"PAR1", Kind.PARQUET)


def changed(rows: list[AnswerRow], number: int, **values: Any) -> bytes:
    """The rows as a file, one of them changed."""
    lines = [json.loads(line) for line in written(rows, Kind.JSONL).splitlines()]
    lines[number] |= values
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.fixture
def history(scene: Any) -> list[AnswerRow]:
    """Rows 0 and 1: Ann's and Bob's answers to one query; 2: Ann's to another, 3: taken back.

    None of them is stored any more.
    """
    scene.ask(2, answers_wanted=2)
    spread(scene)
    ann, bob = scene.person("Ann"), scene.person("Bob")
    scene.submit(scene.next(ann)[0], "left")
    scene.submit(scene.next(bob)[0], "left")
    last = scene.submit(scene.next(ann)[0], "tie")
    scene.undo(ann, "undo", last.id)
    rows = parsed(exported(scene.database))
    with scene.write() as s:
        s.execute(update(Preference).values(replaces_id=None))
        s.execute(delete(Preference))
    return rows


@pytest.mark.parametrize(
    ("number", "values", "problem"),
    [
        (3, {"replaces": 1}, "line 4: it replaces answer 1, which is not theirs to this query"),
        (3, {"replaces": 2}, "line 4: it replaces answer 2, which is not theirs to this query"),
        (3, {"purpose": "repeat"}, "line 4: it replaces answer 3, which is not theirs"),
        (3, {"teacher": "synthetic"}, "line 4: it replaces answer 3, which is not theirs"),
        (1, {"annotator": "annotator-1"}, "line 2: annotator-1 has answered query 1 already"),
        (2, {"query": 1}, "line 3: query 1 has other clips above, or another known answer"),
        (1, {"gold": "b"}, "line 2: query 1 has other clips above, or another known answer"),
        (2, {"strength": "better"}, "line 3: row: Value error, strength goes with a and b only"),
        (0, {"gold": "withdrawn"}, "line 1: row: Value error, gold is a, b or tie"),
        (0, {"gold": "incomparable"}, "line 1: row: Value error, gold is a, b or tie"),
    ],
)
def test_histories_that_cannot_be_are_refused(
    scene: Any, history: list[AnswerRow], number: int, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Refused) as refused:
        imported(scene, changed(history, number, **values), Kind.JSONL)
    assert problem in str(refused.value)
    assert scene.total(Preference) == 0


def test_an_answer_given_anew_comes_in_and_is_not_replaced_after_its_withdrawal(
    scene: Any, history: list[AnswerRow]
) -> None:
    again = history[2].model_copy(update={"id": 50, "key": "again"})
    of_nothing = history[3].model_copy(update={"id": 51, "key": "more", "replaces": history[3].id})
    with pytest.raises(Refused, match=r"line 6: .* which is a withdrawal"):
        imported(scene, written([*history, again, of_nothing], Kind.JSONL), Kind.JSONL)
    assert imported(scene, written([*history, again], Kind.JSONL), Kind.JSONL) == 5
    later = written([history[0].model_copy(update={"key": "other"})], Kind.JSONL)
    with pytest.raises(Refused, match="annotator-1 has answered query 1 already"):
        imported(scene, later, Kind.JSONL)
    assert scene.counts().total_labels == 3


@settings(max_examples=60, deadline=None)
@given(
    comment=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
    | st.text('\r\n" ,;=\t\u2028', max_size=12)
)
@pytest.mark.parametrize("kind", list(Kind))
def test_any_comment_is_read_as_it_was_written(comment: str, kind: Kind) -> None:
    row = AnswerRow.model_validate(PLAIN | {"comment": comment})
    assert parsed(written([row, row], kind), kind) == [row, row]


def test_a_parquet_file_that_is_damaged_is_refused() -> None:
    whole = written([AnswerRow.model_validate(PLAIN)] * 3, Kind.PARQUET)
    assert whole.count(b"a comment") >= 1
    for broken in (whole[:-10] + whole[-8:], whole.replace(b"a comment", b"a \xff\xfemment")):
        with pytest.raises(Refused, match="no Parquet file"):
            parse(io.BytesIO(broken), Kind.PARQUET)


@pytest.mark.slow
def test_an_export_while_twenty_people_write_is_one_moment(scene: Any) -> None:
    scene.ask(200)
    spread(scene)
    people = [scene.person(f"person {number}") for number in range(20)]
    stop, answered = threading.Event(), threading.Event()

    def label(person: int) -> None:
        for number in range(8):
            if stop.is_set():
                return
            for pair in scene.next(person):
                stored = scene.submit(pair, "left", key=f"{person}-{number}")
                answered.set()
                if number % 3 == 2:  # an answer and its withdrawal belong together
                    scene.undo(person, f"{person}-{number}-back", stored.id)

    threads = [threading.Thread(target=label, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    try:
        assert answered.wait(20)
        with scene.database.read() as s:
            run = runs.get_run(s, name="maze")
            source: Iterator[AnswerRow] = exchange.answer_rows(s, run=run)
            first = next(source, None)
            there = s.scalar(select(func.count()).select_from(Preference))
            for thread in threads[:10]:
                thread.join(30)  # much is written between the first row and the last
            rows = [*([first] if first else []), *source]
            assert len(rows) == there == s.scalar(select(func.count()).select_from(Preference))
        content = exported(scene.database)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    with scene.database.read() as s:
        assert there < (s.scalar(select(func.count()).select_from(Preference)) or 0)
    for taken in (rows, parsed(content)):
        ids = {row.id for row in taken}
        assert all(row.replaces is None or row.replaces in ids for row in taken)
        replaced = {row.replaces for row in taken if row.replaces}
        assert all(
            row.counts == (row.answer != "withdrawn" and row.id not in replaced) for row in taken
        )
    with scene.write() as s:
        s.execute(update(Preference).values(replaces_id=None))
        s.execute(delete(Preference))
        s.execute(update(Query).values(state=QueryState.OPEN))
    assert imported(scene, content) == len(parsed(content))
    assert plain(parsed(exported(scene.database))) == plain(parsed(content))
