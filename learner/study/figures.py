"""The figures of a study's report, as PNG."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from learner.study.bank import Bank
from learner.study.judging import TRUE_ALIGNED
from learner.study.summary import Results, over

mpl.use("Agg")
_SIZE = (5.2, 3.4)
_SHOWN = ("weak", "middling", "strong")
_SIDE_BY_SIDE = 3
_OWN = "own"  # in a path: the evaluation set of the rule itself


def png(figure: Figure) -> bytes:
    """A figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def grid(columns: int, rows: int = 1, size: tuple[float, float] = _SIZE) -> tuple[Figure, Any]:
    """A figure of panels of a size in inches, and its (rows, columns) axes."""
    figure = Figure((size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def accuracy_curves(results: Results, game: str) -> bytes:
    """Accuracy on truly labelled pairs, and on each rule's own, against demonstrations."""
    figure, ((left, right),) = grid(2)
    _curves(left, results, game, ("accuracy", TRUE_ALIGNED, "value"))
    left.set_title("truly labelled pairs of one start (clock: 0.50)")
    _curves(right, results, game, ("accuracy", _OWN, "value"))
    right.set_title("the rule's own test pairs")
    sets = results.baselines[game]["sets"]
    for number, rule in enumerate(results.study.sweep.rules):
        if rule in sets:
            right.axhline(sets[rule]["clock"], color=f"C{number}", ls=":", lw=1)
    right.plot([], [], color="grey", ls=":", label="a clock on them")
    for axes in (left, right):
        axes.axhline(0.5, color="grey", lw=0.8)
        axes.set_ylabel("accuracy")
    right.legend(fontsize=7)
    return png(figure)


def correlation_curves(results: Results, game: str) -> bytes:
    """Spearman of predicted and true return against demonstrations, the length baseline drawn."""
    figure, (row,) = grid(3)
    baseline = results.baselines[game]["figures"]["length"]["returns"]["spearman"]["value"]
    for axes, key, title in (
        (row[0], "spearman", "raw"),
        (row[1], "spearman_centred", "reward mean-centred"),
        (row[2], "spearman_given_length", "partial, given length"),
    ):
        _curves(axes, results, game, ("returns", key, "value"))
        if baseline is not None and key != "spearman_given_length":
            axes.axhline(baseline, color="black", ls="--", lw=1, label="episode length")
        axes.axhline(0, color="grey", lw=0.8)
        axes.set(title=title, ylabel="Spearman with true return", ylim=(-1.05, 1.05))
    row[0].legend(fontsize=7)
    return png(figure)


def _curves(axes: Axes, results: Results, game: str, path: tuple[str, ...]) -> None:
    """A line per rule, its band from the least to the greatest seed."""
    counts = sorted(results.study.sweep.counts)
    for number, rule in enumerate(results.study.sweep.rules):
        points = []
        own = [rule if key == _OWN else key for key in path]
        for count in counts:
            values = [over([one], *own) for one in results.of(game, rule=rule, count=count)]
            known = [value for value in values if value is not None]
            if known:
                points.append((count, np.mean(known), min(known), max(known)))
        if not points:
            continue
        x, mean, low, high = np.array(points).T
        axes.plot(x, mean, "o-", color=f"C{number}", ms=3, label=rule)
        axes.fill_between(x, low, high, color=f"C{number}", alpha=0.15)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("demonstrations")


def sample_demonstrations(bank: Bank) -> list[int]:
    """A weak, a middling and a strong demonstration."""
    order = np.argsort(bank.returns, kind="stable")
    return [int(order[round(share * (len(order) - 1))]) for share in (0.05, 0.5, 0.95)]


def cumulative(bank: Bank, rewards: dict[str, NDArray[np.float32]]) -> bytes:
    """Cumulative true and predicted reward over sample demonstrations, a row per model."""
    chosen = sample_demonstrations(bank)
    figure, rows = grid(len(chosen), len(rewards), (4.6, 2.4))
    for axes_row, (name, predicted) in zip(rows, rewards.items(), strict=True):
        for axes, index, quality in zip(axes_row, chosen, _SHOWN, strict=True):
            steps = bank.steps(index)
            axes.plot(np.cumsum(predicted[steps]), color="C0")
            axes.tick_params(axis="y", colors="C0")
            beside = axes.twinx()
            beside.plot(np.cumsum(bank.rewards[steps]), color="C1", ls="--")
            beside.tick_params(axis="y", colors="C1")
            one = bank.entries[index]
            axes.set_title(f"{name}: {quality}, return {one.true_return:g}", fontsize=8)
    for axes in rows[-1]:
        axes.set_xlabel("step (blue: predicted, dashed: true)", fontsize=8)
    return png(figure)


def strips(bank: Bank, rewards: dict[str, NDArray[np.float32]]) -> bytes:
    """Per-step predicted reward of sample demonstrations, true rewards marked above."""
    chosen = sample_demonstrations(bank)
    figure, rows = grid(1, len(chosen), (11, 0.5 + 0.32 * len(rewards)))
    for (axes,), index, quality in zip(rows, chosen, _SHOWN, strict=True):
        steps = bank.steps(index)
        values = np.stack([_standard(one[steps]) for one in rewards.values()])
        axes.imshow(values, aspect="auto", cmap="coolwarm", vmin=-2.5, vmax=2.5)
        axes.set_yticks(range(len(rewards)), list(rewards), fontsize=7)
        for t in np.flatnonzero(bank.rewards[steps]):
            paid = bank.rewards[steps][t]
            axes.plot(t, -0.7, "v", color="C2" if paid > 0 else "C3", ms=4, clip_on=False)
        one = bank.entries[index]
        title = f"{quality}: return {one.true_return:g}, level {one.level}"
        axes.set_title(title, fontsize=8, pad=8)
    return png(figure)


def _standard(values: NDArray[np.float32]) -> NDArray[np.float64]:
    spread = float(values.std())
    centred: NDArray[np.float64] = values.astype(np.float64) - values.mean()
    return centred / spread if spread else centred


def events(found: list[dict[str, Any]]) -> bytes:
    """Mean predicted reward around true rewards, a panel per kind, a line per model."""
    kinds = [one["reward"] for one in found[0]["figures"]["events"]][:_SIDE_BY_SIDE]
    figure, (row,) = grid(max(len(kinds), 1), 1, (4.6, 3.0))
    for axes, kind in zip(row, kinds, strict=False):
        for number, cell in enumerate(found):
            match = next((one for one in cell["figures"]["events"] if one["reward"] == kind), None)
            if match is None:
                continue
            mean, low, high = (
                np.array(match[key], dtype=np.float64) for key in ("mean", "low", "high")
            )
            offsets = np.arange(len(mean)) - len(mean) // 2
            axes.plot(offsets, mean, color=f"C{number}", label=cell["cell"]["rule"])
            axes.fill_between(offsets, low, high, color=f"C{number}", alpha=0.15)
            found_in = f"{match['count']} events, {match['episodes']} demonstrations"
            axes.set_title(f"true reward {kind:+g} at 0 ({found_in})", fontsize=9)
        axes.axvline(0, color="grey", lw=0.8)
        axes.axhline(0, color="grey", lw=0.8)
        axes.set_xlabel("steps from the event")
    row[0].set_ylabel("predicted, less that of quiet steps")
    row[0].legend(fontsize=7)
    return png(figure)


def reliability(found: list[dict[str, Any]]) -> bytes:
    """Observed against predicted preference on truly labelled pairs."""
    figure, ((axes,),) = grid(1)
    axes.plot([0, 1], [0, 1], color="grey", lw=0.8)
    for number, cell in enumerate(found):
        values = cell["figures"].get("calibration")
        if values:
            points = [(one["predicted"], one["observed"]) for one in values["points"]]
            label = f"{cell['cell']['rule']}, ECE {values['ece']:.2f}"
            axes.plot(*np.array(points).T, "o-", color=f"C{number}", ms=3, label=label)
    axes.set(xlabel="predicted P(first is better)", ylabel="observed")
    axes.legend(fontsize=7)
    return png(figure)


def agent_bars(found: list[dict[str, Any]]) -> bytes:
    """True return of agents on unseen levels with intervals."""
    figure, ((axes,),) = grid(1, 1, (8, 0.6 + 0.36 * len(found)))
    for number, one in enumerate(found):
        test = one["test"]
        ends = [[test["value"] - test["low"]], [test["high"] - test["value"]]]
        axes.errorbar(test["value"], number, xerr=ends, fmt="o", color="C0")
        axes.plot(one["train"]["value"], number, "|", color="C1", ms=12)
    axes.set_yticks(range(len(found)), [agent_label(one) for one in found], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("true return (dot: unseen levels, 95 %; bar: train levels)")
    return png(figure)


def agent_label(one: dict[str, Any]) -> str:
    """What an agent was paid."""
    agent = one["agent"]
    if agent["cell"]:
        cell = agent["cell"]
        variant = "" if cell["variant"] == "plain" else f", {cell['variant']}"
        name = f"{cell['rule']}{variant}, {cell['count']} demonstrations"
    else:
        name = {
            "plus_one": "constant +1",
            "minus_one": "constant -1",
            "true": "true reward",
            "best_checkpoint": "best demonstrations' checkpoint",
        }[agent["control"]]
    return f"{name} (seed {agent['seed']})"
