"""What a run takes of its machine: a figure that cannot be had is left out."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from learner.machine import Machine


class NVMLError(Exception):
    """As pynvml has it: derived from nothing more special."""


def refuse(error: Exception) -> Any:
    def call(_: object) -> None:
        raise error

    return call


def test_processor_memory_and_disk_are_always_known(tmp_path: Path) -> None:
    found = Machine("cpu", tmp_path / "not" / "yet").figures()
    assert found["system/memory_gib"] > 0
    assert 0 < found["system/disk_free_percent"] <= 100
    assert not any("gpu" in name for name in found)


@pytest.mark.parametrize(
    "error", [NVMLError("Not Supported"), RuntimeError("Driver Not Loaded"), ImportError("pynvml")]
)
def test_an_accelerator_that_does_not_tell_its_load_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError, __spec__=1))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**32))
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 40)
    machine = Machine("cuda", tmp_path)
    assert machine.figures()["system/gpu_percent"] == 40
    monkeypatch.setattr(torch.cuda, "utilization", refuse(error))
    found = machine.figures()
    assert found["system/gpu_memory_gib"] == 3
    assert "system/gpu_percent" not in found
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: pytest.fail("asked again"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", refuse(RuntimeError("out of memory")))
    assert "system/gpu_memory_gib" not in machine.figures()
