"""Demonstrations to watch, strong to weak, in both views: a page per game."""

from __future__ import annotations

import base64

import numpy as np

from learner.clips import render_agent_view, render_clip
from learner.study.config import StudyConfig
from learner.study.folder import StudyError, StudyFolder, read_json, write_whole
from learner.study.pages import templates
from learner.study.recording import Entry, path_of
from learner.trajectories import Segment, Trajectory

_LONGEST = 300  # steps of a demonstration that are shown, its last ones


def make_gallery(study: StudyConfig, folder: StudyFolder, game: str) -> None:
    """Film some test demonstrations, evenly spread from the best to the worst.

    Raises:
        StudyError: there are none.
    """
    place = folder.demonstrations(game, "test")
    entries = [Entry(**values) for values in read_json(place / "index.json")]
    if not entries:
        raise StudyError(f"{place} holds no demonstrations; remove it and start the study again")
    order = sorted(entries, key=lambda one: -one.true_return)
    spread = np.linspace(0, len(order) - 1, min(study.gallery, len(order))).round().astype(int)
    shown = [order[int(at)] for at in spread]
    films = [_film(Trajectory.from_bytes(path_of(place, one.number).read_bytes())) for one in shown]
    page = (
        templates()
        .get_template("gallery.html")
        .render(study=study, game=game, demonstrations=list(zip(shown, films, strict=True)))
    )
    write_whole(folder.gallery(game), lambda file: file.write(page.encode()))


def _film(trajectory: Trajectory) -> tuple[str, str | None]:
    """The end of a demonstration as people see it, and as the agent does, base64-coded."""
    length = min(trajectory.steps, _LONGEST)
    segment = Segment(trajectory, trajectory.steps - length, length)
    seen = render_agent_view(segment)
    people = base64.b64encode(render_clip(segment)).decode()
    return people, None if seen is None else base64.b64encode(seen).decode()
