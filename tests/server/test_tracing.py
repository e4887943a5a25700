from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from fastapi.testclient import TestClient

LOG = """
import sys
import structlog
from fastapi.testclient import TestClient
from server.app import create_app
from server.logs import configure_logs
from server.settings import load_settings

configure_logs(sys.argv[1])
settings = load_settings()
with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as client:
    client.get("/runs/nosuch", headers={"X-Request-ID": "from-the-proxy-1"})
    client.get("/healthz")
with structlog.contextvars.bound_contextvars(run="coinrun", run_id=7):
    structlog.get_logger("learner.worker").info("run leased", worker="host-1")
"""


def lines(workplace: Any, wanted: str) -> list[str]:
    """What a process writes to its log."""
    done = subprocess.run(
        [sys.executable, "-c", LOG, wanted],
        env={"CLIPWISE_VAR": str(workplace.settings.var), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


def test_every_answer_has_the_name_of_its_request(client: TestClient) -> None:
    names = [client.get("/healthz").headers["x-request-id"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("from-the-proxy-1", True), ("short", False), ("with space in it", False), ("x" * 65, False)],
)
def test_a_proxys_name_is_kept_if_it_can_be(client: TestClient, given: str, kept: bool) -> None:
    reply = client.get("/healthz", headers={"X-Request-ID": given})
    assert (reply.headers["x-request-id"] == given) is kept


def test_the_log_is_a_json_object_per_line_with_request_and_run(workplace: Any) -> None:
    first, second, third = (json.loads(line) for line in lines(workplace, "json"))
    assert (first["request_id"], first["path"], first["status"]) == (
        "from-the-proxy-1",
        "/runs/nosuch",
        404,
    )
    assert first["milliseconds"] > 0
    assert first["timestamp"].endswith("Z")
    assert second["request_id"] != first["request_id"]
    assert (third["event"], third["run"], third["run_id"], third["level"]) == (
        "run leased",
        "coinrun",
        7,
        "info",
    )


def test_without_a_terminal_it_is_json_as_well(workplace: Any) -> None:
    assert all(json.loads(line) for line in lines(workplace, "auto"))


def test_a_terminal_is_spared_single_requests(workplace: Any) -> None:
    (line,) = lines(workplace, "console")
    assert "run leased" in line
    assert "coinrun" in line
