"""One table: who may call which route, and what a token must hold to do so.

A route that is missing here is the admins' alone; a test fails until it has its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from server.models import Role


class Scope(StrEnum):
    """What a token is good for, within its owner's role."""

    LABEL = "label"
    READ = "read"
    MANAGE = "manage"


@dataclass(frozen=True)
class Rule:
    """What a route asks for.

    Attributes:
        role: the least role; None = everybody, logged in or not.
        scope: what a token must hold; None = tokens are not taken.
    """

    role: Role | None
    scope: Scope | None = None


EVERYBODY = Rule(None)
OWN = Rule(Role.ANNOTATOR)
LABEL = Rule(Role.ANNOTATOR, Scope.LABEL)
WATCH = Rule(Role.RESEARCHER)
READ = Rule(Role.RESEARCHER, Scope.READ)
STEER = Rule(Role.RESEARCHER, Scope.MANAGE)
PAGES_THAT_STEER = Rule(Role.RESEARCHER)
ACCOUNTS = Rule(Role.ADMIN)

RULES: Mapping[str, Rule] = {
    "GET /metrics": READ,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "GET /join": EVERYBODY,
    "POST /join": EVERYBODY,
    "POST /logout": EVERYBODY,
    "GET /account": OWN,
    "POST /account/password": OWN,
    "POST /account/tokens": OWN,
    "POST /account/tokens/{token}/revoke": OWN,
    "POST /account/sessions/revoke": OWN,
    "POST /account/sessions/{session}/revoke": OWN,
    "GET /people/accounts": ACCOUNTS,
    "POST /people/accounts/{person}/role": ACCOUNTS,
    "POST /people/accounts/{person}/active": ACCOUNTS,
    "POST /people/invitations": ACCOUNTS,
    "POST /people/invitations/{invitation}/withdraw": ACCOUNTS,
    "GET /people/audit": ACCOUNTS,
    "GET /people": WATCH,
    "GET /people/{person}": WATCH,
    "POST /people/{person}/exclusion": PAGES_THAT_STEER,
    "POST /people/{person}/pause": PAGES_THAT_STEER,
    "GET /label": OWN,
    "GET /label/{run}": OWN,
    "GET /media/assignments/{assignment}/{side}.mp4": LABEL,
    "GET /media/assignments/{assignment}/agent/{side}.mp4": LABEL,
    "GET /media/checkpoints/{checkpoint}.mp4": READ,
    "GET /media/queries/{query}/{segment}.mp4": READ,
    "GET /media/clips/{clip}.mp4": READ,
    "GET /": WATCH,
    "GET /runs/{name}": WATCH,
    "GET /runs/{name}/config": WATCH,
    "GET /runs/{name}/versions": WATCH,
    "GET /runs/{name}/metrics": WATCH,
    "GET /compare": WATCH,
    "GET /compare.csv": READ,
    "GET /runs/{name}/labels": WATCH,
    "GET /runs/{name}/metrics.csv": READ,
    "GET /runs/{name}/events": WATCH,
    "GET /runs/{name}/queries": WATCH,
    "GET /runs/{name}/queries/{query}": WATCH,
    "POST /runs/{name}/queries/{query}/gold": PAGES_THAT_STEER,
    "POST /runs/{name}/settings": PAGES_THAT_STEER,
    "POST /runs/{name}/alarms/{alarm}/acknowledge": PAGES_THAT_STEER,
    "POST /runs/{name}/{command}": PAGES_THAT_STEER,
    "GET /api/v1/runs": READ,
    "GET /api/v1/runs/{run}": READ,
    "GET /api/v1/runs/{run}/metrics": READ,
    "POST /api/v1/runs/{run}/commands": STEER,
    "PATCH /api/v1/runs/{run}/settings": STEER,
    "GET /api/v1/runs/{run}/alarms": READ,
    "POST /api/v1/runs/{run}/alarms/{alarm}/acknowledge": STEER,
    "POST /api/v1/runs/{run}/assignments": LABEL,
    "GET /api/v1/runs/{run}/progress": LABEL,
    "POST /api/v1/assignments/{assignment}/renew": LABEL,
    "POST /api/v1/assignments/{assignment}/answer": LABEL,
    "POST /api/v1/assignments/{assignment}/skip": LABEL,
    "POST /api/v1/assignments/{assignment}/agent-view": LABEL,
    "POST /api/v1/preferences/{preference}/withdraw": LABEL,
    "POST /api/v1/preferences/{preference}/correct": LABEL,
    "GET /api/v1/runs/{run}/history": LABEL,
    "GET /runs/{name}/export": WATCH,
    "GET /runs/{name}/play": WATCH,
    "WEBSOCKET /runs/{name}/play/socket": PAGES_THAT_STEER,
    "GET /api/v1/runs/{run}/preferences": READ,
    "POST /api/v1/runs/{run}/preferences": STEER,
    "GET /api/v1/runs/{run}/clips.zip": READ,
    "PUT /api/v1/runs/{run}/queries/{query}/gold": STEER,
    "GET /api/v1/runs/{run}/rankings": READ,
    "GET /api/v1/runs/{run}/rankable": READ,
    "POST /api/v1/runs/{run}/rankings": STEER,
    "POST /api/v1/runs/{run}/rankings/{ranking}/withdraw": STEER,
    "GET /runs/{name}/rank": WATCH,
    "GET /runs/{name}/explore": WATCH,
    "GET /runs/{name}/explore/segments": WATCH,
    "GET /runs/{name}/explore/trajectories/{trajectory}": WATCH,
    "GET /runs/{name}/explore/episodes/{checkpoint}": WATCH,
    "POST /api/v1/runs/{run}/inspections": READ,
    "GET /api/v1/inspections/{inspection}": READ,
    "GET /media/inspections/{inspection}": READ,
    "GET /api/v1/runs/{run}/labellers": READ,
    "PUT /api/v1/runs/{run}/labellers/{person}": STEER,
    "PUT /api/v1/runs/{run}/labellers/{person}/exclusion": STEER,
}

SCOPES_OF_ROLE: Mapping[Role, tuple[Scope, ...]] = {
    Role.ANNOTATOR: (Scope.LABEL,),
    Role.RESEARCHER: tuple(Scope),
    Role.ADMIN: tuple(Scope),
}

_RANKS = tuple(Role)


def rule_for(method: str, path: str) -> Rule:
    """The rule of a route, by its method and its path as declared."""
    return RULES.get(f"{method} {path}", ACCOUNTS)


def reaches(role: Role, least: Role) -> bool:
    """Whether a role may do what the other one may."""
    return _RANKS.index(role) >= _RANKS.index(least)
