"""How many workers, servers and machines a load needs, by simulation. Pure.

A server is a gateway with its workers. A machine may hold several behind a balancer, which gives each connection to one
of them for good; so each carries its share of the load alone, and shares the machine's cores and memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Any

import msgspec

from capsexp import load as loads
from capsexp.load import Clip, Given, LoadConfig
from capsexp.load.seeds import Seeds
from capsexp.plan.fit import Model
from capsexp.plan.limits import audio_per_user, steady, value_of, worst
from capsexp.plan.predict import Settings, server
from capsexp.simulation import Outage, Outcome, simulate

REQUESTS = 1500  # of each simulation, at the least
FEWEST_TURNS = 8  # of each user: the first is left out, as it finds nobody there, and what comes when users have left
MANY = 300  # users, from which on one simulation says as much as three of fewer
SEEDS = 3
MOST_WORKERS = 512  # of a server, where neither cores nor memory end them
SERVERS = (1, 2, 4, 8)
GATEWAY, WORKERS = "gateway", "workers"
NEARLY_FULL = 0.9  # use of workers, from which on a queue takes long to become as long as it gets where arrivals go on
LONGER = 10  # times is then simulated
PRECISION = 0.02  # of how much a machine carries
BEYOND = 2  # how much a machine carries is sought up to so many times what was asked for
GATEWAY_HELD_UP = 0.5  # use of a gateway's core, from which on several gateways are tried


@dataclass(frozen=True)
class Question:
    """`amount`: users, or seconds of audio offered per second, by the kind of `load`; `slo`: limits by their names in
    `conf/slo`; of each machine the `cores` and the memory that its servers may use (None: any)."""

    amount: float
    load: LoadConfig
    clips: tuple[Clip, ...]
    slo: Mapping[str, float]
    cores: int
    memory_mb: float | None = None

    @property
    def of_users(self) -> bool:
        """Whether `amount` is a number of users."""
        return self.load.name == "dictation"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """So many `machines`, on each so many `servers`, of each so many `workers`."""

    machines: int = 1
    servers: int = 1
    workers: int = 1

    @property
    def all_workers(self) -> int:
        return self.machines * self.servers * self.workers


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """Of a setup under a load. `slo`: what becomes of each limit; `throughput_rtfx`: audio per second of all machines;
    `worker_use` and `gateway_use`: shares of their time; `memory_mb`: of a machine at its highest."""

    setup: Setup
    amount: float
    slo: dict[str, float]
    holds: bool
    throughput_rtfx: float
    worker_use: float
    gateway_use: float
    memory_mb: float | None


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one machine carries with all the workers it can have. `binds` is the bottleneck. Of cores, memory
    or gateway more would help. Nothing helps against contention (workers slow each other down) and service (a segment
    alone takes longer than the limit). "nothing": it carries more than was tried (`open`)."""

    setup: Setup
    amount: float
    binds: str
    gateway_use: float
    open: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker that dies does: it is away for `away_s`; the worst time of any request then, and without it."""

    away_s: float
    worst_s: float
    worst_without_s: float


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """`chosen`: the fewest workers and machines that hold; None where nothing does. `beside`: neighbours, and what is
    left when a worker or a machine is dead; `edges`: by how many servers are on a machine."""

    chosen: Predicted | None
    edges: tuple[Edge, ...]
    beside: dict[str, Predicted]
    failure: Failure | None = None


class Planner:
    """Simulates setups under a question's load, each once, with so many requests at the least."""

    def __init__(self, model: Model, settings: Settings, question: Question, requests: int = REQUESTS) -> None:
        self.model, self.settings, self.question, self.requests = model, settings, question, requests
        self.pacing = question.load.pacing
        self.at = cache(self._at)

    def most_workers(self, servers: int) -> tuple[int, str]:
        """The most workers of each server with `servers` of them on a machine, and what limits them: cores, memory or
        nothing. A machine with another number of cores than the measured one keeps a core for each gateway; otherwise
        the measured speeds include what gateway, client and monitor took."""
        asked, model = self.question, self.model
        kept = servers if asked.cores != model.cores else 0
        found = [(MOST_WORKERS * servers, "nothing")]
        if (own := model.workers_on(asked.cores - kept)) is not None:
            found.append((own, "cores"))
        if asked.memory_mb is not None and model.memory is not None:
            left = asked.memory_mb - (servers - 1) * model.memory.base_mb
            if (room := model.memory.largest(left)) is not None:
                found.append((room, "memory"))
        count, why = min(found)
        return count // servers, why

    def _at(self, setup: Setup, amount: float, free: str = "") -> Predicted:
        """`free`: what is taken to be had for nothing, a gateway without work or a quarter more workers with cores."""
        asked = self.question
        share = amount / (setup.machines * setup.servers)
        if asked.of_users:
            share = math.ceil(share)
        seen = [self._simulated(setup, share, seed, free) for seed in range(1 if share > MANY else SEEDS)]
        if not asked.of_users and fmean(each.worker_use for each in seen) > NEARLY_FULL:
            seen = [self._simulated(setup, share, 0, free, longer=LONGER)]
        kept = [one for each in seen for one in steady(each, asked.of_users)]
        slo = {name: value_of(name, kept) for name in asked.slo}
        memory = self.model.memory
        return Predicted(
            setup=setup,
            amount=amount,
            slo=slo,
            holds=all(value <= asked.slo[name] for name, value in slo.items()),
            throughput_rtfx=amount * fmean(audio_per_user(each) for each in seen) if asked.of_users else amount,
            worker_use=fmean(each.worker_use for each in seen),
            gateway_use=fmean(each.gateway_use for each in seen),
            memory_mb=None if memory is None else setup.servers * memory.at(setup.workers),
        )

    def _simulated(
        self,
        setup: Setup,
        share: float,
        seed: int,
        free: str = "",
        outages: tuple[Outage, ...] = (),
        longer: int = 1,
    ) -> Outcome:
        asked = self.question
        more = math.ceil(setup.workers / 4) if free == WORKERS else 0
        cores = asked.cores + more * setup.servers * self.model.threads
        made = server(self.model, self.settings, setup.workers + more, self.pacing, cores, setup.servers)
        made = replace(made, outages=outages, gateway_s=0.0 if free == GATEWAY else made.gateway_s)
        load = self._load(share, longer)
        seeds = Seeds(order=load.seed, arrivals=load.arrival_seed + seed, think=load.think_seed + seed)
        return simulate(made, asked.clips, loads.plan(load, Given(asked.clips, seeds)), load, seed)

    def _load(self, share: float, longer: int) -> LoadConfig:
        """Of one server, long enough for its figures."""
        asked, changed = self.question, dict[str, Any](timeout=1e12)
        if asked.of_users:
            changed |= {"users": int(share), "turns": max(FEWEST_TURNS, math.ceil(self.requests / share) + 1)}
        else:
            mean_s = fmean(clip.duration_s for clip in asked.clips)
            changed |= {"rate": share, "unit": "rtfx", "duration_s": longer * self.requests * mean_s / share}
        return replace(asked.load, **changed)

    def carries(self, setup: Setup) -> tuple[float, bool]:
        """The most that it carries, to PRECISION, users as whole ones; and whether it may be more."""
        step = 1.0 if self.question.of_users else 0.25
        most = BEYOND * max(self.question.amount, step)
        low, high = 0.0, step
        while self.at(setup, high).holds:
            if high >= most:
                return high, True
            low, high = high, min(2 * high, most)
        while high - low > (max(1.0, PRECISION * low) if self.question.of_users else PRECISION * high):
            middle = (low + high) / 2
            middle = float(round(middle)) if self.question.of_users else middle
            low, high = (middle, high) if self.at(setup, middle).holds else (low, middle)
        return low, False

    def edge(self, servers: int) -> Edge | None:
        """Of a machine with so many servers; None where it has no room for them."""
        workers, why = self.most_workers(servers)
        if workers < 1:
            return None
        setup = Setup(servers=servers, workers=workers)
        amount, more = self.carries(setup)
        step = max(1.0, PRECISION * amount) if self.question.of_users else max(0.25, PRECISION * amount)
        beyond = self.at(setup, amount + step)
        if not amount:
            why = "service"
        elif more:
            why = "nothing"
        elif self.at(setup, amount + step, GATEWAY).holds:
            why = "gateway"
        elif not self.at(setup, amount + step, WORKERS).holds:
            why = "contention"
        return Edge(setup=setup, amount=amount, binds=why, gateway_use=beyond.gateway_use, open=more)

    def fewest_workers(self, setup: Setup) -> Setup:
        """That hold; `setup` does."""
        low, high = 0, setup.workers
        while high - low > 1:
            middle = (low + high) // 2
            fewer = msgspec.structs.replace(setup, workers=middle)
            low, high = (low, middle) if self.at(fewer, self.question.amount).holds else (middle, high)
        return msgspec.structs.replace(setup, workers=high)

    def failure(self, setup: Setup) -> Failure:
        """A worker of one server dies in the middle of the load, and is away for as long as one took to load."""
        share = self.question.amount / (setup.machines * setup.servers)
        share = math.ceil(share) if self.question.of_users else share
        whole = self._simulated(setup, share, 0)
        middle = (whole.makespan_s or 0.0) / 2
        hit = self._simulated(setup, share, 0, outages=(Outage(0, middle, middle + self.model.load_s),))
        near = (middle - 60, middle + 60 + 2 * self.model.load_s)
        return Failure(
            away_s=self.model.load_s,
            worst_s=worst(hit.requests, near),
            worst_without_s=worst(whole.requests, near),
        )

    def plan(self) -> Planned:
        """The fewest machines, then servers, then workers."""
        edges: list[Edge] = []
        for servers in SERVERS:
            found = self.edge(servers)
            if found is None or (edges and found.amount <= 1.05 * edges[-1].amount):
                break
            edges.append(found)
            if found.amount >= self.question.amount or found.gateway_use < GATEWAY_HELD_UP:
                break
        if not edges or not edges[-1].amount:
            return Planned(chosen=None, edges=tuple(edges), beside={})
        best, amount = edges[-1], self.question.amount
        full = msgspec.structs.replace(best.setup, machines=math.ceil(amount / best.amount))
        while not self.at(full, amount).holds:  # a share that is rounded up may be one too many
            full = msgspec.structs.replace(full, machines=full.machines + 1)
        setup = self.fewest_workers(full)
        beside = {}
        if setup.workers > 1:
            beside["one worker dead"] = msgspec.structs.replace(setup, workers=setup.workers - 1)
        if setup.machines > 1:
            beside["one machine dead"] = msgspec.structs.replace(setup, machines=setup.machines - 1)
            beside["one machine more"] = msgspec.structs.replace(setup, machines=setup.machines + 1)
        if setup.workers < best.setup.workers:
            beside["one worker more"] = msgspec.structs.replace(setup, workers=setup.workers + 1)
            if setup != full and self.most_workers(setup.servers)[1] != "nothing":
                beside["all workers that fit"] = full
        return Planned(
            chosen=self.at(setup, amount),
            edges=tuple(edges),
            beside={name: self.at(other, amount) for name, other in beside.items()},
            failure=self.failure(setup) if setup.workers > 1 else None,
        )


def cost_per_audio_hour(chosen: Predicted, price_machine_hour: float) -> float:
    """Of an hour of audio, in the unit of the price, with machines that run all the time under this load."""
    return chosen.setup.machines * price_machine_hour / chosen.throughput_rtfx
