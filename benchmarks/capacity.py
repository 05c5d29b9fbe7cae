"""Does the search for a capacity find it? Servers of known truth, simulated, with fixed seeds; no server runs, but with
--real N, which makes N searches of a sweep against engine=null with short utterances.

Users speak, wait for the text and think; N workers take a fixed time for what was said. The truth is what a simulation
a hundred times as long says, by code of its own; that one is held against the formula for the queue that has one
(M/D/1: Erlang, 1909). The search sees short trials only, through the rule that a sweep uses.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from common import report
from tabulate import tabulate

from capsexp.analysis.capacity import Probe, Rule, Stretch, band, next_load
from capsexp.analysis.capacity_search import most_late
from capsexp.protocol import RATE

LATE = "stop_to_text_p95_s"
SHARE = 0.05
STRETCHES = 8  # of a trial
LONG = 60_000  # requests of a truth


@dataclass(frozen=True)
class Server:
    """`workers` take `service_s` for each clip of `speech_s`; users then think, `think_s` on average; the text has to
    be there within `limit_s`."""

    workers: int
    service_s: float
    speech_s: float
    think_s: float
    limit_s: float

    @property
    def turn_s(self) -> float:
        return self.speech_s + self.service_s + self.think_s


SERVERS = [
    Server(workers, service, speech, think, limit)
    for workers, service, speech, think, limit in (
        (1, 0.5, 5.0, 3.0, 1.0), (1, 1.0, 5.0, 3.0, 2.0), (1, 0.3, 3.0, 2.0, 1.5), (2, 0.5, 5.0, 3.0, 1.0),
        (2, 1.0, 4.0, 4.0, 1.5), (3, 0.8, 5.0, 2.0, 1.6), (3, 0.5, 3.0, 3.0, 0.8), (4, 1.0, 5.0, 3.0, 2.0),
        (4, 0.6, 4.0, 2.0, 1.0), (6, 1.0, 5.0, 5.0, 1.5), (8, 1.0, 5.0, 3.0, 1.5), (8, 2.0, 6.0, 4.0, 3.0),
    )
]  # fmt: skip


def trial(
    server: Server, users: int, turns: int, chance: random.Random, give_up_late: int = 0
) -> tuple[list[bool], float]:
    """Whether each request was late, in the order in which they were spoken, and how long that took, in s.
    `give_up_late`: it ends as soon as so many are, as an overloaded run of a sweep does; 0: never."""
    stops = [(chance.random() * server.turn_s + server.speech_s, user, 0) for user in range(users)]
    heapq.heapify(stops)
    free = [0.0] * server.workers
    late = []
    while stops:
        stop, user, turn = heapq.heappop(stops)
        begun = max(stop, free[0])
        heapq.heapreplace(free, begun + server.service_s)
        text = begun + server.service_s
        if turn:  # the first turn finds nobody there
            late.append(text - stop > server.limit_s)
            if give_up_late and sum(late) >= give_up_late:
                return late, stop + server.limit_s
        if turn + 1 < turns:
            heapq.heappush(stops, (text + chance.expovariate(1 / server.think_s) + server.speech_s, user, turn + 1))
    return late, max(free)


def _first(server: Server, chance: random.Random) -> float:
    """When a user who has long been there stops speaking next."""
    if chance.random() * (server.speech_s + server.think_s) < server.speech_s:
        return chance.random() * server.speech_s
    return chance.expovariate(1 / server.think_s) + server.speech_s


@cache
def late_share(server: Server, users: int, requests: int = LONG) -> float:
    """In the long run: worker by worker and second by second as the requests come, without the first tenth."""
    chance = random.Random(f"truth {users}")
    waiting = sorted(_first(server, chance) for _ in range(users))
    ends, count, late = [0.0] * server.workers, 0, 0
    for number in range(requests):
        stop = heapq.heappop(waiting)
        worker = min(range(server.workers), key=lambda w: ends[w])
        ends[worker] = max(stop, ends[worker]) + server.service_s
        if number > requests // 10:
            count, late = count + 1, late + (ends[worker] - stop > server.limit_s)
        heapq.heappush(waiting, ends[worker] - server.think_s * math.log(1 - chance.random()) + server.speech_s)
    return late / count


@cache
def truth(server: Server) -> int:
    """The most users of whom at most one request in twenty is late."""
    low, high = 0, 1
    while late_share(server, high) <= SHARE:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if late_share(server, middle) <= SHARE else (low, middle)
    return low


def turns_for(users: int) -> int:
    return 1 + max(4, math.ceil(120 / users))


def probe(server: Server, users: int, chance: random.Random, risk: float) -> tuple[Probe, float]:
    """A trial of as many turns as its decision needs at the least, and how long it would take, in s."""
    turns = turns_for(users)
    late, took = trial(server, users, turns, chance, most_late(users * (turns - 1), SHARE, risk))
    size = math.ceil(len(late) / STRETCHES)
    parts = [late[at : at + size] for at in range(0, len(late), size)]
    stretches = tuple(Stretch(len(part), sum(part)) for part in parts)
    return Probe(users, 1, {LATE: stretches}), took


def search(server: Server, rule: Rule, chance: random.Random) -> tuple[list[Probe], float, int]:
    """Probes, the time that they would take, and how many trials there were."""
    probes: dict[int, Probe] = {}
    took, trials = 0.0, 0
    while (users := next_load(list(probes.values()), rule)) is not None:
        found, seconds = probe(server, users, chance, rule.risk)
        probes[users] = probes[users] + found if users in probes else found
        took, trials = took + seconds, trials + 1
    return list(probes.values()), took, trials


def erlang(rate: float, service: float, limit: float) -> float:
    """The share of waits above `limit` in M/D/1."""
    parts = [(k, rate * (k * service - limit)) for k in range(int(limit / service) + 1)]
    terms = (part**k / math.factorial(k) * math.exp(-part) for k, part in parts)
    return 1 - (1 - rate * service) * sum(terms)


def against_erlang() -> tuple[float, float]:
    """Many users who think for long are arrivals by chance: what is simulated, and what the formula says."""
    users, service, limit, rate = 4000, 0.5, 1.2, 1.5
    server = Server(1, service, 0.0, users / rate - service, service + limit)
    return late_share(server, users, 20 * LONG), erlang(rate, service, limit)


# Short, so that a search takes about a minute; their waits are far above what the server and the client add.
SHORT = [
    Server(workers, 0.1, 0.2, 0.2, limit)
    for workers, limit in ((1, 0.25), (2, 0.25), (3, 0.2), (2, 0.35), (1, 0.45))
]  # fmt: skip


def real(searches: int) -> None:
    """Each of SHORT in turn, with audio and chances of its own."""
    held = 0
    for number in range(searches):
        server = SHORT[number % len(SHORT)]
        most, began = truth(server), time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(number)
            for clip in range(3):
                samples = rng.normal(0, 0.1, round(server.speech_s * RATE)).astype(np.float32)
                soundfile.write(Path(folder) / f"{clip}.wav", samples, RATE)
            [found] = report(
                "experiment=capacity", "engine=null", f"engine.rtf={server.service_s / server.speech_s:g}",
                "samples=dir", f"samples.dir={folder}", f"workers={server.workers}", f"load.think_s={server.think_s:g}",
                f"load.think_seed={1000 * number}", f"load.arrival_seed={1000 * number}", f"load.users={2 * most}",
                f"slo.stop_to_text_p95_s={server.limit_s:g}", "validity.min_s=null", "live=false",
            ).capacity  # fmt: skip
        low, high = found.feasible_max or 0, found.infeasible_min
        holds = high is not None and low <= most < high  # a search that was stopped found nothing
        held += holds
        name = f"{server.workers} x {server.service_s:g} s, {server.limit_s:g} s"
        print(
            f"{name}: truth {most}, band {low:g} to {'?' if high is None else f'{high:g}'} in "
            f"{sum(probe.runs for probe in found.probes)} runs, {time.monotonic() - began:.0f} s: "
            f"{'holds it' if holds else 'does not hold it'}{f' ({found.stopped})' if found.stopped else ''}",
            flush=True,
        )
    print(f"{held} of {searches} real searches: the band holds the truth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--real", type=int, default=0, metavar="N", help="searches against engine=null instead")
    asked = parser.parse_args()
    if asked.real:
        real(asked.real)
        return
    searches = asked.searches
    print("M/D/1, waits above 1.2 s: simulated {:.4f}, by the formula {:.4f}".format(*against_erlang()))
    rule = Rule({LATE: SHARE})
    rows, began = [], time.monotonic()
    whole = [0, 0, 0, 0]
    for number, server in enumerate(SERVERS):
        count = searches // len(SERVERS) + (number < searches % len(SERVERS))
        most, holds, false, open_, minutes, trials, widths = truth(server), 0, 0, 0, 0.0, 0, 0
        for at in range(count):
            probes, took, made = search(server, rule, random.Random(f"{number} {at}"))
            found = band(probes, rule)
            holds += found.feasible_max <= most and (found.infeasible_min is None or found.infeasible_min > most)
            false += found.feasible_max >= math.ceil(1.1 * most) and found.feasible_max > most
            open_ += not found.resolved
            widths += (found.infeasible_min or most) - found.feasible_max
            minutes, trials = minutes + took / 60, trials + made
        grid = sum((turns_for(n) + 1) * server.turn_s * rule.looks / 60 for n in range(1, most + 2))
        name = f"{server.workers} x {server.service_s:g} s, {server.limit_s:g} s"
        rows.append([
            name, most, f"{holds}/{count}", f"{false}/{count}", f"{widths / count:.1f}", f"{trials / count:.1f}",
            f"{minutes / count:.0f}", f"{grid:.0f}",
        ])  # fmt: skip
        whole = [a + b for a, b in zip(whole, (count, holds, false, open_), strict=True)]
    header = ("workers, limit", "truth", "band holds it", "10 % too many", "width", "trials", "min", "grid min")
    print(tabulate(rows, header))
    count, holds, false, open_ = whole
    print(
        f"{count} searches: the band holds the truth in {100 * holds / count:.1f} %, 10 % above it were accepted in "
        f"{100 * false / count:.1f} %, something in it stayed open in {100 * open_ / count:.0f} %; "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
