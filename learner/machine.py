"""What a run takes of its machine: processor, memory, accelerator, disk."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import psutil
import torch

GIB = 2**30


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
            free, total = torch.cuda.mem_get_info(self._device)
            found["system/gpu_memory_gib"] = (total - free) / GIB
            if self._tells_load:
                found["system/gpu_percent"] = float(torch.cuda.utilization(self._device))
        return found
