"""The worker: leases a run, keeps its heartbeat, obeys commands, trains until the run ends.

Any number of workers, on any hosts, share one database. `clipwise work` runs one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

import structlog

from learner.control import Control, Stopped
from learner.errors import LearnerError
from learner.loop import Outcome, Progress, TrainingLoop
from learner.records import CommandKind, LeaseLost, RecordsError, RunRecords, RunState, Workplace
from learner.renderer import render_video, rendering
from learner.result import write_result

HEARTBEAT_SECONDS = 2.0
IDLE_SECONDS = 1.0
FAILED_SECONDS = 5.0
"""Between a failure of the database and the next try."""

LOST = "another worker has taken the run over"

log = structlog.get_logger()


def worker_name() -> str:
    """Names this process: host and process id."""
    return f"{socket.gethostname()}-{os.getpid()}"


def work(
    workplace: Workplace,
    first: str | None = None,
    report: Callable[[str, Progress], None] = lambda _run, _progress: None,
) -> NoReturn:
    """Lease runs and train them, one after the other, until interrupted.

    Args:
        workplace: where the runs are.
        first: name of a run to begin with, if it is free and wants to go on.
        report: told of every finished iteration, and of which run.
    """
    name = worker_name()
    while True:
        try:
            records = (workplace.lease_waiting(name, first) if first else None) or workplace.lease(
                name
            )
            first = None
            note_alive(workplace)
            if records is None:
                time.sleep(IDLE_SECONDS)
                continue
            with structlog.contextvars.bound_contextvars(run=records.name, run_id=records.run_id):
                log.info("run leased", worker=name)
                train(records, partial(report, records.name))
        except LearnerError as error:
            log.error("run cannot go on", reason=str(error))
        except RecordsError as error:
            log.error("the database or the artifacts fail; trying again", reason=str(error))
            time.sleep(FAILED_SECONDS)


def note_alive(workplace: Workplace) -> None:
    """Touch the file by which others see that this worker is alive, where one is set."""
    if (file := workplace.settings.alive_file) is not None:
        file.touch()


def train(
    records: RunRecords,
    report: Callable[[Progress], None] = lambda _: None,
    *,
    interrupted: RunState = RunState.WAITING,
) -> Outcome | None:
    """Train one leased run to its end.

    Args:
        records: the run, leased by this process.
        report: told of every finished iteration.
        interrupted: the state in which the run is left if this process is told to end.

    Returns:
        What the run came to, or None if it was stopped or taken over.

    Raises:
        LearnerError: the run cannot go on; its page says why, its last checkpoint stays.
    """
    control = Control()
    try:
        with Heartbeat(records, control), rendering(records):
            loop = TrainingLoop(records, control, report)
            outcome = loop.run()
            # Before the run is called finished: what cannot be written is tried again.
            write_result(records.folder, records.name, loop.config, outcome)
            render_video(records)  # of the last agent: nobody renders for a run that has ended
        records.set_state(RunState.FINISHED)
        return outcome
    except (Stopped, LeaseLost) as left:
        log.info("run left", run=records.name, reason=str(left))
        return None
    except LearnerError as error:
        # Somebody can mend it and press resume; nothing stored is overwritten meanwhile.
        _leave(records, RunState.PAUSED if error.resumable else RunState.FAILED, str(error))
        raise
    except RecordsError as error:
        # A full disk, say; if even this cannot be stored, the lease runs out by itself.
        _leave(records, RunState.PAUSED, str(error))
        raise
    except Exception as error:
        # The boundary of the learner's process: recorded for people, then raised for the log.
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"
        _leave(records, RunState.FAILED, f"{place}; the worker's log says more")
        raise
    finally:
        records.release(interrupted)


def _leave(records: RunRecords, state: RunState, reason: str) -> None:
    """Say why the run rests, unless it is another worker's by now."""
    with suppress(LeaseLost):
        records.set_state(state, reason)


class Heartbeat:
    """A thread that says "alive" every two seconds and hands commands to the loop."""

    def __init__(self, records: RunRecords, control: Control) -> None:
        self._records = records
        self._control = control
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._obey(self._records.heartbeat(self._control.activity))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_SECONDS):
                self._obey(self._records.heartbeat(self._control.activity))
                note_alive(self._records.workplace)
        except Exception as error:
            # The boundary of the thread. Without a heartbeat another worker will take the run,
            # so whatever the reason, this one must not train on.
            log.error("heartbeat lost", run=self._records.name, reason=str(error))
            self._control.stop(str(error))

    def _obey(self, commands: list[CommandKind] | None) -> None:
        if commands is None:
            self._control.stop(LOST)
            return
        for command in commands:
            _OBEY[command](self._records, self._control)


def _pause(records: RunRecords, control: Control) -> None:
    records.set_state(RunState.PAUSED)
    control.pause()


def _resume(records: RunRecords, control: Control) -> None:
    records.set_state(RunState.RUNNING)
    control.resume()


def _stop(records: RunRecords, control: Control) -> None:
    records.set_state(RunState.STOPPED)
    control.stop("stopped on request")


_OBEY: dict[CommandKind, Callable[[RunRecords, Control], None]] = {
    CommandKind.PAUSE: _pause,
    CommandKind.RESUME: _resume,
    CommandKind.STOP: _stop,
}
