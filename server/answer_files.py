"""Answers as files: CSV, JSON lines and Parquet, one row per answer, written and read as streams.

A clip is known by its recipe: where its trajectory is stored, first step, length. That is the same
wherever the run's artifacts are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from server.errors import Invalid
from server.models import Answer, Purpose, Strength, TeacherKind

BATCH = 1000
"""Rows in memory at once."""

_MOST_PROBLEMS = 20


class Kind(StrEnum):
    """How a file of answers is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Kind.CSV: "text/csv; charset=utf-8",
    Kind.JSONL: "application/x-ndjson",
    Kind.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class Parsed:
    """A file's rows with their lines, and what is wrong with its other lines."""

    rows: list[tuple[int, AnswerRow]]
    problems: list[str]


class Refused(Invalid):
    """A file that cannot be taken in, with the reason for each line."""

    def __init__(self, problems: list[str]) -> None:
        shown = "; ".join(problems[:_MOST_PROBLEMS])
        more = len(problems) - _MOST_PROBLEMS
        super().__init__(f"nothing was imported: {shown}{f'; and {more} more' if more > 0 else ''}")
        self.problems = problems


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


MAYBE = BeforeValidator(_none_if_empty)
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Artifact = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Recipe = Annotated[str, Field(pattern=r"^[0-9a-f]{64}/\d{1,9}/\d{1,9}$")]
Line = Annotated[str, Field(max_length=120, pattern=r"^[^\x00-\x1f]+$")]


class AnswerRow(BaseModel):
    """One answer with its pair; withdrawn and corrected ones are there as well.

    Attributes:
        left: the segment that was on the left; None where no sides were shown.
        counts: whether it was neither withdrawn nor corrected; not read on import.
        replaces: the row that no longer counts because of this one.
        annotator: a pseudonym, unless names were asked for; others than people by their name.
        key: of the submission: the same answer twice is a duplicate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Number
    run: Line
    query: Number
    iteration: Annotated[int, Field(ge=0, le=2**31 - 1)]
    segment_a: Number
    segment_b: Number
    clip_a: Annotated[Artifact | None, MAYBE]
    clip_b: Annotated[Artifact | None, MAYBE]
    recipe_a: Recipe
    recipe_b: Recipe
    left: Annotated[Literal["a", "b"] | None, MAYBE]
    answer: Answer
    strength: Annotated[Strength | None, MAYBE]
    purpose: Purpose
    gold: Annotated[Answer | None, MAYBE]
    flagged: bool
    comment: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
    seconds: Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, MAYBE]
    late: bool
    counts: bool
    replaces: Annotated[Number | None, MAYBE]
    teacher: TeacherKind
    annotator: Line
    key: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]+$")]
    answered_at: AwareDatetime

    @model_validator(mode="after")
    def _can_be(self) -> AnswerRow:
        if self.gold not in (None, Answer.A, Answer.B, Answer.TIE):
            raise ValueError("gold is a, b or tie")
        if self.strength is not None and self.answer not in (Answer.A, Answer.B):
            raise ValueError("strength goes with a and b only")
        return self


COLUMNS = tuple(AnswerRow.model_fields)


def write(rows: Iterable[AnswerRow], kind: Kind, file: BinaryIO) -> int:
    """Write rows and return how many.

    Raises:
        Invalid: Parquet, and what writes it is not installed.
    """
    if kind is Kind.PARQUET:
        return _write_parquet(rows, file)
    count = 0
    if kind is Kind.CSV:
        file.write(_csv_line(COLUMNS))
    for row in rows:
        plain = row.model_dump(mode="json")
        line = _csv_line(_cells(plain)) if kind is Kind.CSV else _json_line(plain)
        file.write(line)
        count += 1
    return count


def parse(file: BinaryIO, kind: Kind) -> Parsed:
    """Rows with their line numbers; a Parquet file's rows count from 1.

    Raises:
        Refused: it is no such file at all.
    """
    found = Parsed([], [])
    # JSON by pydantic: it refuses what is nested too deeply, and numbers without end.
    judge = AnswerRow.model_validate_json if kind is Kind.JSONL else AnswerRow.model_validate
    for line, values in _read_plain(file, kind):
        try:
            found.rows.append((line, judge(values)))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "row"
            found.problems.append(f"line {line}: {where}: {first['msg']}")
    return found


def _read_plain(file: BinaryIO, kind: Kind) -> Iterator[tuple[int, Any]]:
    if kind is Kind.PARQUET:
        yield from enumerate(_read_parquet(file), 1)
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        if kind is Kind.CSV:
            reader = csv.DictReader(text, restkey="more columns than the first line names")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise Refused([f"line 1: no column {', '.join(missing)}"])
            for row in reader:
                yield reader.line_num, row
        else:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield number, line
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused([f"this is no {kind.upper()} file in UTF-8 ({error})"]) from error
    finally:
        text.detach()  # the file is the caller's to close


def _cells(plain: dict[str, Any]) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in plain.values()]


def _csv_line(cells: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # "\r\n" ends a line: else a lone "\r" would go unquoted
    return line.getvalue().encode()


def _json_line(plain: dict[str, Any]) -> bytes:
    return (json.dumps(plain, ensure_ascii=False) + "\n").encode()


# ---- Parquet ------------------------------------------------------------------------------------


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise Invalid(
            "Parquet needs pyarrow, which is not installed here: pip install 'clipwise[parquet]'; "
            "or take csv or jsonl"
        ) from error
    return pyarrow


def _schema(arrow: Any) -> Any:
    whole = ("id", "query", "iteration", "segment_a", "segment_b", "replaces")
    kinds = dict.fromkeys(whole, arrow.int64()) | {"seconds": arrow.float64()}
    kinds |= dict.fromkeys(("flagged", "late", "counts"), arrow.bool_())
    kinds["answered_at"] = arrow.timestamp("us", tz="UTC")
    return arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])


def _write_parquet(rows: Iterable[AnswerRow], file: BinaryIO) -> int:
    arrow = _arrow()
    schema, count, source = _schema(arrow), 0, iter(rows)
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        while batch := [_typed(row) for row in islice(source, BATCH)]:
            writer.write_table(arrow.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _typed(row: AnswerRow) -> dict[str, Any]:
    return row.model_dump(mode="json") | {"answered_at": row.answered_at}


def _read_parquet(file: BinaryIO) -> Iterator[dict[str, Any]]:
    arrow = _arrow()
    try:
        for batch in arrow.parquet.ParquetFile(file).iter_batches(BATCH):
            yield from batch.to_pylist()
    except (arrow.ArrowException, ValueError, OverflowError, OSError) as error:
        raise Refused([f"this is no Parquet file ({str(error).splitlines()[0]})"]) from error
