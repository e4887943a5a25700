"""Which metrics a run's page draws, in which charts, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One metric in a chart. Styles differ in colour and in dashes: main, second, third."""

    name: str
    label: str
    style: str = "main"
    smooth: bool = True
    band: tuple[str, str] | None = None
    """Metrics of the lower and upper end of its interval."""


@dataclass(frozen=True)
class Baseline:
    """A level that a line is read against, drawn dashed and named at its end."""

    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One picture: lines of the same unit over the run's steps."""

    key: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    empty: str
    """What to say while there is nothing to draw."""
    format: str = "number"
    """number, percent (of 0 to 1) or count."""
    best: str | None = "max"
    """max, min, or None where neither end is better."""
    range: tuple[float, float] | None = None
    baselines: tuple[Baseline, ...] = ()
    small: bool = False

    @property
    def names(self) -> list[str]:
        """The metrics it needs: its lines, then the ends of their intervals."""
        lines = [line.name for line in self.lines]
        return lines + [name for line in self.lines for name in line.band or ()]

    @property
    def script(self) -> dict[str, Any]:
        """What the browser needs to draw it."""
        kept = ("lines", "baselines", "format", "best", "range")
        return {key: value for key, value in asdict(self).items() if key in kept}


UNSEEN_INTERVAL = ("evaluation/return_test_low", "evaluation/return_test_high")

RETURNS = Chart(
    key="return",
    title="Return per episode",
    unit="true reward",
    lines=(
        Line("evaluation/return_test", "unseen levels", smooth=False, band=UNSEEN_INTERVAL),
        Line("evaluation/return_train", "training levels", "second", smooth=False),
        Line("rollout/ep_rew_mean", "while training", "third"),
    ),
    empty="The first finished episodes will show here.",
)

ACCURACY = Chart(
    key="accuracy",
    title="Reward model: pairs judged right",
    unit="share of decided pairs",
    lines=(
        Line("reward_model/accuracy_heldout", "held-out answers"),
        Line("reward_model/accuracy_fresh", "fresh pairs, by true reward", "third"),
        Line("reward_model/clock_accuracy_fresh", "a clock, on the fresh pairs", "second"),
    ),
    empty="Shows after the first fit; that needs a few answers.",
    format="percent",
    range=(0.0, 1.0),
    baselines=(Baseline(0.5, "chance"),),
)

LABELS = Chart(
    key="labels",
    title="Labels",
    unit="answers used",
    lines=(Line("preferences/total", "labels", smooth=False),),
    empty="No answers yet.",
    format="count",
    best=None,
)

HEALTH = (
    Chart(
        "fps", "Speed", "steps/s", (Line("time/fps", "steps/s"),), "No iteration yet.", small=True
    ),
    Chart(
        "value_loss",
        "Value loss",
        "",
        (Line("train/value_loss", "value loss"),),
        "The agent has not trained yet.",
        best="min",
        small=True,
    ),
    Chart(
        "explained_variance",
        "Explained variance",
        "1 = value is right",
        (Line("train/explained_variance", "explained variance"),),
        "The agent has not trained yet.",
        small=True,
    ),
    Chart(
        "approx_kl",
        "Policy change (KL)",
        "nats",
        (Line("train/approx_kl", "approx. KL"),),
        "The agent has not trained yet.",
        best=None,
        small=True,
    ),
    Chart(
        "clip_fraction",
        "Clipped updates",
        "share",
        (Line("train/clip_fraction", "clipped"),),
        "The agent has not trained yet.",
        format="percent",
        best=None,
        small=True,
    ),
    Chart(
        "entropy",
        "Entropy loss",
        "nats",
        (Line("train/entropy_loss", "entropy loss"),),
        "The agent has not trained yet.",
        best=None,
        small=True,
    ),
)

CHARTS = (RETURNS, ACCURACY, LABELS, *HEALTH)
CHART_NAMES = tuple(dict.fromkeys(name for chart in CHARTS for name in chart.names))
