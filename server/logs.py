"""The log: lines for people on a terminal, one JSON object per line everywhere else.

What several lines have in common, such as the request or the run that they are about, is bound
with `structlog.contextvars.bind_contextvars`.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

Format = Literal["auto", "console", "json"]

_COMMON: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def configure_logs(wanted: Format = "auto") -> None:
    """Set up the log of this process, other libraries' lines included.

    Args:
        wanted: auto is console on a terminal and JSON elsewhere. A console shows no single
            requests; they are debug lines.
    """
    plain = wanted == "json" or (wanted == "auto" and not sys.stderr.isatty())
    last: list[Processor] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if plain:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if plain else logging.INFO
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_COMMON,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # Ours are filtered above; what libraries have to say below a warning is of no use to anybody.
    for ours in ("server", "learner", "cli"):
        logging.getLogger(ours).setLevel(logging.DEBUG)
