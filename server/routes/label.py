"""The labelling page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from server.pages import render
from server.schemas import RunName
from server.site import SiteDep
from server.store import runs

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


@router.get("/label/{run}")
def label(request: Request, site: SiteDep, run: RunName) -> HTMLResponse:
    """Show the page; its script takes pairs through the API, so that loading leases nothing."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        context = {
            "run": row.name,
            "title": environment_title(row.environment),
            "goal": row.goal,
            "instructions": row.instructions,
        }
    return render(request, "label/page.html", context)
