"""The result of a simulation: times of requests and workers, and the metrics computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Simulated:
    """A request, the `turn`-th of its user, from 0. Times in s from the begin of the load, None where not reached. As
    in requests.csv: `due_s`, `start_s` (the first of its audio sent), `sent_s` (the last), `final_s`, `stop_s` (its
    user stopped speaking)."""

    number: int
    clip: int
    duration_s: float
    kind: str = ""
    turn: int = 0
    due_s: float = 0.0
    start_s: float | None = None
    sent_s: float | None = None
    final_s: float | None = None
    stop_s: float | None = None


@dataclass
class Outcome:
    """`busy_s`: of each worker; `queue_wait_s`: of each segment that was begun, in that order; `again`: segments that
    were begun a second time; `gateway_s`: CPU time of the gateway; `events`: that the simulation went through."""

    requests: Sequence[Simulated]
    busy_s: Sequence[float] = ()
    gateway_s: float = 0.0
    queue_wait_s: list[float] = field(default_factory=list)
    again: int = 0
    events: int = 0

    @property
    def done(self) -> list[Simulated]:
        return [r for r in self.requests if r.final_s is not None]

    @property
    def makespan_s(self) -> float | None:
        """From the first byte sent to the last final result; None unless all requests completed."""
        finals = [r.final_s for r in self.requests if r.final_s is not None]
        if not finals or len(finals) < len(self.requests):
            return None
        return max(finals) - min(r.start_s for r in self.requests if r.start_s is not None)

    @property
    def throughput_rtfx(self) -> float | None:
        """Seconds of audio recognized per second of makespan."""
        makespan = self.makespan_s
        return sum(r.duration_s for r in self.requests) / makespan if makespan else None

    @property
    def worker_use(self) -> float:
        """The mean share of the time that a worker recognizes."""
        span = self.makespan_s
        return sum(self.busy_s) / (span * len(self.busy_s)) if span and self.busy_s else 0.0

    @property
    def gateway_use(self) -> float:
        """The share of its core that the gateway uses."""
        span = self.makespan_s
        return self.gateway_s / span if span else 0.0

    def times(self, name: str) -> list[float]:
        """`stop_to_text`, `turnaround`, `latency` or `queue_wait` of all that were completed, in s, defined as the
        metrics of these names."""
        if name == "queue_wait":
            return self.queue_wait_s
        return list(_TIMES[name](self.done))

    def metric(self, tag: str) -> float | None:
        """A metric by its tag (`stop_to_text_p95_s`): infinite where a request did not end, None where none has a
        value. `throughput_rtfx` is None unless all requests ended."""
        if tag == "throughput_rtfx":
            return self.throughput_rtfx
        name, stat = tag.removesuffix("_s").rsplit("_", 1)
        values = self.times(name)
        if len(self.done) < len(self.requests):
            return float("inf")
        if not values:
            return None
        return max(values) if stat == "max" else float(np.percentile(values, int(stat[1:])))


def _stop_to_text(done: list[Simulated]) -> Iterator[float]:
    return (r.final_s - r.stop_s for r in done if r.final_s is not None and r.stop_s is not None)


def _turnaround(done: list[Simulated]) -> Iterator[float]:
    return (r.final_s - r.due_s for r in done if r.final_s is not None)


def _latency(done: list[Simulated]) -> Iterator[float]:
    return (r.final_s - r.sent_s for r in done if r.final_s is not None and r.sent_s is not None)


_TIMES = {"stop_to_text": _stop_to_text, "turnaround": _turnaround, "latency": _latency}
TAGS = tuple(f"{name}_{stat}_s" for name in (*_TIMES, "queue_wait") for stat in ("p50", "p90", "p95", "p99", "max"))
