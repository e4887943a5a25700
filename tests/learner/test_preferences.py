from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learner.preferences import (
    PreferenceRow,
    SegmentStore,
    WindowStore,
    effective,
    labelled_pairs,
    target,
)


def row(
    id: int, answer: str, *, replaces: int | None = None, strength: float | None = None
) -> PreferenceRow:
    return PreferenceRow(id, id, 1, 2 * id, 2 * id + 1, answer, strength, replaces)


def store_of(count: int, *, length: int = 4) -> SegmentStore:
    store = SegmentStore(length)
    for key in range(count):
        frames = np.full((length, 3, 3, 1), key, dtype=np.uint8)
        store.add(key, frames, np.zeros(length, dtype=np.int64), f"episode {key // 2}")
    return store


def test_answers_become_targets_and_incomparable_pairs_say_nothing() -> None:
    rows = [row(0, "a"), row(1, "b"), row(2, "tie"), row(3, "incomparable")]

    labels = labelled_pairs(rows, store_of(8))

    assert labels.targets.tolist() == [1.0, 0.0, 0.5]
    assert labels.ids.tolist() == [0, 1, 2]
    assert labels.decided.tolist() == [True, True, False]


def test_a_tie_is_a_label_and_is_not_the_same_as_cannot_tell() -> None:
    assert target(row(0, "tie")) == 0.5
    assert target(row(0, "incomparable")) is None


def test_a_withdrawn_answer_and_its_withdrawal_count_as_nothing() -> None:
    rows = [row(0, "a"), row(1, "withdrawn", replaces=0), row(2, "b")]

    assert [r.id for r in effective(rows)] == [2]


def test_a_correction_replaces_and_can_be_withdrawn_itself() -> None:
    corrected = [row(0, "a"), row(1, "b", replaces=0)]
    assert [r.id for r in effective(corrected)] == [1]

    withdrawn = [*corrected, row(2, "withdrawn", replaces=1)]
    assert effective(withdrawn) == []


def test_rows_count_the_same_in_any_order() -> None:
    rows = [row(0, "a"), row(1, "b", replaces=0), row(2, "tie")]

    assert effective(reversed(rows)) == effective(rows)


@pytest.mark.parametrize(
    ("answer", "strength", "expected"),
    [("a", None, 1.0), ("a", 1.0, 1.0), ("a", 0.5, 0.75), ("b", 0.5, 0.25), ("tie", 0.5, 0.5)],
)
def test_strength_moves_an_answer_from_the_tie(
    answer: str, strength: float | None, expected: float
) -> None:
    assert target(row(0, answer, strength=strength)) == expected


@pytest.mark.parametrize("purpose", ["gold", "repeat", "practice"])
def test_answers_that_check_their_teacher_are_no_labels(purpose: str) -> None:
    rows = [row(0, "a"), replace(row(1, "a"), purpose=purpose)]

    assert labelled_pairs(rows, store_of(4)).ids.tolist() == [0]


def test_pairs_point_at_the_segments_they_compare() -> None:
    store = store_of(4)
    rows = [PreferenceRow(0, 0, 1, 3, 1, "a"), PreferenceRow(1, 1, 1, 1, 0, "b")]

    labels = labelled_pairs(rows, store)

    assert labels.keys == (3, 1, 0)
    assert labels.pairs.tolist() == [[0, 1], [1, 2]]
    assert labels.episodes == ("episode 1", "episode 0", "episode 0")
    assert labels.batch(labels.pairs[0]).observations[:, 0, 0, 0, 0].tolist() == [3, 1]


def test_the_newest_labels_keep_their_segments() -> None:
    labels = labelled_pairs([row(i, "a") for i in range(5)], store_of(10)).newest(2)

    assert labels.ids.tolist() == [3, 4]
    assert labels.keys == (6, 7, 8, 9)
    assert labels.newest(None) is labels


def test_segments_of_older_labels_need_not_be_kept() -> None:
    rows, store = [row(i, "a") for i in range(5)], store_of(10)
    newest = labelled_pairs(rows, store, newest=2)

    store.keep(newest.keys)

    again = labelled_pairs(rows, store, newest=2)
    assert again.ids.tolist() == newest.ids.tolist() == [3, 4]
    assert len(store) == 4


