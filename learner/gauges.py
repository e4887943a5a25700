"""What a worker tells Prometheus, at an address of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server

from learner.errors import LearnerError
from learner.loop import Progress


class PortTaken(LearnerError):
    """Another program listens where the worker's figures are to be."""


class Gauges:
    """The figures of the run that this process trains."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="clipwise_worker", registry=self.registry)
        self._progress = {
            name: Gauge(f"clipwise_worker_{name}", text, ("run",), registry=self.registry)
            for name, text in (
                ("iteration", "Iterations done."),
                ("steps", "Environment steps done."),
                ("labels", "Answers that count."),
                ("steps_per_second", "Speed of the last iteration."),
            )
        }
        self._figures = Gauge(
            "clipwise_worker_figure",
            "The last iteration's figures, as on the run's page.",
            ("run", "name"),
            registry=self.registry,
        )

    def take(self, run: str, progress: Progress) -> None:
        """Show an iteration that has just ended, in place of those before."""
        for gauge in self._progress.values():
            gauge.clear()
        self._figures.clear()
        self._progress["iteration"].labels(run).set(progress.iteration)
        self._progress["steps"].labels(run).set(progress.steps)
        self._progress["labels"].labels(run).set(progress.labels)
        self._progress["steps_per_second"].labels(run).set(progress.steps_per_second)
        for name, value in progress.metrics.items():
            self._figures.labels(run, name).set(value)


def serve_gauges(gauges: Gauges, *, host: str, port: int) -> None:
    """Answer Prometheus from a thread, for as long as the process lives.

    Raises:
        PortTaken: something listens there already.
    """
    try:
        start_http_server(port, host, registry=gauges.registry)
    except OSError as error:
        raise PortTaken(
            f"cannot show figures at {host}:{port}: {error.strerror}; set another "
            "CLIPWISE_METRICS_PORT, or none"
        ) from error
