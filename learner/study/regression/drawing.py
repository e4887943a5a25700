"""The pictures of a study of regressed rewards, as PNG."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from learner.envs.maze import Maze, coloured
from learner.study.figures import grid, png
from learner.study.regression.mazes import Counterfactual, Move, counterfactual_moves
from learner.study.regression.screens import Maps, Trace
from learner.study.regression.transitions import Transitions

Map = NDArray[np.float32]
_PANEL = (2.0, 2.15)


def counterfactuals(maze: Maze, found: list[Counterfactual]) -> bytes:
    """Each maze before and after the step, with what is predicted and what is true."""
    moves = counterfactual_moves(maze)
    figure, rows = grid(2, len(found), _PANEL)
    for (left, right), one in zip(rows, found, strict=True):
        for axes, frame in zip((left, right), moves[one.name].frames(maze), strict=True):
            _picture(axes, coloured(frame[0]))
        left.set_title(one.title, fontsize=7)
        right.set_title(f"predicted {one.predicted:.3f}, true {one.true:g}", fontsize=7)
    return png(figure)


def maze_saliency(maze: Maze, moves: list[Move], maps: list[tuple[Map, Map]]) -> bytes:
    """Six steps: what is seen before and after, and the gradient by both."""
    figure, rows = grid(4, len(moves), (1.7, 1.8))
    brightest = max(float(one.max()) for pair in maps for one in pair)
    for row, move, pair in zip(rows, moves, maps, strict=True):
        for axes, frame in zip(row[:2], move.frames(maze), strict=True):
            _picture(axes, coloured(frame[0]))
        for axes, one in zip(row[2:], pair, strict=True):
            _picture(axes, one, cmap="inferno", vmin=0.0, vmax=brightest)
        row[0].set_title(move.title, fontsize=7)
    for axes, title in zip(rows[0][1:], ("after", "|∂R / ∂before|", "|∂R / ∂after|"), strict=True):
        axes.set_title(title, fontsize=7)
    return png(figure)


def predictions(trace: Trace) -> bytes:
    """True rewards and predictions along some steps."""
    figure, rows = grid(1, len(trace.predicted), (9.0, 1.9))
    for (axes,), (title, values) in zip(rows, trace.predicted.items(), strict=True):
        paid = np.flatnonzero(trace.true)
        axes.vlines(paid, 0, trace.true[paid], color="C1", lw=3, alpha=0.4, label="true reward")
        axes.plot(values, color="C0", lw=1, label="predicted")
        axes.axhline(0, color="grey", lw=0.8)
        axes.set_title(title, fontsize=8)
        axes.legend(fontsize=7, loc="upper right")
    rows[-1][0].set_xlabel("step", fontsize=8)
    return png(figure)


def screen_saliency(shown: Transitions, maps: list[Maps]) -> bytes:
    """Frames, and over them where a reward depends on them, each map by its own maximum."""
    figure, rows = grid(3, len(maps), _PANEL)
    for row, frame, found, reward in zip(rows, shown.after, maps, shown.rewards, strict=True):
        newest = frame[..., -1]
        _picture(row[0], newest, cmap="gray", vmin=0, vmax=255)
        row[0].set_title(f"true reward {reward:g}", fontsize=7)
        for axes, (method, values) in zip(row[1:], found.items(), strict=True):
            _picture(axes, _overlaid(newest, values))
            axes.set_title(method, fontsize=7)
    return png(figure)


def curves(found: dict[str, list[list[dict[str, float]]]]) -> bytes:
    """True return of agents while they learn: a line per pay, its band over seeds."""
    figure, ((axes,),) = grid(1, 1, (5.2, 3.2))
    for number, (title, runs) in enumerate(found.items()):
        length = min(len(one) for one in runs)
        steps = [point["steps"] for point in runs[0][:length]]
        returns = np.array([[_known(point) for point in one[:length]] for one in runs])
        axes.plot(steps, returns.mean(axis=0), color=f"C{number}", label=title)
        axes.fill_between(
            steps, returns.min(axis=0), returns.max(axis=0), color=f"C{number}", alpha=0.15
        )
    axes.set(xlabel="environment steps", ylabel="true return, last 100 episodes")
    axes.legend(fontsize=7)
    return png(figure)


def _known(point: dict[str, Any]) -> float:
    value = point["return"]
    return float("nan") if value is None else float(value)


def _overlaid(frame: NDArray[np.uint8], values: Map) -> NDArray[np.uint8]:
    """A grey frame with a map on its green channel, as published."""
    image = np.repeat(frame[..., None], 3, axis=2).astype(np.float64) * 0.7
    image[..., 1] += 255 * np.abs(values) / max(float(np.abs(values).max()), 1e-12)
    return np.clip(image, 0, 255).astype(np.uint8)


def _picture(axes: Axes, image: Any, **how: Any) -> None:
    axes.imshow(image, interpolation="nearest", **how)
    axes.set_xticks([])
    axes.set_yticks([])
