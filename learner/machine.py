"""What a run takes of its machine: processor, memory, accelerator, disk."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from pathlib import Path

import psutil
import structlog
import torch

GIB = 2**30

log = structlog.get_logger()


class Machine:
    """The process and its machine, looked at now and then."""

    def __init__(self, device: str, folder: Path) -> None:
        """Begin to measure.

        Args:
            device: where the run's networks live.
            folder: where the run writes; it, or one above it, exists.
        """
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only starts the clock
        self._device = torch.device(device)
        self._folder = next(one for one in (folder, *folder.parents) if one.exists())
        self._tells_load = (
            self._device.type == "cuda" and importlib.util.find_spec("pynvml") is not None
        )

    def figures(self) -> dict[str, float]:
        """By the monitor's names; processor use is that since the last call, in % of one core."""
        disk = shutil.disk_usage(self._folder)
        found = {
            "system/cpu_percent": self._process.cpu_percent(),
            "system/memory_gib": self._process.memory_info().rss / GIB,
            "system/disk_free_gib": disk.free / GIB,
            "system/disk_free_percent": 100 * disk.free / disk.total,
        }
        if self._device.type == "cuda":
            found |= self._memory()
            found |= self._load()
        return found

    def _memory(self) -> dict[str, float]:
        try:
            free, total = torch.cuda.mem_get_info(self._device)
        except RuntimeError as error:  # no figure is worth a run
            log.warning("accelerator memory unknown", reason=str(error))
            return {}
        return {"system/gpu_memory_gib": (total - free) / GIB}

    def _load(self) -> dict[str, float]:
        """Nothing where the driver does not tell it, as in containers and on parts of a GPU."""
        if not self._tells_load:
            return {}
        unknown: type[Exception] = importlib.import_module("pynvml").NVMLError
        try:
            return {"system/gpu_percent": float(torch.cuda.utilization(self._device))}
        except (unknown, RuntimeError, ImportError, OSError, ValueError) as error:
            log.warning("accelerator load unknown", reason=str(error))
            self._tells_load = False
            return {}
