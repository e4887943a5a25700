"""Procgen's normalisation constants and PPO's official learning curves, as data.

Constants: Cobbe et al. 2020, appendix C. Curves: averages of the three runs that
github.com/openai/train-procgen publishes, over the 50 log rows before each mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

Mode = Literal["easy", "hard"]
Split = Literal["train", "test"]
Levels = Literal["easy-200", "easy-unlimited", "hard-500"]

# game: (easy min, easy max, hard min, hard max), in the game's own points.
RANGES: Mapping[str, tuple[float, float, float, float]] = {
    "coinrun": (5, 10, 5, 10),
    "starpilot": (2.5, 64, 1.5, 35),
    "caveflyer": (3.5, 12, 2, 13.4),
    "dodgeball": (1.5, 19, 1.5, 19),
    "fruitbot": (-1.5, 32.4, -0.5, 27.2),
    "chaser": (0.5, 13, 0.5, 14.2),
    "miner": (1.5, 13, 1.5, 20),
    "jumper": (1, 10, 1, 10),
    "leaper": (1.5, 10, 1.5, 10),
    "maze": (5, 10, 4, 10),
    "bigfish": (1, 40, 0, 40),
    "heist": (3.5, 10, 2, 10),
    "climber": (2, 12.6, 1, 12.6),
    "plunder": (4.5, 30, 3, 30),
    "ninja": (3.5, 10, 2, 10),
    "bossfight": (0.5, 13, 0.5, 13),
}

# Millions of environment steps at which the curves below were read.
MARKS: Mapping[Levels, tuple[float, ...]] = {
    "easy-200": (1, 2, 3, 5, 8, 10, 15, 25, 50),
    "easy-unlimited": (1, 2, 3, 5, 8, 10, 15, 25),
    "hard-500": (10, 25, 50, 100, 200),
}

_EASY_200: Mapping[tuple[str, Split], tuple[float, ...]] = {
    ("coinrun", "train"): (6.98, 8.42, 8.59, 8.73, 8.90, 9.12, 9.33, 9.54, 9.79),
    ("coinrun", "test"): (6.49, 7.79, 7.93, 8.04, 8.17, 8.40, 8.51, 8.66, 8.70),
    ("fruitbot", "train"): (1.66, 13.84, 19.32, 23.13, 25.99, 26.47, 28.03, 29.61, 30.44),
    ("fruitbot", "test"): (1.08, 12.52, 17.34, 21.11, 23.44, 23.80, 25.64, 26.45, 26.92),
    ("starpilot", "train"): (5.18, 9.66, 12.98, 18.55, 21.13, 22.14, 27.60, 29.94, 35.74),
    ("starpilot", "test"): (4.53, 8.69, 11.33, 16.22, 18.40, 19.08, 23.16, 23.76, 27.44),
    ("bigfish", "train"): (1.48, 2.61, 3.47, 4.88, 6.66, 7.73, 9.41, 12.11, 17.10),
    ("bigfish", "test"): (1.21, 1.82, 2.20, 2.57, 2.90, 3.27, 3.83, 4.81, 7.08),
}

# Levels without end: what is trained on and what is tested on are the same.
_EASY_UNLIMITED: Mapping[str, tuple[float, ...]] = {
    "coinrun": (6.25, 7.96, 8.60, 7.34, 8.11, 8.34, 8.39, 9.08),
    "fruitbot": (3.31, 18.10, 22.78, 25.24, 26.45, 27.31, 27.82, 28.69),
    "starpilot": (5.54, 13.26, 20.29, 25.93, 27.93, 29.93, 31.41, 33.08),
    "bigfish": (1.21, 2.81, 5.40, 8.39, 10.31, 12.03, 16.64, 20.41),
}

_HARD_500: Mapping[tuple[str, Split], tuple[float, ...]] = {
    ("coinrun", "train"): (5.70, 6.18, 7.04, 7.53, 7.66),
    ("coinrun", "test"): (5.70, 5.65, 6.08, 6.22, 6.28),
    ("fruitbot", "train"): (0.87, 1.75, 3.75, 8.60, 18.96),
    ("fruitbot", "test"): (-0.84, -1.23, -1.18, 1.56, 8.88),
    ("starpilot", "train"): (4.14, 6.26, 8.10, 10.48, 13.15),
    ("starpilot", "test"): (2.99, 3.44, 3.67, 3.94, 4.09),
    ("bigfish", "train"): (0.63, 1.40, 2.56, 5.37, 9.98),
    ("bigfish", "test"): (0.33, 0.58, 0.90, 1.51, 3.59),
}

# easy-200 at 25 M steps: (train, test), for the games without a whole curve above.
FINAL_EASY_200: Mapping[str, tuple[float, float]] = {
    "bossfight": (8.24, 7.57),
    "caveflyer": (7.25, 5.27),
    "chaser": (6.79, 6.06),
    "climber": (8.59, 5.88),
    "dodgeball": (5.07, 1.92),
    "heist": (7.97, 2.74),
    "jumper": (8.58, 5.72),
    "leaper": (6.20, 5.83),
    "maze": (9.34, 5.54),
    "miner": (12.80, 9.41),
    "ninja": (7.65, 5.76),
    "plunder": (5.26, 4.60),
}


def normalised_score(game: str, mode: Mode, mean_return: float) -> float:
    """(R - min) / (max - min) with the game's constants: 0 is blind play, 1 the best possible.

    Raises:
        KeyError: a game that Procgen does not have.
    """
    bounds = RANGES[game]
    low, high = bounds[:2] if mode == "easy" else bounds[2:]
    return (mean_return - low) / (high - low)


def official_score(levels: Levels, game: str, split: Split, steps: int) -> float | None:
    """Mean return of the official PPO after `steps` environment steps.

    Linear between the marks; None before the first and after the last, and for games without a
    curve.
    """
    if levels == "easy-unlimited":
        curve = _EASY_UNLIMITED.get(game)
    else:
        curve = (_EASY_200 if levels == "easy-200" else _HARD_500).get((game, split))
    marks = MARKS[levels]
    millions = steps / 1e6
    if curve is None or not marks[0] <= millions <= marks[-1]:
        return None
    return float(np.interp(millions, marks, curve))
