"""What a fit of the reward model sees: answers that count, and the segments they compare.

Rows of the preferences table go in as they are. What a tie, a withdrawal or an incomparable
pair means to training is decided here and nowhere else.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TARGETS = {"a": 1.0, "b": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class PreferenceRow:
    """One stored row, whether it counts or not.

    Attributes:
        id: rows are ordered by it.
        query: the query it answers.
        teacher: who answered.
        first: key of the query's segment a.
        second: key of the query's segment b.
        answer: "a", "b", "tie", "incomparable" or "withdrawn".
        strength: how much better, in (0, 1]; None counts as 1.
        replaces: id of the row that this one corrects or withdraws.
        purpose: "ordinary"; or "gold", "repeat" or "practice", which tell about the teacher, or
            "trial", which tells about two agents.
        uniform: whether its pair was drawn uniformly, not chosen for what a model said of it.
    """

    id: int
    query: int
    teacher: int
    first: int
    second: int
    answer: str
    strength: float | None = None
    replaces: int | None = None
    purpose: str = "ordinary"
    uniform: bool = True


@dataclass(frozen=True)
class ExclusionRow:
    """One decision: from here on a teacher's answers do not count, or count again."""

    id: int
    teacher: int
    excluded: bool


@dataclass(frozen=True)
class StoredSegment:
    """What the reward model may know of a segment.

    Attributes:
        actions: (steps, ...).
        episode: names the part of an episode it is from; hold-out splits are by this.
        shape: of the observations: (steps, ...).
        kept: the observations as the environment gave them, or images compressed.
    """

    actions: NDArray[Any]
    episode: str
    shape: tuple[int, ...]
    kept: NDArray[Any] | bytes

    @property
    def steps(self) -> int:
        """Fewer than the configured length where an episode ended inside."""
        return self.shape[0]

    @property
    def observations(self) -> NDArray[Any]:
        """(steps, ...) before each action; not to be changed."""
        if isinstance(self.kept, bytes):
            return np.frombuffer(zlib.decompress(self.kept), np.uint8).reshape(self.shape)
        return self.kept

    @property
    def nbytes(self) -> int:
        """Bytes of observations and actions as they are kept."""
        held = self.kept
        return self.actions.nbytes + (len(held) if isinstance(held, bytes) else held.nbytes)


PLAIN_BYTES = 7 * 2**28
"""1.75 GiB of images are kept as they are, 3,000 pairs of 25 steps of 64x64x3; more is compressed.

Level 1 of zlib makes Procgen's frames 2 to 8 times smaller. To unpack a segment takes about 1 ms,
which for all segments of a batch would be half as long as training on it.
"""


