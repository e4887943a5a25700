from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from server.artifacts import Artifacts
from server.errors import ArtifactDamaged, ArtifactMissing, StorageError

CONTENT = b"a clip" * 1000
NAME = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """A local folder, and fsspec's memory, which stands for any object store."""
    if request.param == "folder":
        return Artifacts(str(tmp_path / "artifacts"))
    return Artifacts(f"memory://{tmp_path.name}")


def file_of(folder: Path, name: str) -> Path:
    return folder / "artifacts" / name[:2] / name[2:]


def test_what_is_put_is_got_under_its_hash(store: Artifacts) -> None:
    store.prepare()
    assert not store.exists(NAME)
    assert store.put(CONTENT) == store.put(CONTENT) == NAME
    assert store.exists(NAME)
    assert store.get(NAME) == CONTENT
    assert store.size(NAME) == len(CONTENT)
    with store.open(NAME) as file:
        file.seek(6)
        assert file.read(6) == b"a clip"
    assert store.put(b"") == hashlib.sha256(b"").hexdigest()
    store.delete(NAME)
    store.delete(NAME)
    assert not store.exists(NAME)


@pytest.mark.parametrize("name", [NAME, "../../etc/passwd", "", NAME.upper(), NAME + "0", "0" * 63])
def test_a_name_that_is_not_there_is_missing(store: Artifacts, name: str) -> None:
    assert not store.exists(name)
    for use in (store.get, store.open, store.size):
        with pytest.raises(ArtifactMissing):
            use(name)


def test_damage_is_noticed(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.put(CONTENT)
    path = file_of(tmp_path, NAME)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ArtifactDamaged, match="restore it from a backup"):
        artifacts.get(NAME)
    path.write_bytes(CONTENT[:10])
    artifacts.put(CONTENT)  # a second chance to have it whole
    assert artifacts.get(NAME) == CONTENT


def test_a_reader_never_sees_half_an_artifact(artifacts: Artifacts, tmp_path: Path) -> None:
    content = os.urandom(4_000_000)
    path = file_of(tmp_path, hashlib.sha256(content).hexdigest())
    sizes: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):
                sizes.add(path.stat().st_size)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(5):
        artifacts.put(content)
        time.sleep(0.01)
        path.unlink()
    done.set()
    reader.join()
    assert sizes == {len(content)}


def test_the_same_content_may_be_put_by_many_at_once(artifacts: Artifacts) -> None:
    content = os.urandom(300_000)
    threads = [threading.Thread(target=artifacts.put, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert artifacts.get(hashlib.sha256(content).hexdigest()) == content


def test_a_kill_leaves_no_artifact_and_what_it_leaves_is_swept(tmp_path: Path) -> None:
    script = f"""
import os, signal
from server.artifacts import Artifacts
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
Artifacts({str(tmp_path / "artifacts")!r}).put(b"x" * 100_000)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    assert not artifacts.exists(hashlib.sha256(b"x" * 100_000).hexdigest())
    (left,) = (tmp_path / "artifacts" / "unfinished").iterdir()
    artifacts.prepare()
    assert left.exists()  # it could belong to somebody still writing
    yesterday = time.time() - 2 * 86_400
    os.utime(left, (yesterday, yesterday))
    artifacts.prepare()
    assert not left.exists()


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("not a folder")
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    for use in (artifacts.prepare, lambda: artifacts.put(CONTENT)):
        with pytest.raises(
            StorageError, match=r"cannot write to .*CLIPWISE_ARTIFACTS_URL"
        ) as caught:
            use()
        assert "\n" not in caught.value.message


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """The limit on file sizes stands in for a full disk."""
    script = f"""
import resource, signal
from server.artifacts import Artifacts
from server.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Artifacts({str(tmp_path / "artifacts")!r}).put(b"x" * 100_000)
except StorageError as error:
    print(error.message)
"""
    output = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert output.endswith("the disk is full; free some space\n")
    assert output.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_url_that_cannot_be_used_is_said_in_one_line() -> None:
    with pytest.raises(StorageError, match="CLIPWISE_ARTIFACTS_URL") as caught:
        Artifacts("nonsense://x/y")
    assert "\n" not in caught.value.message
