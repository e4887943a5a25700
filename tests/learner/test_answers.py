"""Answers of a real run: which segments are in memory, and that nothing else depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from learner.answers import Answers
from learner.control import Control
from learner.loop import TrainingLoop
from learner.preferences import PreferenceRow
from learner.records import RunRecords, Workplace
from server.labellers import Exclusion
from server.models import Answer, Preference, Purpose, Strength

LENGTH = 10


@pytest.fixture
def records(workplace: Workplace, tiny: Callable[..., dict[str, Any]]) -> RunRecords:
    """A finished run of 16 answers whose fits saw the newest six."""
    config = tiny(reward={"buffer": 6})
    found = workplace.lease("test", name=workplace.create_run(config))
    assert found is not None
    loop = TrainingLoop(found, Control())
    loop.run()
    loop.answers.read()
    assert len(loop.answers.labels()) == 6
    assert loop.answers.nbytes <= 6 * 2 * LENGTH * (64 * 64 * 3 + 8)
    return found


def test_memory_follows_the_buffer_and_undone_answers_bring_older_ones_back(
    records: RunRecords,
) -> None:
    everything, newest = Answers(records, LENGTH), Answers(records, LENGTH, newest=6)
    for answers in (everything, newest):
        assert answers.read()
    whole, few = everything.labels(), newest.labels()
    assert len(whole) >= 10
    assert len(few) == 6
    assert few.ids.tolist() == whole.ids[-6:].tolist()
    assert newest.nbytes * len(whole) <= 1.5 * everything.nbytes * len(few)

    last = [row for row in newest.rows if row.purpose == "ordinary"][-1]
    undone = replace(last, id=newest.rows[-1].id + 1, answer="withdrawn", replaces=last.id)
    for answers in (everything, newest):
        answers.rows.append(undone)
    back = newest.labels()
    assert back.ids.tolist() == everything.labels().ids[-6:].tolist()
    assert back.ids[0] < few.ids[0]
    # the segments that had been dropped are the ones recorded, not others
    for side in (0, 1):
        ours = back.batch(back.pairs[:, side])
        wanted = whole.batch(whole.pairs[-7:-1, side])
        np.testing.assert_array_equal(ours.observations, wanted.observations)
        np.testing.assert_array_equal(ours.actions, wanted.actions)


def test_pairs_without_an_answer_stay_at_hand(records: RunRecords) -> None:
    answers = Answers(records, LENGTH, newest=1)
    answers.read()
    row = answers.rows[0]
    segment = records.segment(row.first)
    unanswered = -1  # no row names it
    answers.remember(unanswered, replace(segment), np.zeros((LENGTH, 64, 64, 3), np.uint8))
    before = answers.nbytes
    answers.labels()
    assert answers.nbytes > before  # the label's two segments came, the waiting one stayed


def add(records: RunRecords, row: PreferenceRow, **values: Any) -> int:
    """Store one more row like another; its id."""
    like = {"query_id": row.query, "teacher_id": row.teacher, "answer": Answer(row.answer)}
    with records.workplace.database.write() as s:
        key = {"submission_key": str(uuid4()), "created_at": datetime.now(UTC)}
        stored = Preference(**{"run_id": records.run_id, **like, **key, **values})
        s.add(stored)
        s.flush()
        return stored.id


def test_only_what_changes_the_labels_is_news_to_a_fit(records: RunRecords) -> None:
    answers, newest = Answers(records, LENGTH), Answers(records, LENGTH, newest=2)
    for one in (answers, newest):
        assert one.read()
    ordinary = [row for row in answers.rows if row.purpose == "ordinary"]
    row = ordinary[-1]

    checks = [add(records, row, purpose=purpose) for purpose in Purpose if purpose != "ordinary"]
    add(records, row, answer=Answer.INCOMPARABLE)
    add(records, row, answer=Answer.WITHDRAWN, replaces_id=checks[0])
    passing = add(records, row)
    add(records, row, answer=Answer.WITHDRAWN, replaces_id=passing)
    before = answers.last
    assert not answers.read()
    assert answers.last > before  # taken all the same

    corrected = add(records, row, answer=Answer.TIE, replaces_id=row.id)
    assert answers.read()
    add(records, row, answer=Answer.WITHDRAWN, replaces_id=corrected)
    assert answers.read()
    assert newest.read()
    add(records, ordinary[0], answer=Answer.WITHDRAWN, replaces_id=ordinary[0].id)
    assert answers.read()
    assert not newest.read()  # what a buffer has dropped may be undone
    assert not answers.read()


def test_better_counts_half_as_much_as_much_better(records: RunRecords) -> None:
    """`reward.weak_preference` is 0.5 unless a run says otherwise: P = 0.75."""
    answers = Answers(records, LENGTH)
    answers.read()
    row = [row for row in answers.rows if row.purpose == "ordinary"][-1]
    last = row.id
    for strength, first_is_better in ((Strength.BETTER, 0.75), (Strength.MUCH_BETTER, 1.0)):
        last = add(records, row, answer=Answer.A, strength=strength, replaces_id=last)
        assert answers.read()
        assert answers.labels().targets[-1] == first_is_better


def decide(records: RunRecords, teacher: int, excluded: bool) -> None:
    with records.workplace.database.write() as s:
        row = {"run_id": records.run_id, "teacher_id": teacher, "excluded": excluded}
        s.add(Exclusion(**row, by_id=None, created_at=datetime.now(UTC)))


def test_exclusions_are_followed_by_the_next_fit_and_by_a_resumed_run(records: RunRecords) -> None:
    answers = Answers(records, LENGTH)
    assert answers.read()
    (teacher,) = {row.teacher for row in answers.rows}
    labels = len(answers.labels())
    assert labels > 4
    assert not answers.read()

    decide(records, teacher, True)
    assert answers.read()  # news to a fit, without any new answer
    assert len(answers.labels()) == 0
    excluded_at = answers.last_exclusion
    assert len(answers.rows) >= labels  # nothing is lost
    assert answers.trust({})[teacher].answers > 0  # whoever is excluded is judged all the same

    decide(records, teacher, False)
    assert answers.read()
    assert len(answers.labels()) == labels

    resumed = Answers(records, LENGTH)
    resumed.read(answers.last, excluded_at)
    assert (len(resumed.labels()), resumed.last_exclusion) == (0, excluded_at)
