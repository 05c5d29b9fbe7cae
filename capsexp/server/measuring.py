"""Measures a segment's memory in the worker itself, after warming up and returning free memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
import threading
import time
from typing import Protocol

import numpy as np
import psutil

from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.server.messages import Failed, Measured, failure

MEASURE_S = 10.0  # s that measuring the memory of the longest segment may take, about
LOOK_S = 0.005  # between two looks at the memory of a segment that is measured


class Recognizes(Protocol):
    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition: ...


def give_back() -> None:
    """Return to the system what loading used and freed: glibc keeps it, and forked workers would keep it with it
    (640 of 1770 MB with a model of Paraformer-large's size)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def warm_up(engine: Recognizes, seconds: float = 1.0) -> None:
    """The first call pays for lazy allocations."""
    engine.recognize(_noise(seconds))


def measure(engine: Recognizes, seconds: float, most_s: float = MEASURE_S) -> Measured | Failed:
    """Memory in MB of recognizing `seconds` of audio; Failed where the engine raises. Lengths are tried from
    at most 1 s on, each twice the one before. Where the next one, expected to take four times as long, would not end
    within `most_s` seconds in all, the rest is extrapolated from the last two."""
    lengths = [seconds]
    while lengths[0] > 1.0:
        lengths.insert(0, lengths[0] / 2)
    before: Measured | None = None
    began = time.monotonic()
    for length, following in zip(lengths, [*lengths[1:], None], strict=True):
        started = time.monotonic()
        found = _measured(engine, length)
        if isinstance(found, Failed):
            return found
        now = time.monotonic()
        if following is not None and (now - began) + 4 * (now - started) > most_s:
            return _estimated(before, found, length, seconds)
        # What shorter ones made it grow by and it kept is a part of what this one takes.
        kept = before.grown_mb - before.freed_mb if before is not None else 0.0
        before = Measured(found.grown_mb + kept, found.freed_mb)
    assert before is not None
    return before


def _estimated(shorter: Measured | None, found: Measured, heard_s: float, seconds: float) -> Measured:
    """Memory grows with the length of a segment, or with its square where attention is over all of it."""
    kept = shorter.grown_mb - shorter.freed_mb if shorter is not None else 0.0
    grown, power = found.grown_mb + kept, 2.0
    if shorter is not None and shorter.grown_mb > 0:
        power = min(2.0, max(1.0, math.log2(max(1.0, grown / shorter.grown_mb))))
    most = grown * (seconds / heard_s) ** power
    return Measured(most, found.freed_mb + most - grown, heard_s)


def _measured(engine: Recognizes, seconds: float) -> Measured | Failed:
    """One segment, seen from beside it while it goes on."""
    process, ended = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not ended.wait(LOOK_S):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        noise = _noise(seconds)
        engine.recognize(noise, 0, len(noise))  # as one that was heard before: engine=null sleeps over what is new
    except Exception as error:
        return failure(None, error)
    finally:
        ended.set()
        watching.join()
    after = process.memory_info().rss
    peak = max(peak, after)
    return Measured((peak - before) / 2**20, (peak - after) / 2**20)


def _noise(seconds: float) -> Audio:
    """Quiet noise, as silence takes short cuts."""
    return np.random.default_rng(0).normal(0, 0.01, round(seconds * RATE)).astype(np.float32)
