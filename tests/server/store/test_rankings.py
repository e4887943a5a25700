from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.store import preferences, queries, rankings, trajectories

CLIP = "c" * 64


@pytest.fixture
def clips(scene: Any) -> list[int]:
    """Five clips, each of a trajectory of its own."""
    made = []
    with scene.write() as s:
        for number in range(5):
            trajectory = trajectories.add_trajectory(
                s,
                run_id=scene.run_id,
                artifact=f"{number}" * 64,
                episode=f"e{number}",
                level=number,
                policy_step=0,
                steps=25,
                true_return=float(number),
                now=scene.now,
            )
            segment = trajectories.add_segment(
                s,
                run_id=scene.run_id,
                trajectory_id=trajectory.id,
                start=0,
                length=25,
                true_return=float(number),
            )
            segment.clip = CLIP
            made.append(segment.id)
    return made


def rank(scene: Any, places: list[list[int]], key: str = "first-order", person: int | None = None):
    person = person or scene.person(f"somebody for {key}")
    with scene.write() as s:
        found, replayed = rankings.rank_clips(
            s,
            run_id=scene.run_id,
            person_id=person,
            places=places,
            iteration=3,
            submission_key=key,
            now=scene.now,
        )
        return found.ranking.id, found.ranking.preferences, found.places, replayed


def rows(scene: Any) -> list[tuple[int, int, str]]:
    with scene.database.read() as s:
        found = preferences.preferences_after(s, run_id=scene.run_id)
    return [(row.segment_a_id, row.segment_b_id, row.answer.value) for row in found]


def test_every_two_clips_of_an_order_become_a_preference(scene: Any, clips: list[int]) -> None:
    order = [clips[3], clips[0], clips[4]]
    _, count, _, _ = rank(scene, [[one] for one in order])
    assert count == 3
    assert rows(scene) == [(a, b, "a") for a, b in combinations(order, 2)]
    with scene.database.read() as s:
        counted = queries.counts(s, run_id=scene.run_id, now=scene.now)
    assert (counted.answered, counted.open, counted.pending) == (3, 0, 0)
    assert counted.total_labels == 3


def test_clips_of_one_place_are_tied(scene: Any, clips: list[int]) -> None:
    rank(scene, [[clips[0]], [clips[2], clips[1]]])
    assert {row[2] for row in rows(scene) if clips[0] not in row[:2]} == {"tie"}
    assert [row[2] for row in rows(scene) if clips[0] in row[:2]] == ["a", "a"]


def test_an_order_sent_twice_is_stored_once(scene: Any, clips: list[int]) -> None:
    person = scene.person("impatient")
    places = [[clips[0]], [clips[1]]]
    first = rank(scene, places, person=person)
    again = rank(scene, places, person=person)
    assert again[:3] == first[:3]
    assert (first[3], again[3]) == (False, True)
    assert len(rows(scene)) == 1
    with pytest.raises(Conflict, match="another order"):
        rank(scene, places[::-1], person=person)


def test_rankings_are_listed_with_their_places(scene: Any, clips: list[int]) -> None:
    rank(scene, [[clips[0]], [clips[1]]], "first-order")
    rank(scene, [[clips[4], clips[2]], [clips[1]]], "second-order")
    with scene.database.read() as s:
        listed = rankings.list_rankings(s, run_id=scene.run_id)
    assert [one.places for one in listed] == [
        [[clips[2], clips[4]], [clips[1]]],
        [[clips[0]], [clips[1]]],
    ]
    assert [one.ranking.kind.value for one in listed] == ["person", "person"]


def test_the_newest_clips_are_offered_one_of_each_trajectory(scene: Any, clips: list[int]) -> None:
    with scene.write() as s:
        scene.segment(s)  # without a clip
        old = scene.segment(s, CLIP)
        new = scene.segment(s, CLIP)
    with scene.database.read() as s:
        offered = [one.id for one in rankings.rankable(s, run_id=scene.run_id, limit=4)]
    assert offered == [new, *clips[:1:-1]]
    assert old not in offered


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([[0]], "2 to 10 clips"),
        ([[0], []], "leave no place empty"),
        ([[0], [1], [0]], "twice"),
        ([[0], [99]], "not of this run"),
    ],
)
def test_an_order_without_sense_is_refused(
    scene: Any, clips: list[int], places: list[list[int]], said: str
) -> None:
    named = [[clips[one] if one < 5 else 10_000 for one in tied] for tied in places]
    with pytest.raises(Invalid, match=said):
        rank(scene, named)
    assert rows(scene) == []


def test_parts_of_one_trajectory_are_not_ranked(scene: Any) -> None:
    with scene.write() as s:
        two = [scene.segment(s, CLIP), scene.segment(s, CLIP)]
    with pytest.raises(Invalid, match="of one trajectory"):
        rank(scene, [[one] for one in two])


def take_back(scene: Any, ranking: int, person: int) -> tuple[bool, bool]:
    with scene.write() as s:
        found, again = rankings.withdraw_ranking(
            s, run_id=scene.run_id, ranking_id=ranking, person_id=person, now=scene.now
        )
        return found.withdrawn, again


def test_an_order_is_taken_back_once_and_can_be_made_again(scene: Any, clips: list[int]) -> None:
    person = scene.person("undecided")
    other, _, _, _ = rank(scene, [[clips[3]], [clips[4]]], "kept-order", person)
    ranking, _, _, _ = rank(scene, [[one] for one in clips[:3]], person=person)
    assert take_back(scene, ranking, person) == (True, False)
    assert take_back(scene, ranking, person) == (True, True)
    with scene.database.read() as s:
        assert queries.counts(s, run_id=scene.run_id, now=scene.now).total_labels == 1
        assert queries.counts(s, run_id=scene.run_id, now=scene.now).open == 0  # nobody is asked
        listed = rankings.list_rankings(s, run_id=scene.run_id)
    assert [(one.ranking.id, one.withdrawn) for one in listed] == [(ranking, True), (other, False)]
    rank(scene, [[one] for one in clips[:3]], "once-more", person)
    with scene.database.read() as s:
        assert queries.counts(s, run_id=scene.run_id, now=scene.now).total_labels == 4


def test_only_whoever_made_an_order_takes_it_back(scene: Any, clips: list[int]) -> None:
    ranking, _, _, _ = rank(scene, [[clips[0]], [clips[1]]])
    other = scene.person("somebody else")
    with pytest.raises(Forbidden, match="not yours"):
        take_back(scene, ranking, other)
    with pytest.raises(NotFound, match="no ranking 99"):
        take_back(scene, 99, other)
    assert len(rows(scene)) == 1
