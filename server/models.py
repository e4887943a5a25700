"""The tables: the contract between server and learner.

A preference is a row that is never changed; large data stays in the artifact store, rows hold
its name (SHA-256 of the content). Times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on both databases (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect, /) -> datetime | None:
        """Refuse naive datetimes; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime; use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect, /) -> datetime | None:
        """Return an aware UTC datetime."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Common base; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
    }


def _enum(kind: type[StrEnum]) -> Enum:
    """Stored as the value's text, checked by the application (no database enum to migrate)."""
    return Enum(
        kind,
        native_enum=False,
        length=20,
        values_callable=lambda members: [m.value for m in members],
    )


class RunState(StrEnum):
    """Where a run stands.

    waiting: no worker has taken it yet. paused and stopped keep the last checkpoint;
    both go on after `resume`. failed says why in `Run.reason`.
    """

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


class Role(StrEnum):
    """What a person may do (label; see and steer runs; accounts), and what those before may."""

    ANNOTATOR = "annotator"
    RESEARCHER = "researcher"
    ADMIN = "admin"


class CommandKind(StrEnum):
    """What people can ask of a run."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class TeacherKind(StrEnum):
    """Who answers."""

    PERSON = "person"
    SYNTHETIC = "synthetic"
    RANKING = "ranking"
    DEMONSTRATION = "demonstration"


class QueryState(StrEnum):
    """pending: clips are being rendered; set_aside: a clip is missing, or it was skipped."""

    PENDING = "pending"
    OPEN = "open"
    CLOSED = "closed"
    SET_ASIDE = "set_aside"


class Answer(StrEnum):
    """a and b are the query's segments, whatever side they were shown on.

    withdrawn is the row that an undo adds; it names the answer it takes back.
    """

    A = "a"
    B = "b"
    TIE = "tie"
    INCOMPARABLE = "incomparable"
    WITHDRAWN = "withdrawn"


class Purpose(StrEnum):
    """Why a pair was given to somebody; only ordinary answers are labels.

    gold: its answer is known; repeat: this person answered it before; practice: with feedback;
    trial: one clip is of an older agent than the other, and nobody is told which.
    """

    ORDINARY = "ordinary"
    GOLD = "gold"
    REPEAT = "repeat"
    PRACTICE = "practice"
    TRIAL = "trial"


class Strength(StrEnum):
    """How much better, where a run asks for it."""

    BETTER = "better"
    MUCH_BETTER = "much_better"


class Run(Base):
    """One experiment: environment, config, seed, everything learned in it."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    environment: Mapped[str] = mapped_column(String(100))
    config: Mapped[dict[str, Any]]
    seed: Mapped[int]
    goal: Mapped[str] = mapped_column(String(200), default="")
    instructions: Mapped[str] = mapped_column(default="")
    state: Mapped[RunState] = mapped_column(_enum(RunState), default=RunState.WAITING)
    reason: Mapped[str] = mapped_column(String(500), default="")
    """One line for people: why it waits, paused or failed; empty while all is well."""
    activity: Mapped[str] = mapped_column(String(100), default="")
    """What the worker is doing: collecting, fitting, improving, evaluating, awaiting answers."""
    iteration: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(BigInteger, default=0)
    total_steps: Mapped[int] = mapped_column(BigInteger)
    steps_per_second: Mapped[float | None]
    label_budget: Mapped[int]
    worker: Mapped[str | None] = mapped_column(String(100))
    heartbeat_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Command(Base):
    """A request to a run's worker: pause, resume or stop."""

    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    kind: Mapped[CommandKind] = mapped_column(_enum(CommandKind))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]


class Change(Base):
    """A setting changed while the run goes on; its worker takes it up at its next iteration."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    label_budget: Mapped[int | None]
    strategy: Mapped[str | None] = mapped_column(String(20))
    """How pairs are chosen from now on; of the two, what is None stays as it is."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    iteration: Mapped[int | None]
    """The first iteration that went by it; stored with it, so a repeated one does so as well."""
    taken_at: Mapped[datetime | None]


