"""A comparison as one HTML file that needs no network: styles, pictures and videos are inside."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from server import comparison, contrast, pictures
from server.artifacts import Artifacts
from server.contrast import Contrast
from server.errors import ClipwiseError
from server.models import Checkpoint
from server.pages import WEB, make_templates
from server.store import alarms

log = structlog.get_logger()

MOST_BYTES = 9_500_000
"""Of the whole file; videos that would not fit are left out, and the file says so."""

_STYLES = ("vendor/pico.min.css", "css/clipwise.css", "css/compare.css")


def write_report(
    s: Session, artifacts: Artifacts, *, shown: Contrast, command: str, now: datetime
) -> str:
    """The page of a comparison as one file.

    Args:
        s: the session.
        artifacts: where videos are.
        shown: the comparison.
        command: what wrote it, for whoever wants it again.
        now: moment of writing.
    """
    rows = [column.run for column in shown.columns]
    more = [
        (other, picture)
        for name in contrast.OFFERED
        if name != shown.metric
        for other in (contrast.read_contrast(s, rows=rows, metric=name),)
        for picture in (pictures.mean_curves(other),)
        if picture is not None
    ]
    context: dict[str, Any] = {
        "shown": shown,
        "curves": pictures.mean_curves(shown),
        "profiles": pictures.profiles(shown),
        "resamples": comparison.RESAMPLES,
        "linked": False,
        "more": more,
        "ringing": [(run, one) for run in rows for one in alarms.uncleared(s, run_id=run.id)],
        "styles": "\n".join((WEB / "static" / name).read_text() for name in _STYLES),
        "command": command,
        "now": now,
        "sources": {},
    }
    template = make_templates("").env.get_template("report/report.html")
    plain = template.render(context)
    sources = _videos(s, artifacts, shown, room=MOST_BYTES - len(plain.encode()))
    return template.render(context | {"sources": sources})


def _videos(s: Session, artifacts: Artifacts, shown: Contrast, *, room: int) -> dict[str, str]:
    """Videos as addresses that hold them, by run, as long as there is room."""
    found = {}
    for one in shown.videos:
        checkpoint = None if one.checkpoint is None else s.get(Checkpoint, one.checkpoint)
        if checkpoint is None or not checkpoint.video:
            continue
        try:
            content = artifacts.get(checkpoint.video)
        except ClipwiseError as error:
            log.warning("video left out", run=one.run, reason=str(error))
            continue
        text = "data:video/mp4;base64," + base64.b64encode(content).decode()
        if len(text) <= room:
            room -= len(text)
            found[one.run] = text
    return found
