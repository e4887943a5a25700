"""What the server tells Prometheus: its own requests and streams, and the runs in its database.

Requests and streams are those of one process, which the label `process` names: behind several, each
scrape sees one of them, and their sums and rates are taken over the label.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from server.models import RunState
from server.panels import is_gone
from server.store import alarms, runs

TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Gauges:
    """The figures of one server process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._process = str(os.getpid())
        self._requests = Counter(
            "clipwise_http_requests",
            "Requests answered.",
            ("process", "method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "clipwise_http_request_seconds",
            "Time to the first byte of the answer.",
            ("process", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._streams = Gauge(
            "clipwise_event_streams",
            "Pages that watch a run.",
            ("process",),
            registry=self._registry,
        )

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(self._process, method, route, str(status)).inc()
        self._seconds.labels(self._process, route).observe(seconds)

    def watch_streams(self, count: Callable[[], int]) -> None:
        """Ask for the number of open event streams at each scrape."""
        self._streams.labels(self._process).set_function(count)

    def text(self, s: Session) -> bytes:
        """Everything in Prometheus' text format.

        Args:
            s: where the runs are.
        """
        return generate_latest(self._registry) + generate_latest(_of_runs(s))


class _Runs(Collector):
    """The runs of a database, read at the scrape."""

    def __init__(self, s: Session) -> None:
        self._s = s

    def collect(self) -> Iterator[Metric]:
        """One family per figure."""
        now = datetime.now(UTC)
        ringing = alarms.unacknowledged(self._s)
        states = dict.fromkeys(RunState, 0)
        families = {
            name: GaugeMetricFamily(f"clipwise_run_{name}", text, labels=("run",))
            for name, text in (
                ("steps", "Environment steps done."),
                ("iteration", "Iterations done."),
                ("labels", "Answers that count."),
                ("label_budget", "Answers wanted."),
                ("steps_per_second", "Speed of the last iteration."),
                (
                    "alarms",
                    "Alarms that hold and that nobody has acknowledged, a silent learner too.",
                ),
                ("heartbeat_age_seconds", "Time since the learner was last heard of."),
            )
        }
        for summary in runs.list_runs(self._s):
            run = summary.run
            states[run.state] += 1
            figures = {
                "steps": run.steps,
                "iteration": run.iteration,
                "labels": summary.answers,
                "label_budget": run.label_budget,
                "steps_per_second": run.steps_per_second,
                "alarms": len(ringing.get(run.id, ())) + int(is_gone(run, now)),
                "heartbeat_age_seconds": (
                    (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else None
                ),
            }
            for name, value in figures.items():
                if value is not None:
                    families[name].add_metric((run.name,), float(value))
        by_state = GaugeMetricFamily("clipwise_runs", "Runs by state.", labels=("state",))
        for state, count in states.items():
            by_state.add_metric((state.value,), float(count))
        yield by_state
        yield from families.values()


def _of_runs(s: Session) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Runs(s))
    return registry
