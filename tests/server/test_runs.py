"""The runs overview and a run's page, as a browser gets them."""

from __future__ import annotations

import csv
import io
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from server import charts
from server.app import Server, create_app
from server.artifacts import Artifacts
from server.curves import POINTS
from server.database import Database
from server.models import Command, Run, RunState
from server.settings import Settings
from server.store import metrics, runs, versions

CONFIG: dict[str, Any] = {
    "name": "coinrun-3",
    "seed": 7,
    "threads": None,
    "environment": {"id": "procgen/coinrun", "use_backgrounds": True, "options": {}},
    "queries": {"budget": 500, "schedule": {"kind": "hyperbolic", "scale": 5e6}},
    "teacher": {"kind": "person"},
}
MakeRun = Callable[..., int]


@pytest.fixture
def client(database_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a real server on the test's database."""
    settings = Settings(
        var=tmp_path, database_url=database_url, artifacts_url=str(tmp_path / "artifacts")
    )
    app = create_app(settings)
    server = Server(uvicorn.Config(app, port=0, log_level="warning"), app.state.stop)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.handle_exit(signal.SIGTERM, None)
    thread.join()


@pytest.fixture
def make_run(database: Database) -> MakeRun:
    def make(
        name: str = "coinrun-3",
        *,
        state: RunState = RunState.RUNNING,
        reason: str = "",
        heard: float | None = 2.0,
        config: dict[str, Any] = CONFIG,
        environment: str = "procgen/coinrun",
    ) -> int:
        now = datetime.now(UTC)
        with database.write() as s:
            run = runs.create_run(
                s,
                name=name,
                environment=environment,
                config=config,
                seed=7,
                total_steps=5_000_000,
                label_budget=500,
                now=now,
            )
            run.state = state
            run.reason = reason
            run.iteration = 41
            run.steps = 1_310_000
            run.steps_per_second = 1480.2
            if heard is not None:
                run.worker = "host:1"
                run.heartbeat_at = now - timedelta(seconds=heard)
                run.lease_expires_at = now + timedelta(seconds=30 - heard)
            return run.id

    return make


def words(html: str) -> str:
    """What a person reads: the text, tags removed, space collapsed."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def test_an_empty_overview_says_how_to_start(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "No runs yet" in page.text
    assert '<code id="first-run">clipwise up</code>' in page.text


def test_the_overview_shows_each_run_in_a_row(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    run_id = make_run()
    make_run("quiet-1", heard=95)
    make_run("new-1", state=RunState.WAITING, heard=None)
    with database.write() as s:
        for step, value in ((100, 4.0), (200, 5.5), (300, 6.94)):
            metrics.add_metrics(
                s,
                run_id=run_id,
                step=step,
                values={"evaluation/return_test": value},
                now=datetime.now(UTC),
            )
    page = client.get("/").text
    rows = {
        name: page.split(f'<tr id="run-{name}">')[1].split("</tr>")[0]
        for name in ("coinrun-3", "quiet-1", "new-1")
    }
    assert "running" in words(rows["coinrun-3"])
    assert "1.31 M / 5 M" in words(rows["coinrun-3"])
    assert "6.94" in words(rows["coinrun-3"])
    assert len(re.findall(r"[\d.]+,[\d.]+", rows["coinrun-3"].split("<polyline")[1])) == 3
    assert "worker gone 1 alarm" in words(rows["quiet-1"])
    assert 'title="Learner gone"' in rows["quiet-1"]
    assert "2 min ago" in words(rows["quiet-1"])
    assert "waiting" in words(rows["new-1"])
    assert "never" in words(rows["new-1"])


def test_times_are_relative_with_the_exact_time_on_hover(
    client: httpx.Client, make_run: MakeRun
) -> None:
    make_run(heard=95)
    found = re.search(
        r'<time datetime="([^"]+)" title="([^"]+ UTC)" data-ago>', client.get("/").text
    )
    assert found
    age = datetime.now(UTC) - datetime.fromisoformat(found[1])
    assert timedelta(seconds=94) < age < timedelta(seconds=120)


def test_the_first_line_says_whether_it_is_alive(client: httpx.Client, make_run: MakeRun) -> None:
    make_run()
    line = words(client.get("/runs/coinrun-3").text.split('id="standing"')[1].split("</header>")[0])
    assert "coinrun-3 running" in line
    assert "iteration 41" in line
    assert "1.31 M / 5 M steps" in line
    assert "1,480 steps/s" in line
    assert re.search(r"heartbeat \d+ s", line)
    assert "Pause" in line
    assert "Stop" in line
    assert "Label" in line


def test_a_silent_worker_is_called_gone(client: httpx.Client, make_run: MakeRun) -> None:
    make_run(heard=130)
    line = words(client.get("/runs/coinrun-3").text)
    assert "No heartbeat for 2 min : the worker is gone; start one with clipwise work" in line
    assert "1,480 steps/s" not in line


def test_a_heartbeat_of_a_time_to_come_is_silence(client: httpx.Client, make_run: MakeRun) -> None:
    make_run(heard=-40)
    line = words(client.get("/runs/coinrun-3").text)
    assert "worker gone" in line
    assert "The last heartbeat is of a time to come, so a clock was set back: the worker" in line
    assert "worker gone" in words(client.get("/").text)


@pytest.mark.parametrize(
    ("state", "reason", "said", "offered"),
    [
        (RunState.WAITING, "", "Waiting for a worker", {"pause", "stop"}),
        (RunState.WAITING, "3 of 10 answers", "Waiting: 3 of 10 answers", {"pause", "stop"}),
        (RunState.PAUSED, "", "Paused. Nothing is lost", {"resume", "stop"}),
        (RunState.STOPPED, "", "Stopped. Its last checkpoint is kept", {"resume"}),
        (RunState.FAILED, "unknown game <b>x</b>", "Failed: unknown game &lt;b&gt;", {"resume"}),
        (RunState.FINISHED, "", "Finished: all 5 M steps are done", set()),
    ],
)
def test_every_state_says_why_and_what_can_be_done(
    client: httpx.Client,
    make_run: MakeRun,
    state: RunState,
    reason: str,
    said: str,
    offered: set[str],
) -> None:
    make_run(state=state, reason=reason, heard=None)
    html = client.get("/runs/coinrun-3").text
    assert said in words(html)
    assert set(re.findall(r'action="/runs/coinrun-3/(pause|resume|stop)"', html)) == offered


def test_pausing_without_a_script_goes_back_to_the_page(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    run_id = make_run(heard=None)
    answer = client.post("/runs/coinrun-3/pause", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs/coinrun-3"
    with database.read() as s:
        assert s.get_one(Run, run_id).state is RunState.PAUSED
    assert "Paused. Nothing is lost" in words(client.get("/runs/coinrun-3").text)


def test_a_command_waits_for_a_live_worker_and_says_so(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    make_run()
    fragment = client.post("/runs/coinrun-3/stop", headers={"HX-Request": "true"})
    assert fragment.status_code == 200
    assert "<html" not in fragment.text
    assert "Asked to stop" in words(fragment.text)
    with database.read() as s:
        assert [row.taken_at for row in s.query(Command)] == [None]


def test_a_refused_command_says_why(client: httpx.Client, make_run: MakeRun) -> None:
    make_run(state=RunState.FINISHED, heard=None)
    answer = client.post("/runs/coinrun-3/resume", headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert "the run is finished; it cannot resume" in words(answer.text)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/runs/nobody", 404),
        ("GET", "/runs/nobody/config", 404),
        ("GET", "/runs/nobody/versions", 404),
        ("GET", "/runs/nobody/metrics", 404),
        ("GET", "/runs/nobody/metrics.csv?names=a", 404),
        ("GET", "/runs/nobody/events", 404),
        ("POST", "/runs/nobody/pause", 404),
        ("POST", "/runs/coinrun-3/explode", 422),
        ("GET", "/runs/coinrun-3/metrics.csv", 422),
        ("GET", "/runs/coinrun-3/metrics.csv?" + "&".join(["names=a"] * 51), 422),
        ("GET", "/runs/%00/config", 404),
        ("GET", "/runs/coinrun-3/metrics.csv?names=%00", 422),
        ("GET", "/runs/" + "x" * 3000, 404),
    ],
)
def test_wrong_addresses_are_refused(
    client: httpx.Client, make_run: MakeRun, method: str, path: str, status: int
) -> None:
    make_run()
    answer = client.request(method, path)
    assert answer.status_code == status
    assert 'class="problem"' in answer.text


def test_a_fresh_run_has_a_word_for_everything_that_is_missing(
    client: httpx.Client, make_run: MakeRun
) -> None:
    make_run(state=RunState.WAITING, heard=None)
    text = words(client.get("/runs/coinrun-3").text)
    for sentence in (
        "no heartbeat yet",
        "The first finished episodes will show here.",
        "Shows after the first fit",
        "No video yet. One is made at each kept checkpoint.",
        "No answers yet; the first pairs appear when the agent has played a little.",
        "None yet. The first is fitted as soon as there are enough answers.",
    ):
        assert sentence in text
    assert "None yet. They come with the first iteration." in words(
        client.get("/runs/coinrun-3/metrics").text
    )


def test_a_run_with_a_synthetic_teacher_cannot_be_labelled(
    client: httpx.Client, make_run: MakeRun
) -> None:
    make_run(config=CONFIG | {"teacher": {"kind": "synthetic"}})
    for path in ("/", "/runs/coinrun-3"):
        assert "/label/coinrun-3" not in client.get(path).text


def test_versions_newest_first_with_what_they_know(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    run_id = make_run()
    with database.write() as s:
        for count, accuracy in ((20, 0.5), (40, 0.75), (60, float("nan"))):
            versions.add_reward_model(
                s,
                run_id=run_id,
                artifact="0" * 64,
                iteration=count // 20,
                steps=count * 1000,
                preferences=count,
                last_preference_id=None,
                metrics={"reward_model/accuracy_heldout": accuracy} if count < 60 else {},
                now=datetime.now(UTC),
            )
    for path in ("/runs/coinrun-3", "/runs/coinrun-3/versions"):
        text = words(client.get(path).text)
        assert text.index("v3 ") < text.index("v2 ") < text.index("v1 ")
        assert "75.0 %" in text


def test_the_newest_video_plays_and_earlier_ones_are_in_reach(
    client: httpx.Client, make_run: MakeRun, database: Database, tmp_path: Path
) -> None:
    run_id = make_run()
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    ids = []
    with database.write() as s:
        for iteration in (10, 20, 30):
            checkpoint, _ = versions.add_checkpoint(
                s,
                run_id=run_id,
                iteration=iteration,
                steps=iteration * 1000,
                artifact="0" * 64,
                kept=True,
                now=datetime.now(UTC),
            )
            ids.append(checkpoint.id)
            if iteration < 30:  # the newest has no video yet
                video = artifacts.put(f"video {iteration}".encode())
                versions.set_video(s, checkpoint_id=checkpoint.id, video=video)
    html = client.get("/runs/coinrun-3").text
    newest, earlier = f"/media/checkpoints/{ids[1]}.mp4", f"/media/checkpoints/{ids[0]}.mp4"
    assert f'src="{newest}"' in html
    assert re.findall(r'href="(/media/[^"]+)"', html) == [newest, earlier]
    answer = client.get(newest, headers={"Range": "bytes=0-4"})
    assert (answer.status_code, answer.content) == (206, b"video")
    assert client.get(f"/media/checkpoints/{ids[2]}.mp4").status_code == 404


def test_metric_names_are_text_wherever_they_stand(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    run_id = make_run(environment="<script>alert(2)</script>")
    name = "evil/<img src=x onerror=alert(1)>&\"'"
    with database.write() as s:
        metrics.add_metrics(s, run_id=run_id, step=1, values={name: 1.0}, now=datetime.now(UTC))
    page = client.get("/runs/coinrun-3/metrics").text
    assert "<img" not in page
    assert "evil/&lt;img src=x onerror=alert(1)&gt;" in page
    link = re.search(r'href="(/runs/coinrun-3/metrics\.csv\?names=evil[^"]*)"', page)
    assert link
    rows = list(csv.reader(io.StringIO(client.get(link[1]).text)))
    assert rows == [["step", name], ["1", "1.0"]]
    assert "<script>alert" not in client.get("/").text


def test_the_csv_holds_every_point(
    client: httpx.Client, make_run: MakeRun, database: Database
) -> None:
    run_id = make_run()
    with database.write() as s:
        for step in range(2000):  # more than a curve would draw
            values = {"time/fps": step + 0.25}
            if step % 1000 == 0:
                values["evaluation/return_test"] = 5.0
            metrics.add_metrics(s, run_id=run_id, step=step, values=values, now=datetime.now(UTC))
    answer = client.get(
        "/runs/coinrun-3/metrics.csv?names=time/fps&names=evaluation/return_test&names=no/such"
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "coinrun-3-metrics.csv" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["step", "time/fps", "evaluation/return_test", "no/such"]
    assert len(rows) == 2001
    assert rows[1] == ["0", "0.25", "5.0", ""]
    assert rows[2] == ["1", "1.25", "", ""]


def test_every_chart_links_the_csv_of_its_own_lines(
    client: httpx.Client, make_run: MakeRun
) -> None:
    make_run()
    html = client.get("/runs/coinrun-3").text
    figures = html.split("<figure")[1:]
    assert len(figures) == len(charts.CHARTS)
    for figure in figures:
        lines = re.findall(r'data-line="([^"]+)"', figure)
        link = re.search(r'href="/runs/coinrun-3/metrics\.csv\?([^"]+)"', figure)
        assert link
        named = link[1].replace("names=", "").split("&amp;")
        assert named[: len(lines)] == lines
        assert set(named) <= set(POINTS)


def test_the_config_is_shown_whole(client: httpx.Client, make_run: MakeRun) -> None:
    make_run()
    text = words(client.get("/runs/coinrun-3/config").text)
    for pair in (
        "seed 7",
        "threads none",
        "use_backgrounds yes",
        "options –",
        "budget 500",
        "schedule.kind hyperbolic",
        "kind person",
    ):
        assert pair in text
