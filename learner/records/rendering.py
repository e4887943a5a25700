"""Clips and videos, made off the training path."""

from __future__ import annotations

from learner.records.leased import Leased
from learner.trajectories import Trajectory
from server.store import trajectories, versions


class Rendering(Leased):
    """What is to be rendered of a run, and where it is put."""

    def segments_without_clip(self, limit: int) -> list[int]:
        """Ids of the segments that people wait to see, in the order of the queue."""
        with self._database.read() as s:
            found = trajectories.segments_without_clip(s, run_id=self.run_id, limit=limit)
            return [one.segment_id for one in found]

    def store_clip(self, segment_id: int, video: bytes) -> None:
        """Store a rendered clip; a pair whose two clips are there opens."""
        name = self._artifacts.put(video)
        with self._database.write() as s:
            trajectories.set_clip(s, segment_id=segment_id, clip=name)

    def agent_clips_wanted(self, limit: int) -> list[int]:
        """Ids of the segments that somebody wants to see as the agent does."""
        with self._database.read() as s:
            found = trajectories.agent_clips_wanted(s, run_id=self.run_id, limit=limit)
            return [one.segment_id for one in found]

    def store_agent_clip(self, segment_id: int, video: bytes | None) -> None:
        """Store a segment's clip in the agent's view; None: there is nothing to be seen."""
        name = self._artifacts.put(video) if video else ""
        with self._database.write() as s:
            trajectories.set_agent_clip(s, segment_id=segment_id, clip=name)

    def clip_failed(self, segment_id: int) -> None:
        """Set the pairs of a segment that cannot be rendered aside."""
        with self._database.write() as s:
            trajectories.clip_failed(s, segment_id=segment_id)

    def checkpoint_without_video(self) -> tuple[int, str] | None:
        """The newest kept checkpoint whose video is still to be made; its id and what it shows."""
        with self._database.read() as s:
            row = versions.next_without_video(s, run_id=self.run_id)
        return None if row is None or row.showing is None else (row.id, row.showing)

    def showing(self, artifact: str) -> Trajectory:
        """What a checkpoint's video is to show."""
        return Trajectory.from_bytes(self._artifacts.get(artifact))

    def store_video(self, checkpoint_id: int, video: bytes | None) -> None:
        """Store the video of a checkpoint's agent; None: there is nothing to be seen."""
        name = self._artifacts.put(video) if video else ""
        with self._database.write() as s:
            versions.set_video(s, checkpoint_id=checkpoint_id, video=name)
