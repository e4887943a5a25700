"""`clipwise work`: a learner worker."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from cli.checks import check_codec
from cli.play import hosting
from cli.signals import end_with_parent, interrupt
from learner.examiner import examining
from learner.gauges import Gauges, serve_gauges
from learner.records import Workplace
from learner.worker import work as lease_and_train
from server.logs import configure_logs
from server.settings import Settings, load_settings

NICENESS = 10
"""People wait for the server; nobody waits for the learner by the second."""


def work(first: str | None = None) -> None:
    """Work until interrupted; an unfinished iteration is dropped and its run released.

    Args:
        first: name of a run to begin with, if it waits for a worker.
    """
    end_with_parent()
    check_codec()
    _make_way()
    signal.signal(signal.SIGTERM, interrupt)
    settings = load_settings()
    configure_logs(settings.log)
    workplace = Workplace(settings)
    try:
        workplace.check()
        with hosting(settings), examining(workplace):
            lease_and_train(workplace, first, _gauges(settings).take)
    except KeyboardInterrupt:
        pass
    finally:
        workplace.close()
    sys.stderr.flush()
    # Everything is stored. To unload torch takes a second or two, which Ctrl-C would wait for.
    os._exit(0)


def _make_way() -> None:
    os.nice(NICENESS)
    # Where Linux shares cores between sessions, niceness counts only within one. Somebody's
    # terminal is not ours to slow down, a session of our own is.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def _gauges(settings: Settings) -> Gauges:
    """The worker's figures, shown to Prometheus where a port is set."""
    gauges = Gauges()
    if settings.metrics_port is not None:
        serve_gauges(gauges, host=settings.metrics_host, port=settings.metrics_port)
    return gauges
