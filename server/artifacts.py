"""The artifact store: large data under the SHA-256 of its content.

A local folder, or any URL that fsspec knows (`s3://bucket/folder`). An artifact appears whole or
not at all: locally it is written beside its place and renamed, an object store shows an
object when its upload has ended. Write the artifact first, then the row that names it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from server.errors import ArtifactDamaged, ArtifactMissing, StorageError

_NAME = re.compile(r"[0-9a-f]{64}")
_STALE_SECONDS = 86_400.0


class Artifacts:
    """A place for bytes that never change."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self._explained("open"):
            self._files, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)

    def prepare(self) -> None:
        """Make a local store's folders and sweep up what a killed process left unfinished.

        Raises:
            StorageError: the folder cannot be made or written.
        """
        if not self._local:
            return
        with self._explained("write to"):
            self._unfinished.mkdir(parents=True, exist_ok=True)
            probe = self._unfinished / uuid.uuid4().hex
            probe.touch()
            probe.unlink()
            for path in self._unfinished.iterdir():
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink(missing_ok=True)

    def put(self, content: bytes) -> str:
        """Store `content` and return its name; storing it again changes nothing.

        Raises:
            StorageError: the store cannot be written, or is full.
        """
        name = hashlib.sha256(content).hexdigest()
        path = self._path(name)
        with self._explained("write to"):
            if self._files.exists(path) and self._files.size(path) == len(content):
                return name
            if self._local:
                self._write_and_rename(Path(path), content)
            else:
                self._files.pipe_file(path, content)
        return name

    def get(self, name: str) -> bytes:
        """Return the content of `name`, checked against its name.

        Raises:
            ArtifactMissing: nothing is stored under it.
            ArtifactDamaged: something else is.
        """
        with self.open(name) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != name:
            raise ArtifactDamaged(f"artifact {name} is damaged; restore it from a backup")
        return content

    def open(self, name: str) -> BinaryIO:
        """Open for reading and seeking, unchecked; for media served in ranges.

        Raises:
            ArtifactMissing: nothing is stored under it.
        """
        path = self._path(name)
        with self._explained("read from", name):
            return cast("BinaryIO", self._files.open(path, "rb"))

    def size(self, name: str) -> int:
        """Length in bytes.

        Raises:
            ArtifactMissing: nothing is stored under it.
        """
        path = self._path(name)
        with self._explained("read from", name):
            return int(self._files.size(path))

    def exists(self, name: str) -> bool:
        """Whether something is stored under `name`."""
        if not _NAME.fullmatch(name):
            return False
        with self._explained("read from"):
            return bool(self._files.exists(self._path(name)))

    def delete(self, name: str) -> None:
        """Remove `name`, if it is there. Delete the row that names it first."""
        path = self._path(name)
        with self._explained("write to"), suppress(FileNotFoundError):
            self._files.rm_file(path)

    @property
    def _unfinished(self) -> Path:
        return Path(self._root) / "unfinished"

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ArtifactMissing(f"no artifact {name[:80]!r}")
        return f"{self._root}/{name[:2]}/{name[2:]}"

    def _write_and_rename(self, path: Path, content: bytes) -> None:
        self._unfinished.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        unfinished = self._unfinished / uuid.uuid4().hex
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a row must never outlive the artifact it names
            unfinished.replace(path)
            _flush_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, verb: str, name: str | None = None) -> Iterator[None]:
        """Turn failures of the store into one line."""
        try:
            yield
        except FileNotFoundError as error:
            if name is None:
                raise StorageError(f"cannot {verb} {self.url}: {_reason(error)}") from error
            raise ArtifactMissing(f"artifact {name} is gone; restore it from a backup") from error
        except (OSError, ValueError, ImportError) as error:
            raise StorageError(f"cannot {verb} {self.url}: {_reason(error)}") from error


def _flush_folder(folder: Path) -> None:
    """Make a renaming last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    """What happened and what to do."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full; free some space"
    what = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return f"{what}; set CLIPWISE_ARTIFACTS_URL to a place that can be used"
