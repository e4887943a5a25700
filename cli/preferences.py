"""`clipwise export preferences`, `export clips`, `import preferences`: answers as files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from cli.user import opened
from server.answer_files import Kind, parse, write
from server.artifacts import Artifacts
from server.errors import ClipwiseError
from server.routes.exchange import zipped
from server.settings import load_settings
from server.store import audit, exchange, runs

console = Console()


class FileProblem(ClipwiseError):
    """A file that cannot be written or read, or whose name does not say how it is written."""


def kind_of(path: Path) -> Kind:
    """How a file is written, by the end of its name.

    Raises:
        FileProblem: it ends otherwise.
    """
    try:
        return Kind(path.suffix.removeprefix(".").lower())
    except ValueError as error:
        raise FileProblem(f"{path} must end in {', '.join(f'.{kind}' for kind in Kind)}") from error


def export_answers(name: str, out: Path, *, names: bool) -> None:
    """Write every answer of a run, as they stand at one moment.

    Raises:
        NotFound, FileProblem: no such run, or a file that cannot be written.
    """
    kind = kind_of(out)
    with opened() as database, database.read() as s:
        rows = exchange.answer_rows(s, run=runs.get_run(s, name=name), names=names)
        try:
            with out.open("wb") as file:
                count = write(rows, kind, file)
        except OSError as error:
            raise FileProblem(f"cannot write {out}: {error.strerror}") from error
    console.print(f"{count:,} answers of {name}")
    console.print(str(out), soft_wrap=True)


def export_clips(name: str, out: Path) -> None:
    """Write every clip of a run into a zip archive.

    Raises:
        NotFound, FileProblem: no such run, or a file that cannot be written.
    """
    with opened() as database, database.read() as s:
        clips = exchange.clips(s, run_id=runs.get_run(s, name=name).id)
    try:
        with out.open("wb") as file:
            file.writelines(zipped(Artifacts(load_settings().artifacts_url), clips))
    except OSError as error:
        raise FileProblem(f"cannot write {out}: {error.strerror}") from error
    console.print(f"{len(clips):,} clips of {name}")
    console.print(str(out), soft_wrap=True)


def import_answers(name: str, path: Path) -> None:
    """Store the answers of a file, all or none.

    Raises:
        NotFound, FileProblem: no such run, or a file that cannot be read.
        Refused: lines that cannot be stored, named.
    """
    kind, now = kind_of(path), datetime.now(UTC)
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileProblem(f"cannot read {path}: {error.strerror}") from error
    with file:
        parsed = parse(file, kind)
    with opened() as database, database.write() as s:
        run = runs.get_run(s, name=name)
        count = exchange.add_rows(s, run=run, parsed=parsed, now=now)
        subject = f"{count} answers into {name}"
        audit.note(s, person_id=None, action="imported", subject=subject, now=now)
    console.print(f"{count:,} answers stored in {name}")
