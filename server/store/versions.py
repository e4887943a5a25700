"""What a run has learned: reward-model versions and checkpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from server.errors import NotFound
from server.models import Checkpoint, RewardModel


def add_reward_model(
    s: Session,
    *,
    run_id: int,
    artifact: str,
    iteration: int,
    steps: int,
    preferences: int,
    last_preference_id: int | None,
    metrics: dict[str, Any],
    now: datetime,
) -> RewardModel:
    """Add the run's next version, counted from 1."""
    newest = s.scalar(select(func.max(RewardModel.version)).where(RewardModel.run_id == run_id))
    model = RewardModel(
        run_id=run_id,
        version=(newest or 0) + 1,
        artifact=artifact,
        iteration=iteration,
        steps=steps,
        preferences=preferences,
        last_preference_id=last_preference_id,
        metrics=metrics,
        created_at=now,
    )
    s.add(model)
    s.flush()
    return model


def list_reward_models(s: Session, *, run_id: int) -> list[RewardModel]:
    """A run's versions, newest first."""
    return list(
        s.scalars(
            select(RewardModel)
            .where(RewardModel.run_id == run_id)
            .order_by(RewardModel.version.desc())
        )
    )


def add_checkpoint(
    s: Session,
    *,
    run_id: int,
    iteration: int,
    steps: int,
    artifact: str,
    kept: bool,
    now: datetime,
) -> tuple[Checkpoint, list[str]]:
    """Add a checkpoint in place of earlier ones that are not kept, and of its own iteration's.

    Returns:
        The checkpoint, and the artifacts that no row names any more; delete them after the commit.
    """
    replaced = list(
        s.scalars(
            delete(Checkpoint)
            .where(
                Checkpoint.run_id == run_id,
                (Checkpoint.kept.is_(False) & (Checkpoint.iteration < iteration))
                | (Checkpoint.iteration == iteration),
            )
            .returning(Checkpoint.artifact)
            .execution_options(synchronize_session=False)
        )
    )
    checkpoint = Checkpoint(
        run_id=run_id,
        iteration=iteration,
        steps=steps,
        artifact=artifact,
        kept=kept,
        created_at=now,
    )
    s.add(checkpoint)
    s.flush()
    named = s.scalars(select(Checkpoint.artifact).where(Checkpoint.artifact.in_(replaced)))
    return checkpoint, sorted(set(replaced) - set(named))


def latest_checkpoint(s: Session, *, run_id: int) -> Checkpoint | None:
    """Where a run goes on from."""
    return s.scalar(
        select(Checkpoint)
        .where(Checkpoint.run_id == run_id)
        .order_by(Checkpoint.iteration.desc())
        .limit(1)
    )


def list_checkpoints(s: Session, *, run_id: int) -> list[Checkpoint]:
    """A run's checkpoints, newest first."""
    return list(
        s.scalars(
            select(Checkpoint)
            .where(Checkpoint.run_id == run_id)
            .order_by(Checkpoint.iteration.desc())
        )
    )


def next_without_video(s: Session, *, run_id: int) -> Checkpoint | None:
    """The newest kept checkpoint that shows an episode but has no video of it yet."""
    return s.scalar(
        select(Checkpoint)
        .where(
            Checkpoint.run_id == run_id,
            Checkpoint.kept,
            Checkpoint.showing.is_not(None),
            Checkpoint.video.is_(None),
        )
        .order_by(Checkpoint.iteration.desc())
        .limit(1)
    )


def set_showing(s: Session, *, checkpoint_id: int, showing: str) -> None:
    """Name an episode of a checkpoint's agent, as a recipe for its video.

    Raises:
        NotFound: the checkpoint has given way to a later one.
    """
    _checkpoint(s, checkpoint_id).showing = showing
    s.flush()


def set_video(s: Session, *, checkpoint_id: int, video: str) -> None:
    """Name the video of a checkpoint's agent.

    Raises:
        NotFound: the checkpoint has given way to a later one.
    """
    _checkpoint(s, checkpoint_id).video = video
    s.flush()


def _checkpoint(s: Session, checkpoint_id: int) -> Checkpoint:
    checkpoint = s.get(Checkpoint, checkpoint_id)
    if checkpoint is None:
        raise NotFound(f"no checkpoint {checkpoint_id}")
    return checkpoint


def get_video(s: Session, *, checkpoint_id: int) -> str:
    """The artifact of the video of a checkpoint's agent.

    Raises:
        NotFound: no such checkpoint, or it has no video.
    """
    video = s.scalar(select(Checkpoint.video).where(Checkpoint.id == checkpoint_id))
    if not video:  # none yet, or it could not be made
        raise NotFound(f"checkpoint {checkpoint_id} has no video")
    return video
