"""A benchmark's figures as a page of docs/results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Figure, machine


def write_page(
    path: Path, *, title: str, about: str, figures: Sequence[Figure], caveat: str
) -> None:
    """Write what was measured beside its bars.

    Args:
        path: of the page.
        title: its heading.
        about: the benchmark's docstring; all but its first line goes above the table.
        figures: named `column: row`.
        caveat: what the figures do not show.
    """
    _, _, how = about.partition("\n\n")
    short = [figure.name for figure in figures if not figure.passed]
    verdict = f"Short of its bar: {', '.join(short)}." if short else "Every bar is met."
    parts = [
        f"# {title}",
        how.strip("\n"),
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, {machine()}. {verdict}",
        table(figures),
        "## What it does not show",
        caveat,
    ]
    path.write_text("\n\n".join(parts) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """Markdown: a line per row, a cell per column, and the bar where there is one."""
    named = {tuple(figure.name.split(": ", 1)): figure for figure in figures}
    columns = list(dict.fromkeys(column for column, _ in named))
    lines = [f"| | {' | '.join(columns)} | bar |", "|---" * (len(columns) + 2) + "|"]
    for row in dict.fromkeys(row for _, row in named):
        found = [named.get((column, row)) for column in columns]
        bars = dict.fromkeys(figure.bar for figure in found if figure is not None)
        cells = ["" if figure is None else shown(figure) for figure in found]
        lines.append(f"| {row} | {' | '.join(cells)} | {'; '.join(filter(None, bars))} |")
    return "\n".join(lines)


def shown(figure: Figure) -> str:
    """A value as people read it: counts whole, others to three digits; bold if it is short."""
    whole = float(figure.value).is_integer() or abs(figure.value) >= 100
    text = f"{figure.value:,.0f}" if whole else f"{figure.value:.3g}"
    text = re.sub(r" $", "", f"{text} {figure.unit}")
    return text if figure.passed else f"**{text}**"
