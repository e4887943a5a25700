"""Runs: made by people, leased by workers, steered by commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import Conflict, LeaseLost, NotFound
from server.models import Command, CommandKind, Preference, Run, RunState
from server.store.preferences import given

ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED})
"""States in which no pairs are given out and no alarm holds; a paused run is labelled on."""

_LEASABLE = (RunState.WAITING, RunState.RUNNING)
# Somebody who names a run wants it to go on.
_LEASABLE_BY_NAME = (*_LEASABLE, RunState.PAUSED, RunState.STOPPED, RunState.FAILED)
_STEERABLE = (*_LEASABLE, RunState.PAUSED)


@dataclass(frozen=True)
class RunSummary:
    """A run as a table shows it.

    Attributes:
        answers: preferences that count.
    """

    run: Run
    answers: int


def create_run(
    s: Session,
    *,
    name: str,
    environment: str,
    config: dict[str, Any],
    seed: int,
    total_steps: int,
    label_budget: int,
    goal: str = "",
    instructions: str = "",
    now: datetime,
) -> Run:
    """Add a run that waits for a worker.

    Raises:
        Conflict: the name is taken.
    """
    run = Run(
        name=name,
        environment=environment,
        config=config,
        seed=seed,
        total_steps=total_steps,
        label_budget=label_budget,
        goal=goal,
        instructions=instructions,
        created_at=now,
    )
    try:
        with s.begin_nested():
            s.add(run)
    except IntegrityError as error:
        raise Conflict(f"there is a run named {name}; choose another name") from error
    return run


def unused_name(s: Session, *, base: str) -> str:
    """`base`, or `base-2`, `base-3`, ... whichever is free first."""
    taken = set(s.scalars(select(Run.name).where(Run.name.startswith(base, autoescape=True))))
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def get_run(s: Session, *, name: str) -> Run:
    """The run of that name.

    Raises:
        NotFound: there is none.
    """
    # PostgreSQL refuses to compare text with a NUL in it.
    run = None if "\0" in name else s.scalar(select(Run).where(Run.name == name))
    if run is None:
        raise NotFound(f"no run named {name[:80]!r}")
    return run


def unfinished_run(s: Session, *, config: dict[str, Any]) -> str | None:
    """Name of the newest run of exactly this config that a worker could go on with."""
    unfinished = Run.state != RunState.FINISHED
    runs = s.scalars(select(Run).where(unfinished).order_by(Run.id.desc()))
    return next((run.name for run in runs if run.config == config), None)


def list_runs(s: Session) -> list[RunSummary]:
    """All runs, newest first."""
    answers = dict(
        s.execute(
            select(Preference.run_id, func.count()).where(given()).group_by(Preference.run_id)
        ).all()
    )
    runs = s.scalars(select(Run).order_by(Run.id.desc()))
    return [RunSummary(run, answers.get(run.id, 0)) for run in runs]


def lease_run(
    s: Session, *, worker: str, now: datetime, seconds: float, run_id: int | None = None
) -> Run | None:
    """Give a worker the oldest run that wants one and has none, or `run_id` only.

    Paused and stopped runs wait for `resume`, and failed ones for whoever mends them; asked for by
    its id, any run goes on that has not finished. A lease that was renewed more than a lease's
    length ahead of now is over: the clock that it goes by was set back.
    """
    wanted = select(Run.id).where(
        Run.state.in_(_LEASABLE if run_id is None else _LEASABLE_BY_NAME),
        or_(
            Run.lease_expires_at.is_(None),
            Run.lease_expires_at < now,
            Run.heartbeat_at > now + timedelta(seconds=seconds),
        ),
    )
    if run_id is not None:
        wanted = wanted.where(Run.id == run_id)
    chosen = wanted.order_by(Run.id).limit(1).with_for_update(skip_locked=True).scalar_subquery()
    return s.scalar(
        update(Run)
        .where(Run.id == chosen)
        .values(
            worker=worker,
            heartbeat_at=now,
            lease_expires_at=now + timedelta(seconds=seconds),
            state=RunState.RUNNING,
            reason="",
        )
        .returning(Run)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


def heartbeat(
    s: Session, *, run_id: int, worker: str, now: datetime, seconds: float, activity: str = ""
) -> bool:
    """Renew a worker's lease and say what it does; False if the run is no longer its own."""
    renewed = s.scalar(
        update(Run)
        .where(Run.id == run_id, Run.worker == worker)
        .values(
            heartbeat_at=now,
            lease_expires_at=now + timedelta(seconds=seconds),
            activity=activity[:100],
        )
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    return renewed is not None


def require_lease(s: Session, *, run_id: int, worker: str) -> None:
    """Hold the run's row until the transaction ends, so that no other worker can take it.

    Raises:
        LeaseLost: the run is no longer this worker's.
    """
    if _locked(s, run_id).worker != worker:
        raise LeaseLost("another worker has taken the run over")


def release_run(
    s: Session, *, run_id: int, worker: str, now: datetime, left: RunState = RunState.WAITING
) -> bool:
    """End a worker's lease; False if it had none.

    A running run is left in the state `left`: it waits for its next worker, or for whoever asks
    for it. Commands that came too late for this worker take effect.
    """
    run = _locked(s, run_id)
    if run.worker != worker:
        return False
    run.worker = None
    run.lease_expires_at = None
    run.activity = ""
    if run.state is RunState.RUNNING:
        run.state = left
    for kind in take_commands(s, run_id=run_id, now=now):
        _apply(run, kind)
    s.flush()
    return True


def update_progress(
    s: Session,
    *,
    run_id: int,
    iteration: int,
    steps: int,
    steps_per_second: float | None,
) -> None:
    """Say how far a run is."""
    s.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(iteration=iteration, steps=steps, steps_per_second=steps_per_second)
    )


