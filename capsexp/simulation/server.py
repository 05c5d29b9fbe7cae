"""The configuration of a simulated server, and how it cuts audio."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from capsexp.protocol import RATE
from capsexp.segments import Cut, cut_all

Service = Callable[[float, float, random.Random], float]


@dataclass(frozen=True)
class Outage:
    """A worker ends at `at_s`, and what it had begun is done again by another; it is back at `until_s`."""

    worker: int
    at_s: float
    until_s: float = float("inf")


@dataclass(frozen=True)
class Server:
    """All times in s. `service_s(audio_s, new_s, chance)`: what a segment of so much audio takes a worker while no
    other works; `slowdown[n]`: how many times as long it takes while n work, itself among them (past its end the last
    one holds); `gateway_s`: CPU time of the gateway for a second of audio, of which it has one core; `ingest_s`: from
    the end of a segment's audio until it waits for a worker; `delivery_s`: from its end at the worker until the client
    has the text. The rest is as in `conf/server/local.yaml`."""

    workers: int
    service_s: Service
    slowdown: Sequence[float] = (1.0,)
    gateway_s: float = 0.0
    ingest_s: float = 0.0
    delivery_s: float = 0.0
    dispatch: str = "segment"
    schedule: str = "fifo"
    passed_over_s: float = 10.0
    max_queue: int = 0
    outages: tuple[Outage, ...] = ()

    @property
    def places(self) -> int:
        return self.max_queue or 4 * self.workers


@dataclass(frozen=True)
class Piece:
    """A segment without its audio: `audio_s` long, of which `new_s` were in no earlier one; it can be cut when the
    first `needed` samples of its request are there."""

    audio_s: float
    new_s: float
    needed: int


@lru_cache(maxsize=4096)
def pieces(samples: int, cut: Cut) -> tuple[Piece, ...]:
    """What a request of so many samples is cut into, by the server's own rule."""
    silence = np.broadcast_to(np.float32(0), samples)  # as long as it likes, in no memory
    return tuple(
        Piece(one.audio_s, one.new_s, samples if one.last else one.start + cut.duration + 2 * cut.overlap)
        for one in cut_all(silence, cut)
    )


def samples_of(seconds: float) -> int:
    """Seconds of audio in samples, as the server counts them."""
    return round(seconds * RATE)


class GatewayQueue:
    """The gateway as one core with a queue of work: audio that is spoken comes evenly, a message of a file at once."""

    def __init__(self, cost_s: float) -> None:
        self._cost = cost_s
        self._backlog = self._at = 0.0
        self._speaking = 0
        self.busy_s = 0.0

    def speak(self, now: float, by: int) -> None:
        """One more, or one less, sends a second of audio each second."""
        self.advance(now)
        self._speaking += by

    def take(self, now: float, audio_s: float, spoken: bool) -> float:
        """How long it takes until this audio, the last that has come, is through; `spoken`: it is counted already."""
        self.advance(now)
        work = self._cost * audio_s
        if spoken:
            return self._backlog + work
        self._backlog += work
        return self._backlog

    def advance(self, now: float) -> None:
        """Up to now, whatever has come."""
        passed, coming = now - self._at, self._speaking * self._cost
        before, self._at = self._backlog, now
        self._backlog = max(0.0, before + (coming - 1.0) * passed)
        self.busy_s += before + coming * passed - self._backlog
