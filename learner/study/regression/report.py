"""The report of a study of regressed rewards: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from learner.study.folder import StudyFolder, write_whole
from learner.study.pages import templates
from learner.study.regression import drawing
from learner.study.regression.cases import Fitted, cases, models
from learner.study.regression.summary import RegressionResults, tables

KINDS = {
    "counterfactuals": "Mazes that no episode had",
    "predictions": "Predictions along the trained policy's steps",
    "saliency": "Where the reward comes from",
}


def write_report(results: RegressionResults, folder: StudyFolder) -> Path:
    """Draw everything that finished and write report.html."""
    page = (
        templates()
        .get_template("regression/report.html")
        .render(
            study=results.study,
            problems=results.problems,
            games=[_game(results, folder, game) for game in results.study.games],
        )
    )
    path = folder.root / "report.html"
    write_whole(path, lambda file: file.write(page.encode()))
    return path


def _game(results: RegressionResults, folder: StudyFolder, game: str) -> dict[str, Any]:
    """Everything that the page shows of a game; pictures are those of the first seed."""
    (case,) = [one for one in cases(results.study) if (one.game, one.seed) == (game, 0)]
    drawn = [
        {"title": f"{title}: {fitted.variant.name}", "picture": _embedded(path.read_bytes())}
        for fitted in models(results.study, case)
        for kind, title in KINDS.items()
        if (path := _picture(folder, fitted, kind)).exists()
    ]
    for place in results.study.agents.games or (game,):
        own = {
            paid.name: [
                one["curve"]
                for one in results.agents
                if one["agent"]["game"] == game
                and (one["agent"]["trained_in"], one["agent"]["paid"]) == (place, paid.name)
            ]
            for paid in results.study.agents.paid
        }
        shown = {name: found for name, found in own.items() if found}
        if shown:
            title = f"Agents in {place}, by what they are paid"
            drawn.append({"title": title, "picture": _embedded(drawing.curves(shown))})
    return {"name": game, "tables": tables(results, game), "figures": drawn}


def _picture(folder: StudyFolder, fitted: Fitted, kind: str) -> Path:
    return fitted.case.figures(folder).with_name(f"{fitted.name}-{kind}.png")


def _embedded(content: bytes) -> str:
    return base64.b64encode(content).decode()
