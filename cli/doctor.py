"""`clipwise doctor`: what this machine has and lacks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from server.database import Database
from server.errors import ClipwiseError
from server.settings import Settings, load_settings

LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, and what was seen or is to be done."""

    well: bool
    text: str


def doctor() -> None:
    """Print a table of findings; exit status 1 if something needed is missing."""
    settings = load_settings()
    checks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "cores and torch": _torch,
        "video": _video,
        "Procgen": _procgen,
        "MuJoCo (optional)": lambda: _extra("mujoco", "mujoco"),
        "Atari (optional)": lambda: _extra("ale-py", "atari"),
        "Minari (optional)": lambda: _extra("minari", "minari"),
        "database": lambda: _database(settings),
        "disk": lambda: _disk(settings.var),
    }
    table = Table(show_header=False)
    needed = True
    for name, check in checks.items():
        finding = check()
        needed &= finding.well
        table.add_row("ok" if finding.well else "!!", name, finding.text)
    Console().print(table)
    if not needed:
        sys.exit(1)


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding((3, 11) <= sys.version_info[:2] <= (3, 12), f"{found} (3.11 or 3.12 needed)")


def _torch() -> Finding:
    import torch

    where = "no accelerator: networks run on the CPU"
    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    return Finding(True, f"{os.cpu_count()} cores, torch {torch.__version__}; {where}")


def _video() -> Finding:
    from learner.video import MissingCodec, encode

    try:
        encode(np.zeros((2, 64, 64, 3), np.uint8), 15)
    except MissingCodec as error:
        return Finding(False, str(error))
    return Finding(True, "H.264 clips can be made")


def _procgen() -> Finding:
    from learner.config import EnvironmentConfig
    from learner.envs.protocol import UnavailableEnvironment
    from learner.envs.registry import make

    try:
        make(EnvironmentConfig(), num_envs=1, seed=0).close()
    except UnavailableEnvironment as error:
        return Finding(False, str(error))
    return Finding(True, f"procgen-mirror {version('procgen-mirror')}")


def _extra(package: str, extra: str) -> Finding:
    try:
        return Finding(True, f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding(True, f"not installed; pip install 'clipwise[{extra}]'")


def _database(settings: Settings) -> Finding:
    database = Database(settings.database_url)
    try:
        database.check_version()
    except ClipwiseError as error:
        return Finding(False, str(error))
    finally:
        database.close()
    return Finding(True, database.engine.url.render_as_string(hide_password=True))


def _disk(var: Path) -> Finding:
    place = var if var.exists() else Path()
    free = shutil.disk_usage(place).free / 1e9
    return Finding(free >= LEAST_FREE_GB, f"{free:,.0f} GB free in {place.resolve()}")
