"""What labels cost people, and what the reward model expected of each."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Float, case, cast, func, select
from sqlalchemy.orm import Session

from server.economics import Fitted, Judged
from server.models import Preference, Query, RewardModel
from server.store.labels import labels_until
from server.store.preferences import effective, given

PAUSE_SECONDS = 120.0
"""An answer that took longer counts as this long: somebody was away."""

NEWEST = 5000
"""Answers that are looked at, the newest."""


def person_seconds(s: Session, *, run_id: int) -> tuple[int, float]:
    """Answers of people, those that are no labels too, and how long they took, in seconds."""
    at_most: ColumnElement[float] = case(
        (Preference.seconds > PAUSE_SECONDS, PAUSE_SECONDS), else_=Preference.seconds
    )
    count, total = s.execute(
        select(func.count(), func.coalesce(func.sum(cast(at_most, Float)), 0.0)).where(
            Preference.run_id == run_id, Preference.seconds.is_not(None), effective()
        )
    ).one()
    return count, float(total)


def judged(s: Session, *, run_id: int) -> list[Judged]:
    """The newest labels with what the reward model expected when their pairs were asked."""
    rows = s.execute(
        select(Preference.query_id, Query.selection, Preference.answer)
        .join(Query, Query.id == Preference.query_id)
        .where(Preference.run_id == run_id, given())
        .order_by(Preference.id.desc())
        .limit(NEWEST)
    )
    return [
        Judged(query, str(selection.get("strategy", "?")), selection.get("predicted"), answer)
        for query, selection, answer in rows
    ]


def fits(s: Session, *, run_id: int) -> list[Fitted]:
    """A run's reward-model versions on answers that they did not learn from, oldest first.

    Each by the labels given until then: a fit sees only the newest of many (`reward.buffer`). Where
    nobody gives any, as with a ranking, by the preferences that it was fitted to.
    """
    rows = s.execute(
        select(RewardModel.preferences, RewardModel.last_preference_id, RewardModel.metrics)
        .where(RewardModel.run_id == run_id)
        .order_by(RewardModel.version)
    ).all()
    counted = labels_until(s, run_id=run_id, ids=[last or 0 for _, last, _ in rows])
    given_any = any(counted)
    found = []
    for (fitted, _, metrics), given_then in zip(rows, counted, strict=True):
        labels = given_then if given_any else fitted
        accuracy = metrics.get("reward_model/accuracy_heldout")
        decided = metrics.get("reward_model/decided_heldout")
        if accuracy is not None and decided:
            found.append(Fitted(labels, float(accuracy), int(decided)))
    return found
