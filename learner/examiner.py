"""Answers what people ask about trajectories and reward models, of whatever run, beside training.

A process of its own is started when something is asked, and ends when nothing was asked for a
while: it holds environments and reward models, so that the next frame is quick.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import structlog

from learner import inspection
from learner.errors import LearnerError
from learner.keepers import keeping, start_child
from learner.records import (
    CONTENT_LOST,
    Aspect,
    Inspections,
    RecordsError,
    Settings,
    Taken,
    Workplace,
)
from learner.replay import Replay, replay
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import unpack
from learner.saliency import METHODS
from learner.trajectories import Segment, Trajectory

LOOK_SECONDS = 0.2
PAUSE_SECONDS = 2.0
"""Between a failure, of the database or of the process itself, and the next try."""

STAY_SECONDS = 300.0
"""How long the process waits for the next question."""

SCORING_SECONDS = 60.0
"""For what a version makes of a run's segments, the newest first; people wait for it."""

log = structlog.get_logger()


@contextmanager
def examining(workplace: Workplace) -> Iterator[None]:
    """Answer what is asked in a child process while the block runs."""
    with keeping(_keep, workplace, "examiner's keeper"):
        yield


def _keep(workplace: Workplace, ended: threading.Event) -> None:
    """Start the process whenever something is asked and none is there."""
    asked = Inspections(workplace)
    process = None
    while not ended.wait(LOOK_SECONDS):
        if process is not None and process.is_alive():
            continue
        try:
            waiting = asked.are_waiting()
        except RecordsError as error:
            log.error("nothing can be looked at", reason=str(error))
            waiting = False
        if not waiting:
            continue
        if process is not None and process.exitcode != 0 and ended.wait(PAUSE_SECONDS):
            break
        told = (workplace.settings, os.getpid())
        process = start_child(_examine_until_idle, *told, name="examiner")
    if process is not None:
        process.terminate()
        process.join()


def _examine_until_idle(settings: Settings, parent: int) -> None:
    """Answer until nothing was asked for a while, or until terminated or orphaned."""
    workplace = Workplace(settings)
    examiner = Examiner(workplace)
    busy = time.monotonic()
    while os.getppid() == parent and time.monotonic() - busy < STAY_SECONDS:
        try:
            if examiner.examine_next():
                busy = time.monotonic()
            else:
                time.sleep(LOOK_SECONDS / 2)
        except RecordsError as error:
            log.error("nothing can be looked at", reason=str(error))
            time.sleep(PAUSE_SECONDS)
    workplace.close()


class Examiner:
    """Finds out what is asked, one thing after the other; keeps what the next may need."""

    def __init__(self, workplace: Workplace) -> None:
        self._asked = Inspections(workplace)
        self._model = lru_cache(maxsize=4)(self._read_model)
        self._recipe = lru_cache(maxsize=4)(self._read_recipe)

    def examine_next(self, *, quick: bool = False) -> bool:
        """Find out the next thing that is asked.

        Args:
            quick: leave out what takes long.

        Returns:
            Whether there was anything.
        """
        taken = self._asked.take(quick=quick)
        if taken is None:
            return False
        try:
            self._asked.store(taken.id, self._find_out(taken))
        except (LearnerError, *CONTENT_LOST) as error:
            self._asked.refuse(taken.id, str(error))
        except RecordsError:
            raise
        except Exception as error:
            # The boundary of the process: said to whoever asked, then the next question.
            last = traceback.extract_tb(error.__traceback__)[-1]
            log.exception("an inspection failed", inspection=taken.id, run=taken.run)
            place = f"{os.path.basename(last.filename)}:{last.lineno}"
            reason = f"{type(error).__name__} at {place}; the worker's log says more"
            self._asked.refuse(taken.id, reason)
        return True

    def _find_out(self, taken: Taken) -> bytes:
        return _FINDERS[taken.wanted.aspect](self, taken)

    def steps(self, taken: Taken) -> bytes:
        """True rewards and ends."""
        return inspection.describe_steps(self._asked.trajectory(taken.wanted.subject))

    def film(self, taken: Taken) -> bytes:
        """The video for people."""
        return inspection.film(self._asked.trajectory(taken.wanted.subject))

    def agent_view(self, taken: Taken) -> bytes:
        """The video in the agent's view."""
        return inspection.agent_film(self._asked.trajectory(taken.wanted.subject))

    def rewards(self, taken: Taken) -> bytes:
        """Each member's reward, step by step."""
        trajectory, played = self._recipe(taken.wanted.subject)
        return inspection.describe_rewards(trajectory, played, self._model_of(taken))

    def saliency(self, taken: Taken) -> bytes:
        """Where in one frame its reward comes from."""
        wanted = taken.wanted
        trajectory, played = self._recipe(wanted.subject)
        method = next(one for one in METHODS if one == wanted.method)
        return inspection.describe_saliency(
            trajectory, played, self._model_of(taken), method, wanted.step
        )

    def segments(self, taken: Taken) -> bytes:
        """Scores of the run's segments, as many as there is time for; others are let in between.

        Those scored when it was asked before are not scored again.
        """
        recipes = self._asked.segments(taken.wanted.run_id)
        scores = inspection.SegmentScores(self._model_of(taken), self._earlier(taken))
        until = time.monotonic() + SCORING_SECONDS
        for recipe in recipes:
            if recipe.segment_id in scores:
                continue
            if time.monotonic() > until:
                break
            try:
                trajectory = self._asked.trajectory(recipe.artifact)
                segment = Segment(trajectory, recipe.start, recipe.length)
                scores.add(recipe.segment_id, segment, replay(trajectory))
            except (LearnerError, *CONTENT_LOST) as error:
                log.error(
                    "a segment cannot be scored", segment=recipe.segment_id, reason=str(error)
                )
            until += self._let_others_in(taken)
        return scores.describe(of=len(recipes))

    def _earlier(self, taken: Taken) -> bytes | None:
        """What was found before, unless it is lost."""
        if taken.earlier is None:
            return None
        try:
            return self._asked.content(taken.earlier)
        except CONTENT_LOST:
            return None

    def _let_others_in(self, taken: Taken) -> float:
        """Answer what is quick; the seconds that it took are not counted."""
        began = time.monotonic()
        if not self.examine_next(quick=True):
            return 0.0
        self._asked.go_on(taken.id)
        return time.monotonic() - began

    def _model_of(self, taken: Taken) -> RewardEnsemble:
        if taken.model is None:
            raise LearnerError(f"run {taken.run} has no reward model v{taken.wanted.version}")
        return self._model(taken.model)

    def _read_model(self, artifact: str) -> RewardEnsemble:
        return unpack(self._asked.content(artifact))

    def _read_recipe(self, artifact: str) -> tuple[Trajectory, Replay]:
        trajectory = self._asked.trajectory(artifact)
        return trajectory, replay(trajectory)


_FINDERS: dict[Aspect, Callable[[Examiner, Taken], bytes]] = {
    Aspect.STEPS: Examiner.steps,
    Aspect.FILM: Examiner.film,
    Aspect.AGENT_VIEW: Examiner.agent_view,
    Aspect.REWARDS: Examiner.rewards,
    Aspect.SALIENCY: Examiner.saliency,
    Aspect.SEGMENTS: Examiner.segments,
}
