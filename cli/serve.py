"""`clipwise serve`: the web server."""

from __future__ import annotations

import os
import socket

from cli.signals import end_with_parent
from server.app import check_settings, open_doors
from server.app import serve as run_server
from server.database import Database
from server.errors import ClipwiseError
from server.settings import Settings, load_settings


class PortInUse(ClipwiseError):
    """Another program listens on the port, or the address is not this machine's."""


def serve(*, port: int | None, host: str | None = None, workers: int | None = None) -> None:
    """Serve until interrupted.

    Args:
        port: instead of the one in the settings.
        host: address to listen on, instead of the one in the settings.
        workers: processes behind the port, instead of the number in the settings.

    Raises:
        PortInUse: the port is taken.
        SettingsError: team mode without a secret, a name or an admin.
    """
    end_with_parent()
    given = {"port": port, "host": host, "workers": workers}
    values = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(**values)
    check_settings(settings)
    database = Database(settings.database_url)
    database.check_version()
    open_doors(settings, database)
    database.close()
    check_port(settings)
    # Several server processes know each other's settings by the environment alone.
    os.environ.update({f"CLIPWISE_{name.upper()}": str(value) for name, value in values.items()})
    run_server(settings)


def check_port(settings: Settings) -> None:
    """Raise `PortInUse` if something listens there already."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortInUse(
                f"port {settings.port} is in use; end the other program, or choose another: "
                f"--port {settings.port + 1}"
            ) from error
