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

PREDICTED = Chart(
    key="predicted",
    title="Return as the reward model sees it",
    unit="learned reward",
    lines=(
        Line(
            "evaluation/predicted_return_test",
            "unseen levels",
            smooth=False,
            band=("evaluation/predicted_return_test_low", "evaluation/predicted_return_test_high"),
        ),
        Line("evaluation/predicted_return_train", "training levels", "second", smooth=False),
    ),
    empty="Shows at the first evaluation after the first fit.",
    best=None,
)

MAIN = (RETURNS, ACCURACY, PREDICTED)


@dataclass(frozen=True)
class Section:
    """Small charts under one heading."""

    title: str
    charts: tuple[Chart, ...]


def _small(key: str, title: str, unit: str, *lines: Line, empty: str, **more: Any) -> Chart:
    return Chart(key, title, unit, lines, empty, small=True, **more)


_NO_FIT = "Shows after the first fit."
_NO_ANSWER = "No answers yet."
_NO_TRAINING = "The agent has not trained yet."
_NO_SCORE = "Shows at the first evaluation."
_CHANCE = (Baseline(0.5, "chance"),)

REWARD_MODEL = Section(
    "Can the reward model be trusted?",
    (
        _small(
            "unseen",
            "Pairs of unseen levels judged right",
            "by true reward",
            Line("evaluation/preference_accuracy", "reward model", smooth=False),
            Line("evaluation/clock_accuracy", "a clock", "second", smooth=False),
            empty="Shows at the first evaluation after the first fit.",
            format="percent",
            range=(0.0, 1.0),
            baselines=_CHANCE,
        ),
        _small(
            "calibration",
            "Calibration error",
            "of predicted shares",
            Line("reward_model/calibration_error", "held-out answers"),
            Line("reward_model/calibration_error_fresh", "fresh pairs", "third"),
            empty=_NO_FIT,
            format="percent",
            best="min",
        ),
        _small(
            "clock",
            "Pairs ordered as a clock would",
            "share of fresh pairs",
            Line("reward_model/clock_agreement", "by the reward model"),
            Line("reward_model/clock_accuracy_fresh", "by the true reward", "second"),
            empty=_NO_FIT,
            format="percent",
            best=None,
            range=(0.5, 1.0),
        ),
        _small(
            "disagreement",
            "Disagreement of the ensemble",
            "std of reward",
            Line("reward_model/disagreement", "disagreement"),
            empty=_NO_FIT,
            best=None,
        ),
        _small(
            "members",
            "Members of one mind",
            "share of fresh pairs",
            Line("reward_model/member_agreement", "pairs that all order alike"),
            empty=_NO_FIT,
            format="percent",
            range=(0.0, 1.0),
        ),
        _small(
            "gap",
            "Generalisation gap",
            "true return, training less unseen",
            Line("evaluation/generalisation_gap", "gap", smooth=False),
            empty=_NO_SCORE,
            best=None,
            baselines=(Baseline(0.0, "none"),),
        ),
    ),
)

LABELS = Section(
    "Labels",
    (
        _small(
            "labels",
            "Labels",
            "answers",
            Line("preferences/total", "given", smooth=False),
            Line("preferences/left", "left", "third", smooth=False),
            empty=_NO_ANSWER,
            format="count",
            best=None,
        ),
        _small(
            "rate",
            "Label rate",
            "per minute",
            Line("time/labels_per_minute", "labels per minute"),
            empty=_NO_ANSWER,
            best=None,
        ),
        _small(
            "seconds",
            "Time per label",
            "s, median of the newest 100",
            Line("time/seconds_per_label", "seconds"),
            empty="No answers of people yet.",
            best=None,
        ),
        _small(
            "ties",
            "Ties",
            "share of the newest 100 answers",
            Line("preferences/tie_share", "ties"),
            empty=_NO_ANSWER,
            format="percent",
            best=None,
            range=(0.0, 1.0),
        ),
        _small(
            "agreement",
            "Agreement between people",
            "Krippendorff's alpha",
            Line(
                "preferences/alpha",
                "alpha",
                band=("preferences/alpha_low", "preferences/alpha_high"),
            ),
            empty="No pair has answers of two people.",
            best=None,
            baselines=(Baseline(0.0, "chance"),),
        ),
    ),
)

AGENT = Section(
    "The agent's training (PPO)",
    (
        _small(
            "value_loss",
            "Value loss",
            "",
            Line("train/value_loss", "value loss"),
            empty=_NO_TRAINING,
            best="min",
        ),
        _small(
            "explained_variance",
            "Explained variance",
            "1 = value is right",
            Line("train/explained_variance", "explained variance"),
            empty=_NO_TRAINING,
        ),
        _small(
            "approx_kl",
            "Policy change (KL)",
            "nats",
            Line("train/approx_kl", "approx. KL"),
            empty=_NO_TRAINING,
            best=None,
        ),
        _small(
            "clip_fraction",
            "Clipped updates",
            "share",
            Line("train/clip_fraction", "clipped"),
            empty=_NO_TRAINING,
            format="percent",
            best=None,
        ),
        _small(
            "entropy",
            "Entropy loss",
            "nats",
            Line("train/entropy_loss", "entropy loss"),
            empty=_NO_TRAINING,
            best=None,
        ),
    ),
)

MACHINE = Section(
    "The machine",
    (
        _small("fps", "Speed", "steps/s", Line("time/fps", "steps/s"), empty="No iteration yet."),
        _small(
            "cpu",
            "CPU",
            "% of one core",
            Line("system/cpu_percent", "the worker"),
            empty="No iteration yet.",
            best=None,
        ),
        _small(
            "memory",
            "Memory",
            "GiB",
            Line("system/memory_gib", "the worker"),
            empty="No iteration yet.",
            best=None,
        ),
        _small(
            "disk",
            "Free disk",
            "GiB",
            Line("system/disk_free_gib", "left"),
            empty="No iteration yet.",
            best=None,
        ),
        _small(
            "gpu",
            "Accelerator",
            "% busy",
            Line("system/gpu_percent", "busy"),
            empty="No load known: no accelerator is used, or it does not tell (nvidia-ml-py).",
            best=None,
            range=(0.0, 100.0),
        ),
        _small(
            "gpu_memory",
            "Accelerator memory",
            "GiB",
            Line("system/gpu_memory_gib", "in use"),
            empty="This run uses no accelerator.",
            best=None,
        ),
    ),
)

SECTIONS = (REWARD_MODEL, LABELS, AGENT, MACHINE)
CHARTS = (*MAIN, *(chart for section in SECTIONS for chart in section.charts))

ELAPSED = "time/time_elapsed"
"""Seconds of work so far, pauses left out: the axis of relative time."""


def _points() -> dict[str, int]:
    """Every drawn curve in the order of the page, with the most points of it that are sent."""
    points = {ELAPSED: 1500}
    for chart in CHARTS:
        for name in chart.names:
            points[name] = max(points.get(name, 0), 500 if chart.small else 1500)
    return points


CURVES = _points()