def set_state(s: Session, *, run_id: int, state: RunState, reason: str = "") -> None:
    """Say where a run stands, and why in one line."""
    s.execute(update(Run).where(Run.id == run_id).values(state=state, reason=reason[:500]))


def send_command(
    s: Session, *, run_id: int, kind: CommandKind, person_id: int | None, now: datetime
) -> Command:
    """Ask a run's worker to pause, resume or stop; where no worker lives, do it at once.

    Raises:
        NotFound: no such run.
        Conflict: it cannot be done in the state that the run is in.
    """
    run = _locked(s, run_id)
    alive = _is_leased(run, now)
    if not alive:
        take_commands(s, run_id=run_id, now=now)  # what was asked before no longer counts
        if not _apply(run, kind):
            raise Conflict(f"the run is {run.state.value}; it cannot {kind.value}")
    elif run.state not in _STEERABLE:
        raise Conflict(f"the run is {run.state.value}; wait until its worker has let it go")
    command = Command(
        run_id=run_id,
        kind=kind,
        person_id=person_id,
        created_at=now,
        taken_at=None if alive else now,
    )
    s.add(command)
    s.flush()
    return command


def _is_leased(run: Run, now: datetime) -> bool:
    """Whether a worker holds the run, by clocks that have not been set back since."""
    until, since = run.lease_expires_at, run.heartbeat_at
    return until is not None and since is not None and now <= until and since - now <= until - since


def take_commands(s: Session, *, run_id: int, now: datetime) -> list[CommandKind]:
    """Hand over the commands not taken yet, oldest first; nobody else gets them."""
    taken: Sequence[tuple[int, CommandKind]] = s.execute(
        update(Command)
        .where(Command.run_id == run_id, Command.taken_at.is_(None))
        .values(taken_at=now)
        .returning(Command.id, Command.kind)
        .execution_options(synchronize_session=False)
    ).all()
    return [kind for _, kind in sorted(taken)]


def _locked(s: Session, run_id: int) -> Run:
    run = s.scalar(
        select(Run)
        .where(Run.id == run_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if run is None:
        raise NotFound(f"no run {run_id}")
    return run


_APPLICABLE = {
    CommandKind.PAUSE: ((RunState.WAITING, RunState.RUNNING, RunState.PAUSED), RunState.PAUSED),
    CommandKind.STOP: (
        (RunState.WAITING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPED),
        RunState.STOPPED,
    ),
    CommandKind.RESUME: (
        (RunState.WAITING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPED, RunState.FAILED),
        RunState.WAITING,
    ),
}


def _apply(run: Run, kind: CommandKind) -> bool:
    """Change the state of a run without a worker; False where that makes no sense."""
    before, after = _APPLICABLE[kind]
    if run.state not in before:
        return False
    run.state = after
    run.reason = ""
    return True
