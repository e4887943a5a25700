"""What the JSON API takes and gives; a pair's answer shows nothing of where its clips come from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from server.models import Answer, CommandKind, RunState, Strength
from server.rules import MOST_LABELS, Strategy
from server.store.assignments import Side

MAX_ID = 2**63 - 1
MAX_ROW = 2**31 - 1
"""Ids of rows are 32-bit integers; a larger one would be an error to PostgreSQL."""

RunName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$", description="the run's name", examples=["run"])
]
Id = Annotated[int, Path(ge=1, le=MAX_ROW)]
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,100}$")]
MetricNames = Annotated[
    list[MetricName],
    Query(default_factory=list, max_length=50, description="which figures; none = all"),
]
SubmissionKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{8,80}$",
        description="chosen by the caller, new for each answer; a retry repeats it",
        examples=["0198c2f0-6a52-7cc3-9d5e-0c7a1f1b2a3c"],
    ),
]


def _number(value: Any) -> Any:
    """Refuse what Python, but not JSON, takes for a number: true, and "1"."""
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


NUMBER = BeforeValidator(_number)


class Body(BaseModel):
    """Unknown fields are refused: a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class RunOut(BaseModel):
    """One experiment and where it stands."""

    name: str
    environment: str
    goal: str
    state: RunState
    reason: str = Field(description="why it waits, paused or failed; else empty")
    activity: str = Field(description="what the learner is doing")
    iteration: int
    steps: int
    total_steps: int
    steps_per_second: float | None
    labels: int = Field(description="effective answers, all teachers together")
    label_budget: int
    heartbeat_at: datetime | None
    created_at: datetime


class RunDetail(RunOut):
    """One experiment whole."""

    seed: int
    instructions: str
    config: dict[str, Any]


class CommandIn(Body):
    """What to ask of a run."""

    kind: CommandKind


class SettingsIn(Body):
    """What is to be different from the next iteration on; what is left out stays."""

    label_budget: Annotated[int, Field(ge=1, le=MOST_LABELS), NUMBER] | None = Field(
        None, examples=[800]
    )
    strategy: Strategy | None = Field(None, description="how pairs are chosen")


class SettingsOut(BaseModel):
    """What can be changed while a run goes on."""

    label_budget: int
    strategy: str
    pending: list[str] = Field(description="what the learner has not taken up yet")


class AlarmOut(BaseModel):
    """Something about a run that does not look right."""

    id: int | None = Field(description="none: it ends by itself and cannot be acknowledged")
    kind: str
    text: str
    evidence: str = Field(description="address of the page that shows it")
    step: int
    raised_at: datetime
    acknowledged: bool


class CommandOut(BaseModel):
    """A request that the run's worker will take, or that has taken effect already."""

    run: str
    kind: CommandKind
    state: RunState = Field(description="the run's state now")


class LeaseIn(Body):
    """How many pairs to hold at once."""

    count: Annotated[int, NUMBER] = Field(2, ge=1, le=10, examples=[1])


class AssignmentOut(BaseModel):
    """A pair that is yours until its lease ends."""

    id: int
    left: str = Field(
        description="address of the left clip, MP4", examples=["/media/assignments/17/left.mp4"]
    )
    right: str = Field(
        description="address of the right clip, MP4", examples=["/media/assignments/17/right.mp4"]
    )
    expires_in: float = Field(description="seconds until others may get the pair; renew before")
    earlier: Side | None = Field(description="what you had answered before you took it back")
    earlier_strength: Strength | None = Field(description="and how much better")
    practice: bool = Field(description="not a label: its answer comes back with feedback")


class ProgressOut(BaseModel):
    """One's own progress in a run."""

    today: int = Field(description="answers given since midnight UTC")
    total: int
    median_seconds: float | None = Field(description="per answer")
    left: int = Field(
        description="answers that the run still wants, about: those to checks are counted too"
    )
    newest_preference: int | None = Field(description="the answer that an undo would take back")


class Desk(BaseModel):
    """What lies before a labeller: pairs, progress, and why there is none."""

    assignments: list[AssignmentOut]
    progress: ProgressOut
    waiting: str | None = Field(description="one line for people while there is no pair")
    lease_seconds: int


class RenewOut(BaseModel):
    """The lease goes on."""

    expires_in: float