class Alarm(Base):
    """Something about a run that does not look right: what, since when, where the evidence is."""

    __tablename__ = "alarms"
    __table_args__ = (Index("ix_alarms_run_id_cleared_at", "run_id", "cleared_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(String(500))
    evidence: Mapped[str] = mapped_column(String(100))
    """Where to look: a chart of the run's page by its key, or one of the run's pages."""
    step: Mapped[int] = mapped_column(BigInteger)
    iteration: Mapped[int]
    seen_iteration: Mapped[int]
    """The last iteration in which it held."""
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class Person(Base):
    """Somebody with an account; in local mode there is one, named `local`."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[Role] = mapped_column(_enum(Role), default=Role.ANNOTATOR)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """argon2id; None: nobody can log in under this name."""
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Teacher(Base):
    """Whoever answers: a person, a synthetic teacher, a ranking, or demonstrations."""

    __tablename__ = "teachers"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[TeacherKind] = mapped_column(_enum(TeacherKind))
    name: Mapped[str] = mapped_column(String(120))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"), unique=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"), index=True)
    """The run a synthetic teacher or ranking belongs to; a person's teacher belongs to none."""
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Trajectory(Base):
    """One episode, or part of one, stored as a recipe in the artifact store."""

    __tablename__ = "trajectories"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    artifact: Mapped[str] = mapped_column(String(64))
    episode: Mapped[str] = mapped_column(String(80))
    level: Mapped[int] = mapped_column(BigInteger)
    policy_step: Mapped[int] = mapped_column(BigInteger)
    steps: Mapped[int]
    true_return: Mapped[float]
    created_at: Mapped[datetime]


class Segment(Base):
    """A window of a trajectory; what is compared. Its clip is the video for people."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    trajectory_id: Mapped[int] = mapped_column(ForeignKey("trajectories.id"), index=True)
    start: Mapped[int]
    length: Mapped[int]
    true_return: Mapped[float]
    clip: Mapped[str | None] = mapped_column(String(64))
    """Artifact of the rendered MP4; None until it is made."""
    agent_clip: Mapped[str | None] = mapped_column(String(64))
    """The same in the agent's view; empty where the agent sees no picture."""
    agent_clip_wanted: Mapped[bool] = mapped_column(default=False)
    """Somebody asked for the agent's view; it is not made for every segment."""


class Query(Base):
    """Two segments, a and b, put to one or more teachers."""

    __tablename__ = "queries"
    __table_args__ = (
        Index("ix_queries_run_id_state_priority", "run_id", "state", "priority"),
        Index(
            "ix_queries_run_id_gold",
            "run_id",
            sqlite_where=text("gold IS NOT NULL"),
            postgresql_where=text("gold IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    segment_a_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    segment_b_id: Mapped[int] = mapped_column(ForeignKey("segments.id"))
    state: Mapped[QueryState] = mapped_column(_enum(QueryState), default=QueryState.PENDING)
    iteration: Mapped[int]
    """The iteration that asked it; newer pairs are shown first."""
    priority: Mapped[float] = mapped_column(default=0.0)
    answers_wanted: Mapped[int] = mapped_column(default=1)
    answers_limit: Mapped[int] = mapped_column(default=1)
    """`answers_wanted` is raised up to this while people differ."""
    gold: Mapped[Answer | None] = mapped_column(_enum(Answer))
    """The known answer. A gold pair is shown to see how people answer, not to learn from it."""
    trial_id: Mapped[int | None] = mapped_column(ForeignKey("trials.id"), index=True)
    """The trial that it is part of; such a pair is nobody's label."""
    selection: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Strategy, score and whether uniform selection would have asked it too."""
    created_at: Mapped[datetime]


class Trial(Base):
    """Two checkpoints' agents on the same levels, to be compared without knowing which is newer.

    Its queries have the newer one's clip as segment a; sides are drawn as for any pair.
    """

    __tablename__ = "trials"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    older_steps: Mapped[int] = mapped_column(BigInteger)
    newer_steps: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class Assignment(Base):
    """A query given to one person: which side a is on, and until when it is theirs."""

    __tablename__ = "assignments"
    __table_args__ = (  # both columns, or SQLite reads all that a person ever held
        Index("ix_assignments_query_id_open", "query_id", "closed_at", "expires_at"),
        Index("ix_assignments_query_id_person_id", "query_id", "person_id"),
        Index(
            "uq_assignments_open_query_id_person_id",
            "query_id",
            "person_id",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    query_id: Mapped[int] = mapped_column(ForeignKey("queries.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    purpose: Mapped[Purpose] = mapped_column(_enum(Purpose), default=Purpose.ORDINARY)
    a_on_left: Mapped[bool]
    leased_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    """When it was answered or given back; an open one holds its slot until it expires."""
    skipped: Mapped[bool] = mapped_column(default=False)
    """Given back by somebody who did not want to answer it."""


class Preference(Base):
    """One answer to a query. Never changed: undo and correction are new rows."""

    __tablename__ = "preferences"
    __table_args__ = (
        UniqueConstraint("teacher_id", "submission_key"),
        Index("ix_preferences_run_id_id", "run_id", "id"),
        Index("ix_preferences_query_id_teacher_id", "query_id", "teacher_id"),
        Index("ix_preferences_teacher_id_run_id_id", "teacher_id", "run_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    query_id: Mapped[int] = mapped_column(ForeignKey("queries.id"))
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teachers.id"))
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignments.id"), index=True)
    purpose: Mapped[Purpose] = mapped_column(_enum(Purpose), default=Purpose.ORDINARY)
    answer: Mapped[Answer] = mapped_column(_enum(Answer))
    strength: Mapped[Strength | None] = mapped_column(_enum(Strength))
    """How much better, as said; None for other answers, and where the run does not ask."""
    flagged: Mapped[bool] = mapped_column(default=False)
    comment: Mapped[str] = mapped_column(String(2000), default="")
    a_on_left: Mapped[bool | None]
    """The side as shown; None for teachers that saw no sides."""
    seconds: Mapped[float | None]
    """From the pair's first playing to the answer, as the browser measured it."""
    late: Mapped[bool] = mapped_column(default=False)
    """Answered after the lease had expired; kept all the same."""
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("preferences.id"), unique=True)
    submission_key: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]


class RewardModel(Base):
    """A numbered version of a run's reward model: every fit that the agent uses."""

    __tablename__ = "reward_models"
    __table_args__ = (UniqueConstraint("run_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    version: Mapped[int]
    artifact: Mapped[str] = mapped_column(String(64))
    iteration: Mapped[int]
    steps: Mapped[int] = mapped_column(BigInteger)
    preferences: Mapped[int]
    """How many preferences it was fitted to."""
    last_preference_id: Mapped[int | None]
    """The newest preference it has seen."""
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Checkpoint(Base):
    """Everything needed to go on from an iteration exactly as if nothing had stopped."""

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("run_id", "iteration"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    iteration: Mapped[int]
    steps: Mapped[int] = mapped_column(BigInteger)
    artifact: Mapped[str] = mapped_column(String(64))
    kept: Mapped[bool] = mapped_column(default=False)
    """Kept for evaluation and videos; others give way to the next one."""
    showing: Mapped[str | None] = mapped_column(String(64))
    """Artifact of an episode of this agent, as a recipe: what its video shows."""
    video: Mapped[str | None] = mapped_column(String(64))
    """Artifact of a video of this agent; None until it is made."""
    created_at: Mapped[datetime]


class Metric(Base):
    """One figure at one step, under SB3's names plus preferences/* and reward_model/*."""

    __tablename__ = "metrics"
    # Stored in the order of the key: a curve is one stretch of the file, not a row here and there.
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float]
    created_at: Mapped[datetime]
