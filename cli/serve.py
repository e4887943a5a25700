"""`clipwise serve`: the web server."""

from __future__ import annotations

import socket

from server.app import serve as run_server
from server.database import Database
from server.errors import ClipwiseError
from server.settings import Settings, load_settings


class PortInUse(ClipwiseError):
    """Another program listens on the port."""


def serve(*, port: int | None) -> None:
    """Serve until interrupted.

    Args:
        port: instead of the one in the settings.

    Raises:
        PortInUse: the port is taken.
    """
    settings = load_settings(**({} if port is None else {"port": port}))
    database = Database(settings.database_url)
    database.check_version()
    database.close()
    check_port(settings)
    run_server(settings)


def check_port(settings: Settings) -> None:
    """Raise `PortInUse` if something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortInUse(
                f"port {settings.port} is in use; end the other program, or choose another: "
                f"--port {settings.port + 1}"
            ) from error
