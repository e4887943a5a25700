"""Answers that a run has read so far, and the segments that they compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.records import RunRecords
from learner.replay import replay
from learner.trajectories import Segment


class Answers:
    """Stored answers, read as they come; their segments are held in memory.

    Attributes:
        rows: all rows read, oldest first, withdrawals among them.
    """

    def __init__(self, records: RunRecords, segment_length: int) -> None:
        self.rows: list[PreferenceRow] = []
        self._records = records
        self._segments = SegmentStore(segment_length)

    @property
    def last(self) -> int:
        """Id of the newest row read; 0 before the first."""
        return self.rows[-1].id if self.rows else 0

    def read(self, until: int | None = None) -> bool:
        """Take answers stored since the last look; whether there were any, undone ones included.

        Args:
            until: the last row to take; None = all there are.
        """
        rows = [
            row
            for row in self._records.preferences_after(self.last)
            if until is None or row.id <= until
        ]
        for key in {key for row in rows for key in (row.first, row.second)}:
            if key not in self._segments:
                segment = self._records.segment(key)
                self.remember(key, segment, replay(segment.trajectory).observations[segment.window])
        self.rows += rows
        return bool(rows)

    def remember(self, key: int, segment: Segment, seen: NDArray[Any]) -> None:
        """Keep a segment that is at hand, so that it need not be replayed when it is answered.

        Args:
            key: its row id.
            segment: its recipe.
            seen: (length, ...) what the agent saw before each of its actions; copied.
        """
        trajectory = segment.trajectory
        self._segments.add(key, seen, trajectory.actions[segment.window], trajectory.episode)

    def labels(self) -> LabelledPairs:
        """What all answers so far amount to.

        They are numbered within the run: fits draw by these numbers, and row ids depend on what
        else is in the database.
        """
        labels = labelled_pairs(self.rows, self._segments)
        places = np.searchsorted([row.id for row in self.rows], labels.ids)
        return replace(labels, ids=places)