class SegmentStore:
    """Segments by key, each held once, in the type the environment gave them.

    Memory is the sum of the segments' bytes: a 25-step segment of 64x64x3 takes 0.31 MB, or less
    than half of it beyond `PLAIN_BYTES`.
    """

    def __init__(self, length: int, plain_bytes: int = PLAIN_BYTES) -> None:
        """Make an empty store.

        Args:
            length: most steps of a segment.
            plain_bytes: how many bytes of images are not compressed.
        """
        self.length = length
        self._plain_bytes = plain_bytes
        self._plain = 0
        self._segments: dict[int, StoredSegment] = {}

    def __len__(self) -> int:
        return len(self._segments)

    def __contains__(self, key: int) -> bool:
        return key in self._segments

    def __getitem__(self, key: int) -> StoredSegment:
        return self._segments[key]

    @property
    def nbytes(self) -> int:
        """Bytes of all observations and actions."""
        return sum(segment.nbytes for segment in self._segments.values())

    def add(
        self,
        key: int,
        observations: NDArray[Any],
        actions: NDArray[Any],
        episode: str,
        *,
        copy: bool = True,
    ) -> None:
        """Keep a segment's real steps; a key that is there already stays as it is.

        Args:
            key: the segment's row id.
            observations: (steps, ...) with 1 <= steps <= length, without padding.
            actions: (steps, ...).
            episode: name of its episode.
            copy: False keeps views, where many segments overlap in arrays that stay anyway.
        """
        if key in self._segments:
            return
        assert 1 <= len(observations) <= self.length, (len(observations), self.length)
        assert len(actions) == len(observations), (len(actions), len(observations))
        kept: NDArray[Any] | bytes = observations
        if copy:  # a view would keep the whole rollout in memory
            kept, actions = self._owned(observations), actions.copy()
        self._segments[key] = StoredSegment(actions, episode, observations.shape, kept)

    def _owned(self, observations: NDArray[Any]) -> NDArray[Any] | bytes:
        """A copy; of images a compressed one, once there are many."""
        if observations.dtype == np.uint8 and observations.ndim > 2:
            if self._plain + observations.nbytes > self._plain_bytes:
                return zlib.compress(observations.tobytes(), level=1)
            self._plain += observations.nbytes
        return observations.copy()

    def keep(self, keys: Collection[int]) -> None:
        """Drop every segment but these; for buffers of the newest labels only."""
        wanted = set(keys)
        self._segments = {key: s for key, s in self._segments.items() if key in wanted}
        held = (segment.kept for segment in self._segments.values())
        self._plain = sum(one.nbytes for one in held if not isinstance(one, bytes))

    def frames(self, keys: Sequence[int]) -> Frames:
        """What segments show, each segment once however often it is named."""
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        batch = self.batch(list(places))
        first = self.length * np.array([places[key] for key in keys], dtype=np.int64)
        return Frames(
            observations=batch.observations.reshape(-1, *batch.observations.shape[2:]),
            actions=batch.actions.reshape(-1, *batch.actions.shape[2:]),
            places=first[:, None] + np.arange(self.length),
            valid=batch.valid[first // self.length],
        )

    def batch(self, keys: Sequence[int]) -> Batch:
        """Segments side by side, short ones padded by repeating their last step."""
        segments = [self._segments[key] for key in keys]
        steps = np.array([segment.steps for segment in segments])
        return Batch(
            observations=_padded([s.observations for s in segments], self.length),
            actions=_padded([s.actions for s in segments], self.length),
            valid=np.arange(self.length) < steps[:, None],
        )


class WindowStore(SegmentStore):
    """Segments that are windows of long arrays: frames that several of them show are held once.

    `frames` names each once as well, so that a network sees it once per batch.
    """

    def __init__(
        self,
        length: int,
        observations: NDArray[Any],
        actions: NDArray[Any],
        times: NDArray[np.int64],
    ) -> None:
        """Cut windows of at most `length` frames from (steps, ...) arrays.

        `times` are steps since the episode began.
        """
        super().__init__(length)
        self._observations = observations
        self._actions = actions
        self._times = times
        self._windows: dict[int, range] = {}

    def add_window(self, key: int, steps: range, episode: str) -> None:
        """Keep the frames of some steps as a segment; no copy is made."""
        window = slice(steps.start, steps.stop, steps.step)
        shown, done = self._observations[window], self._actions[window]
        self.add(key, shown, done, episode, copy=False)
        self._windows[key] = steps

    def frames(self, keys: Sequence[int]) -> Frames:
        """What windows show, each frame once however many of them show it."""
        own = [np.array(self._windows[key], dtype=np.int64) for key in keys]
        valid = np.arange(self.length) < np.array([len(steps) for steps in own])[:, None]
        distinct, places = np.unique(_padded(own, self.length), return_inverse=True)
        return Frames(
            observations=self._observations[distinct],
            actions=self._actions[distinct],
            places=places.reshape(valid.shape),
            valid=valid,
            times=self._times[distinct],
        )


@dataclass(frozen=True)
class Frames:
    """Frames, and where each step of some segments is among them.

    Attributes:
        observations: (frames, ...).
        actions: (frames, ...).
        places: (n, L) index of each step's frame; padded steps are their segment's last.
        valid: (n, L) bool; padded steps are False and worth 0.
        times: (frames,) steps since each frame's episode began; None = unknown.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    places: NDArray[np.int64]
    valid: NDArray[np.bool_]
    times: NDArray[np.int64] | None = None

    def apart(self) -> Frames:
        """The same with a frame for every step, segment by segment."""
        flat = self.places.reshape(-1)
        return Frames(
            observations=self.observations[flat],
            actions=self.actions[flat],
            places=np.arange(len(flat)).reshape(self.places.shape),
            valid=self.valid,
            times=None if self.times is None else self.times[flat],
        )


@dataclass(frozen=True)
class Batch:
    """Segments of one length.

    Attributes:
        observations: (n, L, ...).
        actions: (n, L, ...).
        valid: (n, L) bool; padded steps are False and worth 0.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledPairs:
    """Answers as targets.

    Attributes:
        store: the segments.
        keys: (S,) keys of the segments that occur, in order of first use.
        pairs: (P, 2) indices into `keys`.
        targets: (P,) float32 in [0, 1]: 1 = first is better, 0.5 = tie.
        teachers: (P,) ids of who answered.
        ids: (P,) row ids of the answers, increasing.
        uniform: (P,) True where the pair was drawn uniformly.
        episodes: (S,) name of each segment's episode.
        groups: (P,) pairs of one group share frames and go into one batch; None = no such thing.
    """

    store: SegmentStore
    keys: tuple[int, ...]
    pairs: NDArray[np.int64]
    targets: NDArray[np.float32]
    teachers: NDArray[np.int64]
    ids: NDArray[np.int64]
    uniform: NDArray[np.bool_]
    episodes: tuple[str, ...]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def decided(self) -> NDArray[np.bool_]:
        """(P,) True where one segment was preferred."""
        decided: NDArray[np.bool_] = self.targets != 0.5
        return decided

    @property
    def even(self) -> bool:
        """Whether the two segments of every pair have equally many steps."""
        return not self.uneven_share

    @property
    def uneven_share(self) -> float:
        """Share of the pairs whose two segments have unequally many steps."""
        steps = np.array([self.store[key].steps for key in self.keys], dtype=np.int64)
        sides = steps[self.pairs]
        return float((sides[:, 0] != sides[:, 1]).mean()) if len(self) else 0.0

    def newest(self, count: int | None) -> LabelledPairs:
        """The last `count` answers; None = all."""
        if count is None or count >= len(self):
            return self
        return self.select(np.arange(len(self) - count, len(self)))

    def select(self, chosen: NDArray[np.integer[Any]]) -> LabelledPairs:
        """Some of the answers, by their index."""
        some = _assemble(
            self.store,
            [(self.keys[a], self.keys[b]) for a, b in self.pairs[chosen]],
            self.targets[chosen],
            self.teachers[chosen],
            self.ids[chosen],
            self.uniform[chosen],
        )
        return some if self.groups is None else replace(some, groups=self.groups[chosen])

    def batch(self, segments: NDArray[np.integer[Any]]) -> Batch:
        """Segments by their index in `keys`."""
        return self.store.batch([self.keys[index] for index in segments])


def effective(rows: Iterable[PreferenceRow]) -> list[PreferenceRow]:
    """Rows that count: neither a withdrawal nor replaced by a later row; by id."""
    ordered = sorted(rows, key=lambda row: row.id)
    replaced = {row.replaces for row in ordered if row.replaces is not None}
    return [row for row in ordered if row.answer != "withdrawn" and row.id not in replaced]


def target(row: PreferenceRow) -> float | None:
    """P(first is better) that a row states; None where it states nothing ("incomparable").

    An answer that was asked for to judge its teacher, or two agents, states nothing either. A
    strength below 1 moves a decided answer towards the tie (0.5), linearly.
    """
    if row.purpose != "ordinary":
        return None
    certain = _TARGETS.get(row.answer)
    if certain is None or row.strength is None:
        return certain
    return 0.5 + (certain - 0.5) * row.strength


def counting(
    rows: Iterable[PreferenceRow], *, newest: int | None = None
) -> list[tuple[PreferenceRow, float]]:
    """Rows that are labels, with P(first is better); the last `newest` of them, None = all."""
    labels = [(row, mu) for row in effective(rows) if (mu := target(row)) is not None]
    return labels if newest is None else labels[-newest:]


def labelled_pairs(
    rows: Iterable[PreferenceRow], store: SegmentStore, *, newest: int | None = None
) -> LabelledPairs:
    """The labels that all rows so far amount to.

    Ties count as 0.5; incomparable pairs, withdrawals and replaced rows count as nothing
    (Christiano 2017, section 2.2.2).

    Args:
        rows: every row of the run, in any order.
        store: must hold the segments of the labels returned.
        newest: only so many of the last labels, as in `reward.buffer`; None = all.
    """
    labels = counting(rows, newest=newest)
    return _assemble(
        store,
        [(row.first, row.second) for row, _ in labels],
        np.array([mu for _, mu in labels], dtype=np.float32),
        np.array([row.teacher for row, _ in labels], dtype=np.int64),
        np.array([row.id for row, _ in labels], dtype=np.int64),
        np.array([row.uniform for row, _ in labels], dtype=np.bool_),
    )


def _padded(parts: list[NDArray[Any]], length: int) -> NDArray[Any]:
    """(n, length, ...) with the last entry of short parts repeated."""
    if all(len(part) == length for part in parts):
        return np.stack(parts)
    whole = np.empty((len(parts), length, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for row, part in zip(whole, parts, strict=True):
        row[: len(part)] = part
        if len(part) < length:
            row[len(part) :] = part[-1]
    return whole


def _assemble(
    store: SegmentStore,
    sides: Sequence[tuple[int, int]],
    targets: NDArray[np.float32],
    teachers: NDArray[np.int64],
    ids: NDArray[np.int64],
    uniform: NDArray[np.bool_],
) -> LabelledPairs:
    """Number the segments that occur and point the pairs at them."""
    places: dict[int, int] = {}
    pairs = [[places.setdefault(key, len(places)) for key in side] for side in sides]
    keys = tuple(places)
    return LabelledPairs(
        store=store,
        keys=keys,
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        targets=targets,
        teachers=teachers,
        ids=ids,
        uniform=uniform,
        episodes=tuple(store[key].episode for key in keys),
    )
