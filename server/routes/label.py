"""The labelling page."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from server.markdown import to_html
from server.pages import render
from server.panels import labelled_by_people
from server.rules import rules_of
from server.schemas import RunName
from server.site import SiteDep
from server.store import runs
from server.store.progress import answers_left
from server.store.runs import ENDED
from server.store.trials import trials_left

router = APIRouter(include_in_schema=False)

PROCGEN_TITLES = {
    title.lower(): title
    for title in (
        "BigFish",
        "BossFight",
        "CaveFlyer",
        "Chaser",
        "Climber",
        "CoinRun",
        "Dodgeball",
        "FruitBot",
        "Heist",
        "Jumper",
        "Leaper",
        "Maze",
        "Miner",
        "Ninja",
        "Plunder",
        "StarPilot",
    )
}


def environment_title(environment: str) -> str:
    """Name an environment as people do: `procgen/coinrun` is CoinRun, `ALE/Pong-v5` is Pong."""
    name = environment.rsplit("/", 1)[-1]
    return PROCGEN_TITLES.get(name, name.split("-v")[0])


@dataclass(frozen=True)
class Choice:
    """A run that people can label."""

    name: str
    title: str
    goal: str
    left: int


@router.get("/label")
def choose(request: Request, site: SiteDep) -> HTMLResponse:
    """The runs that still want answers of people: where an annotator begins."""
    with site.database.read() as session:
        found = [
            Choice(
                name=row.run.name,
                title=environment_title(row.run.environment),
                goal=row.run.goal,
                left=answers_left(session, run=row.run) or trials_left(session, run=row.run),
            )
            for row in runs.list_runs(session)
            if labelled_by_people(row.run) and row.run.state not in ENDED
        ]
    context = {"runs": [choice for choice in found if choice.left > 0]}
    return render(request, "label/choose.html", context)


@router.get("/label/{run}")
def label(request: Request, site: SiteDep, run: RunName) -> HTMLResponse:
    """Show the page; its script takes pairs through the API, so that loading leases nothing."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        context = {
            "run": row.name,
            "title": environment_title(row.environment),
            "goal": row.goal,
            "instructions": to_html(row.instructions),
            "rules": rules_of(row.config),
        }
    return render(request, "label/page.html", context)
