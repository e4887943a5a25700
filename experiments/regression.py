"""Turns what a study of regressed rewards found into the tables of its results page.

    python -m experiments.regression docs/results/mazes.md var/studies/maze

Tables go between the page's two marks, the first seed's pictures beside the page. What people wrote
around the marks stays.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.generalisation import command
from experiments.marks import fill

Values = dict[str, Any]


def tables(results: Values) -> list[str]:
    """Markdown: the command, then the tables of each game."""
    seeds = results["study"]["seeds"]
    lines = [
        f"    {command(results['study'])}",
        "",
        f"{seeds} {'seed' if seeds == 1 else 'seeds'} of everything: means, and the range over "
        "seeds in brackets.",
        "",
    ]
    for game, found in results["tables"].items():
        for title, rows in found.items():
            if rows:
                lines += [f"### {game}: {title}", "", *table(rows), ""]
    lines += [f"- not finished: {name}, {line}" for name, line in results["problems"].items()]
    return lines


def table(rows: Sequence[Values]) -> list[str]:
    """A Markdown table of rows with equal keys."""
    keys = [key for key in rows[0] if key != "maze"]  # the step says it in words
    return [
        f"| {' | '.join(keys)} |",
        f"|{'---|' * len(keys)}",
        *(f"| {' | '.join(shown(row[key]) for key in keys)} |" for row in rows),
    ]


def shown(value: Any) -> str:
    """A value as the tables show it; a spread over seeds as mean [least, greatest]."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
    if isinstance(value, dict):
        mean = shown(value["mean"])
        if value["seeds"] < 2:
            return mean
        return f"{mean} [{shown(value['low'])}, {shown(value['high'])}]"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_page(page: Path, folder: Path) -> None:
    """Put a study's tables into a page, and its pictures beside it."""
    results = json.loads((folder / "results.json").read_text())
    fill(page, "regression", tables(results))
    for picture in sorted((folder / "figures").glob("*-0-plain-*.png")):
        shutil.copy(picture, page.with_name(f"{folder.name}-{picture.name}"))


def main() -> None:
    """Write the page named first from the study named second."""
    page, folder = (Path(argument) for argument in sys.argv[1:])
    write_page(page, folder)
    print(page)


if __name__ == "__main__":
    main()
