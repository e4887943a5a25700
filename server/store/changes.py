"""Changes of a run's settings while it goes on: recorded, and taken up by its worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from server.errors import Conflict, Invalid
from server.models import Change, Run, RunState
from server.rules import MOST_LABELS, STRATEGIES, Strategy
from server.store import audit


def change(
    s: Session,
    *,
    run: Run,
    label_budget: int | None,
    strategy: Strategy | None,
    person_id: int | None,
    now: datetime,
) -> Change | None:
    """Record what is to be different from the next iteration on; None if nothing is.

    People are given pairs by the new budget at once.

    Raises:
        Conflict: the run is finished, learns from the true reward and asks nothing, or has a
            config that the strategy does not go with.
        Invalid: a budget or strategy that cannot be.
    """
    if run.state is RunState.FINISHED:
        raise Conflict("the run is finished; start a new one with other settings")
    if not asks(run):
        raise Conflict("this run learns from the true reward and asks nothing")
    if label_budget is not None and not 1 <= label_budget <= MOST_LABELS:
        raise Invalid(f"the label budget must be between 1 and {MOST_LABELS:,}")
    if strategy is not None and strategy not in STRATEGIES:
        raise Invalid(f"the strategy must be one of {', '.join(STRATEGIES)}")
    budget = None if label_budget == run.label_budget else label_budget
    chosen = None if strategy == strategy_of(s, run=run) else strategy
    if budget is None and chosen is None:
        return None
    if chosen not in (None, "uniform") and run.config.get("queries", {}).get("uniform_share") == 0:
        raise Conflict(
            "this run asks no pairs uniformly (queries.uniform_share is 0), so its reward model "
            f"would be judged on pairs chosen by itself under {chosen}; keep uniform"
        )
    row = Change(
        run_id=run.id,
        label_budget=budget,
        strategy=chosen,
        person_id=person_id,
        created_at=now,
    )
    s.add(row)
    if budget is not None:
        run.label_budget = budget
    audit.note(s, person_id=person_id, action="change", subject=f"{run.name}: {told(row)}", now=now)
    s.flush()
    return row


def asks(run: Run) -> bool:
    """Whether a run learns from answers."""
    return bool(run.config.get("agent", {}).get("reward", "learned") == "learned")


def told(row: Change) -> str:
    """A change in a few words."""
    parts = []
    if row.label_budget is not None:
        parts.append(f"label budget {row.label_budget:,}")
    if row.strategy is not None:
        parts.append(f"strategy {row.strategy}")
    return ", ".join(parts)


def list_changes(s: Session, *, run_id: int) -> Sequence[Change]:
    """A run's changes, oldest first."""
    return s.scalars(select(Change).where(Change.run_id == run_id).order_by(Change.id)).all()


def strategy_of(s: Session, *, run: Run) -> str:
    """How pairs are chosen, by the newest change."""
    newest = s.scalar(
        select(Change.strategy)
        .where(Change.run_id == run.id, Change.strategy.is_not(None))
        .order_by(Change.id.desc())
        .limit(1)
    )
    return newest or run.config.get("queries", {}).get("strategy", "disagreement")


def taken_up(s: Session, *, ids: Sequence[int], iteration: int, now: datetime) -> None:
    """Note which iteration was the first to go by some changes."""
    s.execute(
        update(Change)
        .where(Change.id.in_(ids), Change.iteration.is_(None))
        .values(iteration=iteration, taken_at=now)
    )
