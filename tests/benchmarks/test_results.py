from __future__ import annotations

from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.results import write_page

FIGURES = [
    Figure("sqlite: errors", 0, at_most=0),
    Figure("sqlite: submit p99", 41.26, "ms", at_most=250),
    Figure("postgresql: errors", 2, at_most=0),
    Figure("postgresql: submit p99", 1234.5, "ms", at_most=250),
    Figure("postgresql: cores, postgresql", 0.4567),
]


def test_a_page_has_a_column_per_place_and_names_what_is_short(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    about = "In a line.\n\n    python -m it\n\nHow it goes.\n"
    write_page(page, title="Many", about=about, figures=FIGURES, caveat="Nothing else.")
    text = page.read_text()
    assert text.startswith("# Many\n\n    python -m it\n\nHow it goes.\n")
    assert "Short of its bar: postgresql: errors, postgresql: submit p99." in text
    assert text.endswith("## What it does not show\n\nNothing else.\n")
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "| | sqlite | postgresql | bar |",
        "|---|---|---|---|",
        "| errors | 0 | **2** | ≤ 0 |",
        "| submit p99 | 41.3 ms | **1,234 ms** | ≤ 250 |",
        "| cores, postgresql |  | 0.457 |  |",
    ]


def test_a_page_without_anything_short_says_so(tmp_path: Path) -> None:
    write_page(
        tmp_path / "page.md", title="Many", about="", figures=FIGURES[:2], caveat="Nothing else."
    )
    assert "Every bar is met." in (tmp_path / "page.md").read_text()
