"""What a case's regressed rewards have learned, as numbers and pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from learner.envs.maze import Maze
from learner.study.folder import StudyError, StudyFolder, write_json, write_whole
from learner.study.regression import drawing, mazes, screens
from learner.study.regression.cases import Case, Fitted, models
from learner.study.regression.config import RegressionConfig
from learner.study.regression.fitting import open_model
from learner.study.regression.transitions import read


def inspect_models(study: RegressionConfig, folder: StudyFolder, case: Case) -> None:
    """Look at every reward of a case; the pictures first, for the numbers say that it is done."""
    if case.game.startswith("maze/"):
        found = _in_maze(study, folder, case)
    elif case.game.startswith("ALE/"):
        found = _on_screens(study, folder, case)
    else:
        raise StudyError(
            f"{case.game} is neither a maze nor an Atari game; rewards of others can be regressed "
            "and paid, not looked at"
        )
    write_json(case.figures(folder), {"game": case.game, "seed": case.seed, **found})


def _in_maze(study: RegressionConfig, folder: StudyFolder, case: Case) -> dict[str, Any]:
    """Counterfactual mazes, and the gradient by cells."""
    options = study.environment_of(case.game).options
    maze = Maze(int(options.get("size", 9)))
    found: dict[str, Any] = {}
    for fitted in models(study, case):
        reward = open_model(folder, fitted)
        asked = mazes.counterfactuals(reward, maze)
        moves = mazes.salient_moves(maze)
        maps = [mazes.saliency(reward, maze, move) for move in moves]
        _keep(folder, fitted, "counterfactuals", drawing.counterfactuals(maze, asked))
        _keep(folder, fitted, "saliency", drawing.maze_saliency(maze, moves, maps))
        found[fitted.variant.name] = {
            "counterfactuals": [asdict(one) for one in asked],
            "saliency": mazes.shares(maps),
        }
    return {"models": found}


def _on_screens(study: RegressionConfig, folder: StudyFolder, case: Case) -> dict[str, Any]:
    """Predictions with and without the score, on steps as they come, and saliency of both kinds."""
    found: dict[str, Any] = {}
    streams = screens.streams(study, folder, case)
    for fitted in models(study, case):
        reward = open_model(folder, fitted)
        readings = screens.readings(reward, fitted, streams)
        shown = screens.striking(read(fitted.source.path(folder, "test")), reward, fitted)
        maps = [screens.saliency(reward, frame) for frame in shown.after]
        if "trained" in streams:
            side_by_side = study.transitions.side_by_side
            trace = screens.trace(streams["trained"], reward, fitted, side_by_side)
            _keep(folder, fitted, "predictions", drawing.predictions(trace))
        _keep(folder, fitted, "saliency", drawing.screen_saliency(shown, maps))
        found[fitted.variant.name] = {
            "readings": [asdict(one) for one in readings],
            "saliency": screens.score_shares(maps, case.game),
        }
    return {"models": found}


def _keep(folder: StudyFolder, fitted: Fitted, kind: str, picture: bytes) -> None:
    path = fitted.case.figures(folder).with_name(f"{fitted.name}-{kind}.png")
    write_whole(path, lambda file: file.write(picture))
