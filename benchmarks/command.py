"""The `clipwise` command as a benchmark starts it: processes of its own on a free port."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Client:
    """A script beside the browser; every request is a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request and read its JSON; raise on any status that is not a success."""
        headers = {"Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        assert response.status < 300, (method, path, response.status, content)
        return json.loads(content)

    def timed(self, method: str, path: str, body: dict[str, Any] | None = None) -> float:
        """Milliseconds that a request takes."""
        started = time.perf_counter()
        self.call(method, path, body)
        return 1000 * (time.perf_counter() - started)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def clipwise(
    var: Path, port: int, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a folder of its own, ended by Ctrl-C."""
    environment = {**os.environ, "CLIPWISE_VAR": str(var), "CLIPWISE_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        env=environment | dict(settings or {}),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def await_health(port: int, started: float) -> float:
    """Seconds from `started` until the server answers."""
    while True:
        try:
            Client(port).call("GET", "/healthz")
            return time.monotonic() - started
        except ConnectionError:
            time.sleep(0.01)
