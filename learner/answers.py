"""Answers that a run has read so far, and the segments that they compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.crowd import trust
from learner.iteration import Trust
from learner.preferences import (
    ExclusionRow,
    LabelledPairs,
    PreferenceRow,
    SegmentStore,
    counting,
    labelled_pairs,
)
from learner.records import RunRecords
from learner.replay import replay
from learner.trajectories import Segment


class Answers:
    """Stored answers, read as they come, and the segments of those that are fitted.

    In memory are the segments of the labels that the next fit sees, and of pairs that nobody has
    answered yet. What has left `reward.buffer` is dropped; where a withdrawn answer lets an older
    one back in, its segments are replayed.

    Attributes:
        rows: all rows read, oldest first, withdrawals among them.
        excluded: teachers whose answers do not count.
        last_exclusion: id of the newest decision about that; 0 before the first.
    """

    def __init__(
        self, records: RunRecords, segment_length: int, *, newest: int | None = None
    ) -> None:
        """Start with no answers.

        Args:
            records: where answers and recipes are.
            segment_length: steps.
            newest: labels that a fit sees; None = all.
        """
        self.rows: list[PreferenceRow] = []
        self.excluded: set[int] = set()
        self.last_exclusion = 0
        self._records = records
        self._newest = newest
        self._segments = SegmentStore(segment_length)
        self._unanswered: set[int] = set()

    @property
    def last(self) -> int:
        """Id of the newest row read; 0 before the first."""
        return self.rows[-1].id if self.rows else 0

    def read(self, until: int | None = None, exclusions_until: int | None = None) -> bool:
        """Take answers stored since the last look; whether a fit would now see other labels.

        Undone and corrected answers change them, and so does that somebody's answers no longer
        count, or do again. Answers that are no labels (gold, repeats, practice, trials, pairs that
        cannot be compared) do not.

        Args:
            until: the last row to take; None = all there are.
            exclusions_until: the last decision about whose answers count, likewise.
        """
        rows = [
            row
            for row in self._records.preferences_after(self.last)
            if until is None or row.id <= until
        ]
        decisions = [
            row
            for row in self._records.exclusions_after(self.last_exclusion)
            if exclusions_until is None or row.id <= exclusions_until
        ]
        if not rows and not decisions:
            return False
        before = self._counting()
        self._unanswered -= {key for row in rows for key in (row.first, row.second)}
        self.rows += rows
        self._follow(decisions)
        return self._counting() != before

    def _follow(self, decisions: list[ExclusionRow]) -> None:
        for row in decisions:
            if row.excluded:
                self.excluded.add(row.teacher)
            else:
                self.excluded.discard(row.teacher)
            self.last_exclusion = row.id

    def _counting(self) -> list[tuple[PreferenceRow, float]]:
        """The rows that a fit sees, with P(first is better)."""
        rows = [row for row in self.rows if row.teacher not in self.excluded]
        return counting(rows, newest=self._newest)

    def remember(self, key: int, segment: Segment, seen: NDArray[Any]) -> None:
        """Keep a segment that is at hand, so that it need not be replayed when it is answered.

        Args:
            key: its row id.
            segment: its recipe.
            seen: (length, ...) what the agent saw before each of its actions; copied.
        """
        self._unanswered.add(key)
        self._hold(key, segment, seen)

    def _hold(self, key: int, segment: Segment, seen: NDArray[Any]) -> None:
        trajectory = segment.trajectory
        self._segments.add(key, seen, trajectory.actions[segment.window], trajectory.episode)

    def labels(self) -> LabelledPairs:
        """What the answers so far amount to: the newest ones, where the run has a buffer.

        They are numbered within the run: fits draw by these numbers, and row ids depend on what
        else is in the database.
        """
        rows = [row for row, _ in self._counting()]
        wanted = {key for row in rows for key in (row.first, row.second)}
        self._segments.keep(wanted | self._unanswered)
        for key in sorted(wanted):
            if key not in self._segments:
                segment = self._records.segment(key)
                self._hold(key, segment, replay(segment.trajectory).observations[segment.window])
        labels = labelled_pairs(rows, self._segments)
        places = np.searchsorted([row.id for row in self.rows], labels.ids)
        return replace(labels, ids=places)

    @property
    def nbytes(self) -> int:
        """Bytes of the segments in memory."""
        return self._segments.nbytes

    def trust(self, noise: Mapping[int, float]) -> dict[int, Trust]:
        """How far each teacher's answers can be trusted, those that do not count among them.

        Args:
            noise: what the reward model has learned of it, by teacher.
        """
        return trust(self.rows, noise)
