from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect

from server.security import host_name, is_cross_site

ANSWER = "/api/v1/runs/coinrun/commands"
PAUSE = {"kind": "pause"}


@pytest.mark.parametrize(
    "path", ["/healthz", "/label/coinrun", "/nothing", "/api/v1/runs", "/api/v1/nothing"]
)
def test_every_response_carries_the_strict_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for kind in ("script-src", "style-src", "media-src", "connect-src"):
        assert policy[kind] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_pages_hold_no_inline_script_or_style(client: TestClient) -> None:
    page = client.get("/label/coinrun").text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    for script in page.split("<script")[1:]:
        assert script.split("</script>")[0].rstrip().endswith(">")
    assert "allowEval&#34;: false" in page


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_loopback_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "a@b:c"])
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    reply = client.get("/healthz", headers={"host": host})
    assert reply.status_code == 421
    assert "127.0.0.1" in reply.json()["message"]


def test_host_name_is_taken_out_of_its_port_and_brackets() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("a.example:80") == "a.example"
    assert host_name("[::1") == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},  # another port of localhost is the same site
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"},
        {"origin": "http://["},
    ],
)
def test_unsafe_methods_from_other_sites_are_refused(
    client: TestClient, workplace: Any, headers: dict[str, str]
) -> None:
    reply = client.post(ANSWER, json=PAUSE, headers=headers)
    assert reply.status_code == 403
    assert reply.json()["error"] == "Forbidden"
    assert client.get("/api/v1/runs/coinrun").json()["state"] == "running"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser: a script
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8000"},
    ],
)
def test_own_pages_and_scripts_are_served(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post(ANSWER, json=PAUSE, headers=headers).status_code == 202


def test_reading_from_elsewhere_by_link_is_allowed(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}
    assert client.get("/label/coinrun", headers=headers).status_code == 200


def test_websockets_from_other_sites_are_refused(client: TestClient) -> None:
    headers = {"origin": "http://evil.example"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers=headers):
        pass


def test_a_missing_origin_is_no_browser() -> None:
    assert not is_cross_site(Headers({"host": "127.0.0.1"}))


@pytest.mark.parametrize("announced", [True, False])
def test_body_over_the_cap_is_refused(client: TestClient, announced: bool) -> None:
    body = b'{"kind": "pause", "x": "' + b"a" * 70_000 + b'"}'

    def in_parts() -> Iterator[bytes]:
        for start in range(0, len(body), 8192):
            yield body[start : start + 8192]

    reply = client.post(
        ANSWER,
        content=body if announced else in_parts(),
        headers={"content-type": "application/json"},
    )
    assert reply.status_code == 413
    assert reply.json()["message"] == "The body is larger than 64 kB."


@pytest.mark.parametrize("length", ["-1", "abc", "9" * 30, "1e3"])
def test_absurd_content_length_is_refused(client: TestClient, length: str) -> None:
    reply = client.post(ANSWER, content=b"{}", headers={"content-length": length})
    assert reply.status_code == 413
