"""Pages of docs/results whose tables are written by a command, between two marks.

What people wrote around the marks stays. A page without them gets them, and the tables, at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

END = "<!-- end of tables -->"

# Readable by people who do not tell colours apart (Okabe and Ito 2008).
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"


def begin(name: str) -> str:
    """The mark before the tables that `python -m experiments.NAME` writes."""
    return f"<!-- tables: python -m experiments.{name} -->"


def fill(page: Path, name: str, lines: Sequence[str]) -> None:
    """Put lines between the marks of a page, in place of what was there.

    Args:
        page: Markdown, there already.
        name: of the module that writes them.
        lines: Markdown.
    """
    before, _, rest = page.read_text().partition(begin(name))
    after = rest.partition(END)[2]
    page.write_text(before + "\n".join([begin(name), "", *lines, END]) + after)
