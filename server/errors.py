"""Errors that carry an HTTP status; one handler turns them into a page or JSON.

    ClipwiseError
      Invalid 422 · Unauthorized 401 · Forbidden 403 · NotFound 404 · TooLarge 413
      Conflict 409 (LeaseLost)
      TooMany 429 · ArtifactMissing 404 · ArtifactDamaged 500 · StorageError 507
      DatabaseError 503 · DatabaseVersionError 503 · SettingsError 500

Every message is one line: what is wrong, and what to do where something can be done.
"""

from __future__ import annotations

from typing import ClassVar


class ClipwiseError(Exception):
    """Something that a person can understand and usually put right."""

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(ClipwiseError):
    """A value that cannot be accepted."""

    status = 422


class Unauthorized(ClipwiseError):
    """Nobody is logged in."""

    status = 401


class Forbidden(ClipwiseError):
    """Somebody is logged in who may not do this."""

    status = 403


class NotFound(ClipwiseError):
    """No such thing."""

    status = 404


class Conflict(ClipwiseError):
    """It contradicts what is stored already."""

    status = 409


class LeaseLost(Conflict):
    """Another worker has taken the run over; what this one made of it no longer counts."""


class TooLarge(ClipwiseError):
    """More than is accepted in one request."""

    status = 413


class TooMany(ClipwiseError):
    """Asked too often; it passes with time."""

    status = 429


class ArtifactMissing(NotFound):
    """A name that the artifact store does not hold."""


class ArtifactDamaged(ClipwiseError):
    """Content that is no longer what its name says."""


class StorageError(ClipwiseError):
    """The artifact store or the folder of the database cannot be written or read."""

    status = 507


class DatabaseError(ClipwiseError):
    """The database cannot be reached, read or written."""

    status = 503


class DatabaseVersionError(DatabaseError):
    """The database is of another version than this program."""


class SettingsError(ClipwiseError):
    """A setting that cannot be used."""
