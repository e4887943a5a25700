"""How a network is run on this machine: measured once, then kept in a file.

A measurement made twice may come out differently, and other threads or another precision round
differently. So the choice is made once for a machine, torch version and network, and whatever
runs in the same folder later takes it over: equal configs give equal results. Remove the file and
it is made anew. What the config says outright is not measured, and nothing is kept of it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import torch

from learner.config import RunConfig
from learner.devices import Compute, Step, find_device, least_seconds
from learner.errors import LearnerError, Unwritable

FOLDER = "compute"
"""Within the folder of everything that is kept."""

# A default gives way only to something clearly faster.
_CLEARLY = 1.15
_CPU_FACTS = Path("/proc/cpuinfo")

MakeStep = Callable[[Compute], Step]
"""Given a candidate, one representative training step to be timed."""


class ChoiceError(LearnerError):
    """A kept choice that cannot be read."""

    resumable = True


def choose(
    config: RunConfig, network: str, make_step: MakeStep, *, images: bool, folder: Path | None
) -> Compute:
    """Decide how a network is run.

    Images start from all cores, vectors from one thread (a thread costs a small network more
    than it brings), both from float32; bfloat16 and the other number of threads are measured
    where the config leaves them open.

    Args:
        config: `device`, `precision` and `threads` are kept where they are not automatic.
        network: names kind and shapes; choices for different names are separate.
        make_step: makes what is timed.
        images: whether the network sees images; vectors always run in float32, whose
            resolution they need and whose speed they do not miss.
        folder: where choices are kept; None = nowhere, so it is measured at every call.

    Raises:
        DeviceError: a device that is not here.
        ChoiceError: the kept choice is damaged.
        Unwritable: it cannot be kept.
    """
    default, others = _candidates(config, images=images)
    if not others:
        return _told(default, network, configured=True)
    facts = {
        "machine": machine(),
        "torch": torch.__version__,
        "network": network,
        "default": default.as_dict(),
        "alternatives": others,
    }
    if folder is not None and (path := _path(folder, facts)).exists():
        return _told(_read(path), network, chosen_before=str(path))
    compute, seconds = _fastest(default, others, make_step)
    measured = {
        f"{one.precision}, threads {one.threads}": round(1000 * least, 3)
        for one, least in seconds.items()
    }
    if folder is not None:
        compute = _keep(path, {**facts, "chosen": compute.as_dict(), "milliseconds": measured})
    return _told(compute, network, milliseconds=measured)


def _told(compute: Compute, network: str, **why: Any) -> Compute:
    structlog.get_logger().info("compute", network=network, **compute.as_dict(), **why)
    return compute


def _candidates(config: RunConfig, *, images: bool) -> tuple[Compute, list[dict[str, Any]]]:
    """The default, and what may be changed in it."""
    cores = os.cpu_count() or 1
    settled = "float32" if config.precision == "auto" else config.precision
    default = Compute(
        device=find_device(config.device),
        precision=settled,
        threads=config.threads or (cores if images else 1),
    )
    others: list[dict[str, Any]] = []
    if config.threads is None and default.device == "cpu" and cores > 1:
        others.append({"threads": 1 if images else cores})
    if images and config.precision == "auto":
        others.append({"precision": "bfloat16"})
    return default, others


def _fastest(
    default: Compute, others: list[dict[str, Any]], make_step: MakeStep
) -> tuple[Compute, dict[Compute, float]]:
    """The default with each change that is clearly faster; least seconds of a step with each."""
    combinations = [default]
    for other in others:
        combinations += [replace(one, **other) for one in combinations]
    seconds = least_seconds({one: make_step(one) for one in combinations})
    best = default
    for other in others:
        candidate = replace(best, **other)
        if seconds[best] > _CLEARLY * seconds[candidate]:
            best = candidate
    return best, seconds


def machine() -> str:
    """What decides how fast a network runs here: processor, cores, accelerator."""
    model = platform.processor()
    if _CPU_FACTS.exists() and (
        named := re.search(r"^model name\s*:\s*(.+)$", _CPU_FACTS.read_text(), re.MULTILINE)
    ):
        model = named[1]
    parts = [platform.machine(), model, f"{os.cpu_count()} cores"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(part for part in parts if part)


def _path(folder: Path, facts: dict[str, Any]) -> Path:
    """One file per machine, torch version and network."""
    digest = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
    name = re.sub(r"[^a-z0-9]+", "-", str(facts["network"]).lower()).strip("-")
    return folder / f"{name[:60]}-{digest:08x}.json"


def _keep(path: Path, facts: dict[str, Any]) -> Compute:
    """Write a choice whole, unless another process was first; what is kept now."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(facts, indent=2) + "\n")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    except OSError as error:
        raise Unwritable(path.parent, error) from error
    return _read(path)


def _read(path: Path) -> Compute:
    try:
        return Compute(**json.loads(path.read_text())["chosen"])
    except (ValueError, KeyError, TypeError) as error:
        raise ChoiceError(f"{path} is damaged; remove it, then it is measured anew") from error
