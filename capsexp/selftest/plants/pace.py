"""Delays and speedups: workers that sleep for as long as is said, in a queue whose every wait follows from that.

All requests come at once, each of one segment. With one worker the k-th is done after k service times and waited for
k - 1 of them; with two workers after half as many, rounded up.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from capsexp.machine import usable_cpus
from capsexp.selftest.plant import Figure, Plant, percentile

CLIP_S, RTF = 2.0, 0.1
SERVICE_S = CLIP_S * RTF
CLIPS, REPEATS, TRIALS = 2, 11, 3
REQUESTS = CLIPS * REPEATS
LATE_S = 0.05  # that requests of one moment are behind each other


def done_s(workers: int) -> list[float]:
    """When each request of a run is done, in seconds after its load began."""
    return [SERVICE_S * ceil(k / workers) for k in range(1, REQUESTS + 1)]


def waited_s(workers: int) -> list[float]:
    return [done - SERVICE_S for done in done_s(workers)]


def slept_s(workers: int) -> list[float]:
    return REQUESTS * [SERVICE_S]


def of(workers: int) -> Iterator[Figure]:
    key, makespan, said = f"workers={workers}", max(done_s(workers)), f"{workers} asleep for {SERVICE_S:g} s each"

    def figure(what: str, tag: str, planted: float, why: str, unit: str = "s", share: float = 0.05) -> Figure:
        return Figure(f"{what}, {key}", planted, why, tag, key, unit, share, n=TRIALS)

    yield figure("makespan", "makespan_s", makespan, f"{REQUESTS} requests, {said}")
    yield figure("throughput", "throughput_rtfx", workers / RTF, f"{said} for {CLIP_S:g} s of audio", "RTFx")
    yield figure("server efficiency", "server_efficiency", 1.0, "plain processes sleep as long", "", 0.08)
    yield figure("in flight", "in_flight", sum(done_s(workers)) / makespan, "Little's law", "")
    for name, values in (("turnaround", done_s), ("latency", done_s), ("queue wait", waited_s), ("compute", slept_s)):
        for percent in (50, 90):
            tag, planted = f"{name.replace(' ', '_')}_p{percent}_s", percentile(TRIALS * values(workers), percent)
            why, late = "of a queue of such workers", 0.0 if values is slept_s else LATE_S
            yield Figure(f"{name} p{percent}, {key}", planted, why, tag, key, "s", absolute=late, n=TRIALS * REQUESTS)


def usable(threads: int) -> float:
    return min(threads, usable_cpus())


LONG_S, SHORT_S, SERIAL_RTF = 12.5, 6.25, 0.12
LIMITED = (LONG_S + SHORT_S) / LONG_S

BASE = ("workers=1,2", f"trials={TRIALS}", f"trials_max={TRIALS}")
PLANTS = (
    Plant(
        "pace",
        "workers that sleep for a known time, one and two of them",
        "times and speeds: makespan, RTFx, speedup, turnaround, latency, waiting and compute times",
        (
            *BASE, f"engine.rtf={RTF}", f"load.repeats={REPEATS}", f"server.max_queue={2 * REQUESTS}",
            "reference=engine", "reference.processes=[1,2]", "reference.share=null",
        ),
        CLIPS * (CLIP_S,),
        2 * TRIALS,
        (
            *of(1),
            *of(2),
            Figure("speedup, workers=2", 2.0, "twice as many that sleep", "speedup", "workers=2", "x", n=TRIALS),
            Figure(
                "efficiency, workers=2", lambda report, account: 2.0 * usable(1) / usable(2),
                "that speedup, by the usable CPUs", "efficiency", "workers=2", n=TRIALS,
            ),
        ),
    ),
    Plant(
        "serial",
        "work of which a third cannot be shared out: the longer of two clips takes two thirds of it",
        "speedups: a gain that is limited may be shown as more, or as less",
        (*BASE, f"engine.rtf={SERIAL_RTF}"),
        (LONG_S, SHORT_S),
        2 * TRIALS,
        (
            Figure("speedup, workers=2", LIMITED, "(12.5 + 6.25) / 12.5", "speedup", "workers=2", "x", n=TRIALS),
            Figure("makespan, workers=2", LONG_S * SERIAL_RTF, "the longer", "makespan_s", "workers=2", "s", n=TRIALS),
        ),
    ),
)  # fmt: skip
