"""One shape for every refusal: JSON for programs, a page or a fragment for people."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from server.errors import ClipwiseError, Unauthorized
from server.pages import render

log = structlog.get_logger()


class Problem(BaseModel):
    """What is wrong and what to do, in one line."""

    status: int = Field(description="the HTTP status", examples=[404])
    error: str = Field(description="the status in words", examples=["Not Found"])
    message: str = Field(description="what is wrong and what to do")


def wants_json(request: Request) -> bool:
    """Programs get JSON: everything under /api, and callers that ask for it."""
    if request.url.path.startswith("/api/") or request.url.path in ("/healthz", "/readyz"):
        return True
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def problem_response(
    request: Request, status: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    """Answer a refused request: JSON, an htmx fragment, or a whole page."""
    problem = Problem(status=status, error=HTTPStatus(status).phrase, message=message)
    if wants_json(request):
        return JSONResponse(problem.model_dump(), status_code=status, headers=headers)
    fragment = request.headers.get("hx-request") == "true"
    template = "problem_fragment.html" if fragment else "problem.html"
    return render(request, template, {"problem": problem}, status=status, headers=headers)


def _in_one_line(error: RequestValidationError) -> str:
    """Name each wrong field and why, without repeating what was sent."""
    parts = []
    for item in error.errors()[:5]:
        where = ".".join(str(step) for step in item["loc"] if step not in ("body", "query", "path"))
        parts.append(f"{where}: {item['msg']}" if where else str(item["msg"]))
    return "; ".join(parts)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClipwiseError)
    return problem_response(request, error.status, str(error))


async def _unauthorized(request: Request, error: Exception) -> Response:
    """Ask for a login where a person can give it: on the page that they wanted."""
    assert isinstance(error, Unauthorized)
    headers = {"WWW-Authenticate": "Bearer"}
    if wants_json(request):
        return problem_response(request, 401, error.message, headers)
    if request.headers.get("hx-request") == "true":  # the page asks for the login, whole
        return problem_response(request, 401, error.message, headers | {"HX-Refresh": "true"})
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    context = {"next": address if request.method == "GET" else "/", "message": "", "name": ""}
    return render(request, "access/login.html", context, status=401, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, 422, _in_one_line(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404 and message == "Not Found":
        message = f"There is nothing at {request.url.path}."
    return problem_response(request, error.status_code, message, dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    """The process boundary: the traceback goes to the log, never to the visitor."""
    log.error("request_failed", path=request.url.path, error=repr(error))
    return problem_response(request, 500, "The server failed; its log says why.")


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(Unauthorized, _unauthorized)
    app.add_exception_handler(ClipwiseError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
