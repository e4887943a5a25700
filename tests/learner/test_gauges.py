from __future__ import annotations

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from learner.gauges import Gauges, PortTaken, serve_gauges
from learner.loop import Progress


def progress(iteration: int, **metrics: float) -> Progress:
    return Progress(iteration, 320 * iteration, 1280, 16, 99.5, metrics)


def scrape(port: int) -> dict[tuple[str, str | None, str | None], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        text = reply.read().decode()
    return {
        (sample.name, sample.labels.get("run"), sample.labels.get("name")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_last_iteration_of_the_run_at_work_is_told() -> None:
    gauges, port = Gauges(), free_port()
    serve_gauges(gauges, host="127.0.0.1", port=port)
    gauges.take("coinrun", progress(1, old=1.0))
    gauges.take("coinrun", progress(2, loss=0.25))
    gauges.take("fruitbot", progress(3, loss=0.5))
    found = scrape(port)
    assert found["clipwise_worker_steps", "fruitbot", None] == 960
    assert found["clipwise_worker_steps_per_second", "fruitbot", None] == 99.5
    assert found["clipwise_worker_figure", "fruitbot", "loss"] == 0.5
    assert not [key for key in found if "coinrun" in key or "old" in key]
    assert found["clipwise_worker_process_resident_memory_bytes", None, None] > 1e6


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=r"CLIPWISE_METRICS_PORT"):
            serve_gauges(Gauges(), host="127.0.0.1", port=port)
