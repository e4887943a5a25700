"""How a benchmark says what it measured: a table for people, then one line of JSON.

figures = [Figure("submit p95", 21.4, "ms", at_most=30)]
sys.exit(report("labelling", figures))
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number and the bar it must meet, if there is one.

    Attributes:
        name: what was measured; the key in the JSON line.
        value: the number, in `unit`.
        unit: e.g. "ms", "x", "%"; empty for counts.
        spread: half-width of its spread over repetitions, in `unit`.
        at_least: least value that passes; None = no such bar.
        at_most: largest value that passes; None = no such bar.
    """

    name: str
    value: float
    unit: str = ""
    spread: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        """True where the value meets its bars; a NaN meets none."""
        above = self.at_least is None or self.value >= self.at_least
        below = self.at_most is None or self.value <= self.at_most
        return above and below

    @property
    def bar(self) -> str:
        """The bar in words; empty where there is none."""
        bounds = [("≥", self.at_least), ("≤", self.at_most)]
        return " ".join(f"{sign} {value:g}" for sign, value in bounds if value is not None)


def median_figure(name: str, values: NDArray[np.float64], unit: str, **bar: float) -> Figure:
    """The median of some repetitions, with half their range; bars as of `Figure`."""
    return Figure(name, float(np.median(values)), unit, float(np.ptp(values)) / 2, **bar)


def report(name: str, figures: Sequence[Figure]) -> int:
    """Print the figures and return the process's exit status: 1 if one is short of its bar."""
    table = Table("figure", "value", "bar", "", title=name)
    for figure in figures:
        spread = "" if figure.spread is None else f" ± {figure.spread:.3g}"
        verdict = "" if not figure.bar else "ok" if figure.passed else "[bold red]short[/]"
        value = f"{figure.value:,.6g}{spread} {figure.unit}"
        table.add_row(figure.name, value, figure.bar, verdict)
    Console().print(table)
    passed = all(figure.passed for figure in figures)
    line = {
        "benchmark": name,
        "arguments": sys.argv[1:],
        "passed": passed,
        "machine": machine(),
        "figures": {figure.name: _plain(figure) for figure in figures},
    }
    print(json.dumps(line), flush=True)
    return 0 if passed else 1


def machine() -> str:
    """Where this runs, as it stands beside figures."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _plain(figure: Figure) -> dict[str, float | str]:
    """A figure's facts without those it lacks, for JSON."""
    facts = {
        "value": figure.value,
        "unit": figure.unit or None,
        "spread": figure.spread,
        "at_least": figure.at_least,
        "at_most": figure.at_most,
    }
    return {key: fact for key, fact in facts.items() if fact is not None}