def test_short_segments_are_padded_and_marked() -> None:
    store = SegmentStore(4)
    store.add(0, np.array([[1.0], [2.0]]), np.array([5, 6]), "e")

    batch = store.batch([0])

    assert batch.valid.tolist() == [[True, True, False, False]]
    assert batch.observations[0, :, 0].tolist() == [1.0, 2.0, 2.0, 2.0]
    assert batch.actions[0].tolist() == [5, 6, 6, 6]


def test_memory_is_that_of_the_segments_and_of_nothing_beside_them() -> None:
    rollout = np.zeros((256, 8, 8, 3), dtype=np.uint8)
    store = SegmentStore(4)
    for key in (0, 1, 1):  # a segment added twice is held once
        store.add(key, rollout[key : key + 4], np.zeros(4, dtype=np.int64), "e")

    assert store.nbytes == 2 * (4 * 8 * 8 * 3 + 4 * 8)
    assert store[0].observations.dtype == np.uint8
    assert not np.shares_memory(store[0].observations, rollout)

    store.keep({1})
    assert 0 not in store
    assert len(store) == 1


def test_windows_that_overlap_show_their_frames_once() -> None:
    shown = np.arange(20, dtype=np.float32)[:, None]
    store = WindowStore(3, shown, np.arange(20), np.arange(20) % 10)
    store.add_window(0, range(4, 10, 2), "e")
    store.add_window(1, range(6, 12, 2), "e")
    store.add_window(2, range(18, 20, 2), "f")

    frames = store.frames([0, 1, 0, 2])

    assert frames.observations[:, 0].tolist() == [4, 6, 8, 10, 18]
    assert frames.actions.tolist() == [4, 6, 8, 10, 18]
    assert frames.times is not None
    assert frames.times.tolist() == [4, 6, 8, 0, 8]
    assert frames.places.tolist() == [[0, 1, 2], [1, 2, 3], [0, 1, 2], [4, 4, 4]]
    assert frames.valid[3].tolist() == [True, False, False]
    assert np.shares_memory(store[0].observations, shown)
    batch = store.batch([0, 1, 0, 2])
    assert np.array_equal(frames.observations[frames.places], batch.observations)
    apart = frames.apart()
    assert np.array_equal(apart.observations[apart.places], batch.observations)
    assert len(apart.observations) == 12


def test_a_segment_named_twice_shows_its_frames_once() -> None:
    frames = store_of(3, length=2).frames([2, 0, 2])

    assert frames.observations[:, 0, 0, 0].tolist() == [2, 2, 0, 0]
    assert frames.places.tolist() == [[0, 1], [2, 3], [0, 1]]
    assert frames.valid.all()


def test_images_beyond_a_limit_are_held_compressed_and_come_back_as_they_were() -> None:
    frames = np.random.default_rng(0).integers(0, 4, (10, 4, 32, 32, 3), dtype=np.uint8)
    size = frames[0].nbytes
    store = SegmentStore(4, plain_bytes=3 * size)
    for key, segment in enumerate(frames):
        store.add(key, segment[: 2 + key % 3], np.zeros(2 + key % 3), "e")

    assert store.nbytes < 3 * size + 7 * size / 2
    assert store[9].steps == 2
    assert (store[8].observations == frames[8]).all()
    batch = store.batch([8, 0])
    assert (batch.observations[0] == frames[8]).all()
    assert batch.valid.tolist() == [[True] * 4, [True, True, False, False]]

    store.keep([5, 6])  # the room of those that are gone is used again
    store.add(10, frames[0], np.zeros(4), "e")
    assert isinstance(store[6].kept, bytes)
    assert not isinstance(store[10].kept, bytes)


def test_vectors_are_never_compressed() -> None:
    store = SegmentStore(4, plain_bytes=0)
    store.add(0, np.zeros((4, 3), np.float32), np.zeros(4), "e")
    assert store.nbytes == 4 * 3 * 4 + 4 * 8
