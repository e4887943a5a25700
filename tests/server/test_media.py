from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.models import Query, QueryState


@pytest.fixture
def clip(client: TestClient, workplace: Any) -> str:
    """Address of the left clip of a fresh pair."""
    workplace.ask(1)
    pair = client.post("/api/v1/runs/coinrun/assignments").json()["assignments"][0]
    address: str = pair["left"]
    return address


def test_clip_is_sent_whole(client: TestClient, workplace: Any, clip: str) -> None:
    reply = client.get(clip)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.content in [workplace.artifacts.get(name) for name in workplace.clips]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=-5", -5, None),
        ("bytes=100-", 100, None),
    ],
)
def test_ranges_are_served(
    client: TestClient, clip: str, wanted: str, start: int, end: int | None
) -> None:
    whole = client.get(clip).content
    reply = client.get(clip, headers={"range": wanted})
    assert reply.status_code == 206
    assert reply.content == whole[start:end]
    first = start % len(whole)
    last = first + len(reply.content) - 1
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
    assert reply.headers["content-length"] == str(len(reply.content))


def test_range_that_reaches_over_the_end_is_cut(client: TestClient, clip: str) -> None:
    whole = client.get(clip).content
    reply = client.get(clip, headers={"range": "bytes=0-99999999"})
    assert (reply.status_code, reply.content) == (206, whole)


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=5-2", "bytes=-0"])
def test_range_outside_is_refused(client: TestClient, clip: str, wanted: str) -> None:
    reply = client.get(clip, headers={"range": wanted})
    assert reply.status_code == 416
    assert reply.headers["content-range"].startswith("bytes */")


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b", "x"])
def test_ranges_not_understood_are_ignored(client: TestClient, clip: str, wanted: str) -> None:
    assert client.get(clip, headers={"range": wanted}).status_code == 200


def test_unchanged_clip_is_not_sent_again(client: TestClient, clip: str) -> None:
    etag = client.get(clip).headers["etag"]
    assert client.get(clip, headers={"if-none-match": etag}).status_code == 304
    assert client.get(clip, headers={"if-none-match": '"other"'}).status_code == 200


def test_range_of_an_older_content_is_not_mixed_with_the_new(client: TestClient, clip: str) -> None:
    etag = client.get(clip).headers["etag"]
    part = {"range": "bytes=0-3"}
    assert client.get(clip, headers=part | {"if-range": etag}).status_code == 206
    assert client.get(clip, headers=part | {"if-range": '"old"'}).status_code == 200


def test_only_the_address_that_names_the_content_is_kept_for_long(
    client: TestClient, clip: str
) -> None:
    assert client.get(clip).headers["cache-control"] == "private, max-age=86400, immutable"
    bare = client.get(clip.split("?")[0])
    assert bare.headers["cache-control"] == "private, no-cache"
    assert client.get(f"{clip}x").headers["cache-control"] == "private, no-cache"


def test_both_sides_show_the_querys_two_clips(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    pair = client.post("/api/v1/runs/coinrun/assignments").json()["assignments"][0]
    sent = {client.get(pair[side]).content for side in ("left", "right")}
    assert sent == {workplace.artifacts.get(name) for name in workplace.clips}


def test_etag_and_address_do_not_name_the_artifact(
    client: TestClient, workplace: Any, clip: str
) -> None:
    reply = client.get(clip)
    for name in workplace.clips:
        assert name[:12] not in reply.headers["etag"]
        assert name[:12] not in clip


def test_somebody_elses_clip_is_refused(client: TestClient, others_assignment: int) -> None:
    reply = client.get(f"/media/assignments/{others_assignment}/left.mp4")
    assert reply.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "999/left.mp4",
        "0/left.mp4",
        "-1/left.mp4",
        "99999999999999999999/left.mp4",
        "1/middle.mp4",
        "1/left.mp4/..%2f..%2fclipwise.db",
        "..%2f..%2fclipwise.db",
        "%00/left.mp4",
    ],
)
def test_other_addresses_lead_nowhere(client: TestClient, clip: str, path: str) -> None:
    reply = client.get(f"/media/assignments/{path}", headers={"accept": "application/json"})
    assert reply.status_code in (404, 422)
    assert reply.json()["message"]


def test_pair_whose_clip_is_gone_is_set_aside(
    client: TestClient, workplace: Any, clip: str
) -> None:
    for name in workplace.clips:
        workplace.artifacts.delete(name)
    reply = client.get(clip, headers={"accept": "application/json"})
    assert reply.status_code == 404
    assert reply.json()["message"] == "this clip is gone; the pair is set aside"
    with workplace.database.read() as s:
        assert s.get_one(Query, 1).state is QueryState.SET_ASIDE
    assert client.post("/api/v1/runs/coinrun/assignments").json()["assignments"] == []