class AnswerIn(Body):
    """Which clip is better."""

    # A strength goes with left and right only; the store refuses it elsewhere.
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "side": "left",
                    "seconds": 2.5,
                    "submission_key": "0198c2f0-6a52-7cc3-9d5e-0c7a1f1b2a3c",
                }
            ],
            "anyOf": [
                {"properties": {"side": {"enum": ["left", "right"]}}},
                {"properties": {"strength": {"type": "null"}}},
            ],
        }
    )

    side: Side
    strength: Strength | None = Field(None, description="how much better; only where the run asks")
    flagged: StrictBool = Field(False, description="somebody should look at this pair")
    comment: str = Field("", max_length=2000, description="why; a comment flags the pair too")
    seconds: Annotated[float | None, NUMBER] = Field(
        None, ge=0, le=86_400, allow_inf_nan=False, description="from first playing to the answer"
    )
    submission_key: SubmissionKey


class Feedback(BaseModel):
    """How a practice answer compares with the known one."""

    right: bool
    side: Side = Field(description="the known answer")


class PreferenceOut(BaseModel):
    """A stored answer."""

    id: int
    assignment: int | None
    side: Side
    strength: Strength | None
    flagged: bool
    comment: str
    seconds: float | None
    late: bool = Field(description="answered after its lease had ended; kept all the same")
    feedback: Feedback | None = Field(None, description="after a practice pair only")
    prediction: float | None = Field(
        None,
        description="probability that the reward model gave to the left clip being better, "
        "where the run shows it",
    )
    created_at: datetime


class HistoryEntry(PreferenceOut):
    """One of one's own answers, with its pair."""

    left: str = Field(description="address of the left clip, MP4")
    right: str = Field(description="address of the right clip, MP4")


class AgentViewOut(BaseModel):
    """The pair as the agent sees it."""

    state: Literal["ready", "making", "none"] = Field(
        description="making: ask again soon; none: this agent sees no pictures"
    )
    left: str | None = Field(description="address of the left clip, MP4, when ready")
    right: str | None


class GoldIn(Body):
    """What is known of a pair."""

    answer: Literal["a", "b", "tie"] | None = Field(
        description="the query's better segment; null makes it an ordinary pair again"
    )


class GoldOut(BaseModel):
    """A query and what is known of it."""

    query: int
    gold: Answer | None


class LabellerIn(Body):
    """Whether somebody may label a run."""

    paused: StrictBool


class ExclusionIn(Body):
    """Whether somebody's answers count in a run."""

    excluded: StrictBool


class AgreementOut(BaseModel):
    """How far somebody's answers agree with other people's to the same pairs."""

    alpha: float = Field(description="Krippendorff's alpha: 1 = always, 0 = as by chance")
    low: float = Field(description="of the 95 % interval")
    high: float
    answers: int = Field(description="pairs of answers compared")


class LabellerOut(BaseModel):
    """How somebody answers the pairs of a run."""

    person: int
    name: str
    answers: int = Field(description="that count, checks among them, practice not")
    labels: int = Field(description="of these, what the reward model may learn from")
    median_seconds: float | None
    answers_per_minute: float | None = Field(description="pauses left out")
    agreement: float | None = Field(description="share of others' answers that are the same")
    alpha: AgreementOut | None
    gold_right: int = Field(description="right answers to gold pairs since they were let in again")
    gold_given: int
    repeats_same: int = Field(description="the same answer when a pair came again")
    repeats_given: int
    left_share: float | None = Field(description="of decided answers")
    tie_share: float | None
    incomparable_share: float | None
    one_coin: float | None = Field(description="estimated share of right answers: Dawid-Skene")
    crowd_bt: float | None = Field(description="the same: Crowd-BT")
    learned: float | None = Field(description="the same: by the reward model")
    excluded_at: datetime | None = Field(description="since when the answers do not count")
    paused_at: datetime | None


class WithdrawIn(Body):
    """An undo carries a key as well, so that a retry can't undo twice."""

    submission_key: SubmissionKey


class WithdrawOut(BaseModel):
    """The answer taken back, and its pair again."""

    withdrawn: int = Field(description="the answer that no longer counts")
    assignment: AssignmentOut | None = Field(
        description="null if it has been set aside since, or somebody else has it"
    )


class CurveOut(BaseModel):
    """One figure over the run: values[i] is that of steps[i]."""

    steps: list[int]
    values: list[float]


class MetricsOut(BaseModel):
    """Figures by name, thinned with their extremes kept."""

    series: dict[str, CurveOut]
