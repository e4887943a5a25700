"""The page of results says what was printed, and what was short."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.measure import Figure, report
from benchmarks.page import write


def test_figures_with_a_bar_are_on_the_page_and_short_ones_are_marked(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["memory.py", "--game", "big fish"])
    report(
        "memory",
        [
            Figure("peak", 3.25, "GiB", at_most=4),
            Figure("ratio", 2.5, "x", 0.25, at_least=8),
            Figure("without a bar", 1.0),
        ],
    )
    log, silent = tmp_path / "memory.log", tmp_path / "silent.log"
    log.write_text("what came before\n" + capsys.readouterr().out)
    silent.write_text("ended early\n")
    page = tmp_path / "page.md"
    page.write_text("# Old\n\n| memory | an older line |\n\n## Why\n\nBecause.\n")
    assert write([log], page) == 0
    assert page.read_text().endswith("\n\n## Why\n\nBecause.\n")
    lines = [line for line in page.read_text().splitlines() if line.startswith("| memory")]
    assert [line.split(" | ")[3:6] for line in lines] == [
        ["peak", "3.25 GiB", "≤ 4"],
        ["ratio", "**2.5 ± 0.25 x**", "≥ 8"],
    ]
    command = "python -m benchmarks.memory --game 'big fish'"
    assert {line.split(" | ")[1] for line in lines} == {f"`{command}`"}
    log.write_text(log.read_text().replace('"arguments": ["--game", "big fish"], ', ""))
    assert write([log, silent], page) == 1
    assert "| `python -m benchmarks.memory` |" in page.read_text()
    assert f"{silent} holds no figures" in capsys.readouterr().err
