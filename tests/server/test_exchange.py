"""Exports and imports over HTTP and by the command."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from server.answer_files import MEDIA_TYPES, Kind, parse
from server.credentials import AuditEvent
from server.models import Preference
from server.routes import exchange

ANSWERS = "/api/v1/runs/coinrun/preferences"


@pytest.fixture
def answered(client: Any, workplace: Any) -> Any:
    """Two answers in the run."""
    workplace.ask(2)
    for pair in client.post("/api/v1/runs/coinrun/assignments").json()["assignments"]:
        body = {"side": "left", "submission_key": f"answer-{pair['id']}", "comment": 'a,"b"\nc'}
        assert client.post(f"/api/v1/assignments/{pair['id']}/answer", json=body).status_code == 201
    return client


def forget(workplace: Any) -> None:
    with workplace.database.write() as s:
        s.execute(delete(Preference))


@pytest.mark.parametrize("kind", list(Kind))
def test_answers_go_out_and_come_in_over_http(answered: Any, workplace: Any, kind: Kind) -> None:
    reply = answered.get(ANSWERS, params={"format": kind})
    assert reply.headers["content-type"] == MEDIA_TYPES[kind]
    assert reply.headers["content-disposition"].endswith(f'"coinrun-preferences.{kind}"')
    rows = [row for _, row in parse(io.BytesIO(reply.content), kind).rows]
    assert [(row.annotator, row.comment) for row in rows] == [("annotator-1", 'a,"b"\nc')] * 2
    again = answered.post(ANSWERS, params={"format": kind}, content=reply.content)
    assert again.status_code == 422
    assert "duplicate of an answer that is stored already" in again.json()["message"]
    forget(workplace)
    taken = answered.post(ANSWERS, params={"format": kind}, content=reply.content)
    assert (taken.status_code, taken.json()) == (201, {"rows": 2})
    with workplace.database.read() as s:
        assert s.scalar(select(func.count()).select_from(Preference)) == 2
        assert s.scalars(select(AuditEvent.subject)).all() == ["2 answers into coinrun"]


def test_an_export_with_names_is_in_the_log(answered: Any, workplace: Any) -> None:
    reply = answered.get(ANSWERS, params={"names": True})
    assert b",local," in reply.content
    answered.get(ANSWERS)
    with workplace.database.read() as s:
        noted = s.execute(select(AuditEvent.action, AuditEvent.subject)).all()
    assert [tuple(row) for row in noted] == [("exported with names", "coinrun")]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"id": ' + "9" * 5000 + "}", "{", "NaN", "[]"])
def test_lines_that_are_no_json_are_refused_by_their_number(answered: Any, line: str) -> None:
    reply = answered.post(ANSWERS, params={"format": "jsonl"}, content=f"\n{line}\n".encode())
    assert reply.status_code == 422
    assert reply.json()["message"].startswith("nothing was imported: line 2: ")


def test_a_file_may_be_larger_than_other_bodies_but_not_endless(answered: Any) -> None:
    reply = answered.post(ANSWERS, params={"format": "jsonl"}, content=b"\n" * 200_000)
    assert (reply.status_code, reply.json()) == (201, {"rows": 0})
    reply = answered.post(ANSWERS, content=b"", headers={"content-length": "64000001"})
    assert reply.status_code == 413


def test_clips_come_as_a_zip_named_by_their_segments(answered: Any, workplace: Any) -> None:
    workplace.artifacts.delete(workplace.clips[0])
    reply = answered.get("/api/v1/runs/coinrun/clips.zip")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == ["2.mp4", "3.mp4", "4.mp4", "missing.txt"]
        assert archive.read("missing.txt") == b"1.mp4\n"
        assert archive.read("2.mp4") == workplace.artifacts.get(workplace.clips[1])


def test_a_file_is_read_before_others_have_to_wait(
    answered: Any, workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = answered.get(ANSWERS, params={"format": "csv"}).content
    forget(workplace)
    seen = []

    def watched(*given: Any) -> Any:
        with workplace.database.write() as s:  # would wait in vain for the import's transaction
            seen.append(s.scalar(select(func.count()).select_from(Preference)))
        return parse(*given)

    monkeypatch.setattr(exchange, "parse", watched)
    assert answered.post(ANSWERS, content=content).status_code == 201
    assert seen == [0]


def test_the_command_writes_and_reads_the_same(
    answered: Any, workplace: Any, monkeypatch: Any, tmp_path: Any, capsys: Any
) -> None:
    from cli.preferences import FileProblem, export_answers, export_clips, import_answers

    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    export_answers("coinrun", tmp_path / "answers.jsonl", names=True)
    assert b'"annotator": "local"' in (tmp_path / "answers.jsonl").read_bytes()
    export_clips("coinrun", tmp_path / "clips.zip")
    assert len(zipfile.ZipFile(tmp_path / "clips.zip").namelist()) == 4
    forget(workplace)
    import_answers("coinrun", tmp_path / "answers.jsonl")
    assert "2 answers stored in coinrun" in capsys.readouterr().out
    with pytest.raises(FileProblem, match=r"must end in \.csv, \.jsonl, \.parquet"):
        export_answers("coinrun", tmp_path / "answers.xlsx", names=False)
    with pytest.raises(FileProblem, match="cannot read"):
        import_answers("coinrun", tmp_path / "none.csv")
    with pytest.raises(FileProblem, match="cannot write"):
        export_answers("coinrun", tmp_path / "none" / "a.csv", names=False)


def test_the_page_leads_to_all_of_them(answered: Any) -> None:
    page = answered.get("/runs/coinrun/export").text
    for kind in Kind:
        assert f"{ANSWERS}?format={kind}" in page
    assert "/api/v1/runs/coinrun/clips.zip" in page
    assert "for a formula: import that column as text" in page
