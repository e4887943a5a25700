"""The page on programs as teachers: its lines, run by a shell against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "teachers.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_every_line_of_the_page_works(command: Any, workplace: Any, tmp_path: Path) -> None:
    assert command.settings.var != workplace.settings.var
    workplace.ask(2)
    command.settings = workplace.settings.model_copy(update={"port": command.settings.port})
    command.start("serve")
    command.wait_until_served()
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    script = "set -euo pipefail\n" + "".join(blocks)
    script = script.replace("http://127.0.0.1:8000", command.url)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def said(name: str) -> Any:
        return json.loads((tmp_path / f"{name}.json").read_text())

    assert said("answer") == said("repeated")
    assert (said("answer")["side"], said("corrected")["side"]) == ("left", "right")
    assert [entry["id"] for entry in said("history")] == [said("corrected")["id"]]
    assert said("progress")["total"] == 1
    for side in ("left", "right"):
        assert (tmp_path / f"{side}.mp4").read_bytes() in [
            workplace.artifacts.get(clip) for clip in workplace.clips
        ]
