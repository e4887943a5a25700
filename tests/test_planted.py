"""Every bug of docs/known-bugs.md can still be planted, and its tests are there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("planted", ROOT / "tests" / "planted.py")
assert _spec is not None
assert _spec.loader is not None
planted = importlib.util.module_from_spec(_spec)
sys.modules["planted"] = planted
_spec.loader.exec_module(planted)


def test_every_bug_has_its_place_its_tests_and_its_line() -> None:
    page = (ROOT / "docs" / "known-bugs.md").read_text()
    for plant in planted.PLANTS:
        assert (ROOT / plant.source).read_text().count(plant.code) == 1, plant.bug
        assert f"| {plant.bug} |" in page
        for test in plant.tests:
            file, name = test.split("::")
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), test
            assert f"`{test.removeprefix('learner/')}`" in page, test
