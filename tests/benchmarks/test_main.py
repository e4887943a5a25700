"""`make bench`: all benchmarks run where imitation is not installed, each after the others."""

from __future__ import annotations

import importlib
import subprocess

import pytest

from benchmarks import __main__ as benchmarks


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_benchmark_can_be_started_here(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.main)
    assert f"python -m benchmarks.{name} [--quick]" in module.__doc__


def test_what_imitations_own_python_runs_is_no_benchmark() -> None:
    assert {"versus_imitation", "reward_training"} <= set(benchmarks.names())
    assert not any("imitation_side" in name or "throughput" in name for name in benchmarks.names())


def test_one_that_fails_does_not_keep_the_others_from_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        started.append(command[2:])
        return subprocess.CompletedProcess(command, int("memory" in command[2]))

    monkeypatch.setattr("subprocess.run", run)
    assert benchmarks.main(["--quick", "memory", "replay"]) == 1
    assert started == [["benchmarks.memory", "--quick"], ["benchmarks.replay", "--quick"]]
    assert "short or failed: memory" in capsys.readouterr().out
    assert benchmarks.main(["replay"]) == 0


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["replays"])
    assert "there is no benchmark replays; there are annotators" in capsys.readouterr().err
