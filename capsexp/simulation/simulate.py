"""A discrete-event simulation of a load on a server. Pure: nothing waits, and time is a number.

What decides is what decides in the server: its scheduler gives the segments, its rule cuts them, its places hold back
who sends. Simulated are the clock, the gateway's core and the workers.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from capsexp.load import Clip, LoadConfig, Turn
from capsexp.load.pacing import REALTIME
from capsexp.protocol import RATE
from capsexp.segments import Cut
from capsexp.server.core.order import Flow, order
from capsexp.server.core.queue import Work
from capsexp.server.core.scheduler import Admitted, Scheduler
from capsexp.simulation.outcome import Outcome, Simulated
from capsexp.simulation.server import GatewayQueue, Outage, Piece, Server, pieces, samples_of

Event: TypeAlias = "tuple[float, int, Callable[..., None], tuple[object, ...]]"


@dataclass(eq=False)
class _Job(Work):
    """A segment that waits or is recognized; `work_s`: what that takes while no other works."""

    request: _Request = field(kw_only=True)
    work_s: float = field(kw_only=True)
    queued_s: float = field(kw_only=True)
    last: bool = field(kw_only=True)


class _Request:
    """One under way: its pieces are cut one after another, each when its audio is there and the one before has its
    place."""

    def __init__(self, turn: Turn, user: _User, seen: Simulated, cut: tuple[Piece, ...], works: list[float]) -> None:
        self.turn, self.user, self.seen, self.pieces, self.works = turn, user, seen, cut, works
        self.spoken = turn.pacing == REALTIME
        self.flow: Flow | None = None
        self.next = 0  # of its pieces
        self.taken = 0  # samples that the gateway has taken, of a file
        self.left = len(cut)  # that are not done


class _User:
    """Turns one after another."""

    def __init__(self) -> None:
        self.turns: deque[_Request] = deque()


class _Places:
    """Of a class of requests so many go on at once; who comes beyond waits in line."""

    def __init__(self, count: int) -> None:
        self.free, self.line = count, deque[_Request]()


def simulate(
    server: Server, clips: Sequence[Clip], turns: Sequence[Turn], load: LoadConfig, seed: int = 0, until_s: float = 1e9
) -> Outcome:
    """The turns of a load plan (`capsexp.load.plan`) against a server, to the end or, with what is then unfinished,
    until `until_s`. Of `load` it takes how audio is cut and sent. The same arguments give the same outcome, and what a
    segment takes does not depend on how many workers there are."""
    return _Simulation(server, clips, turns, load, seed).run(until_s)


class _Simulation:
    def __init__(
        self, server: Server, clips: Sequence[Clip], turns: Sequence[Turn], load: LoadConfig, seed: int
    ) -> None:
        self.server, self.load = server, load
        self.packet, self.message = samples_of(load.packet_s) or 1, samples_of(load.message_s) or 1
        self.scheduler: Scheduler[_Job] = Scheduler(
            server.workers, server.places, server.dispatch, order(server.schedule, server.passed_over_s)
        )
        self.gateway = GatewayQueue(server.gateway_s)
        self.now, self.count = 0.0, 0
        self.events: list[Event] = []
        self.working: set[int] = set()
        self.lives = [0] * server.workers  # how often each has ended: what an earlier one was to finish it never will
        self.began = [0.0] * server.workers
        self.busy = [0.0] * server.workers
        self.slow = [*server.slowdown, *[server.slowdown[-1]] * (server.workers + 1 - len(server.slowdown))]
        self.outcome = Outcome([], self.busy)
        self._plan(clips, turns, random.Random(seed))

    def _plan(self, clips: Sequence[Clip], turns: Sequence[Turn], chance: random.Random) -> None:
        cut, service = Cut.of(self.load.seg_duration, self.load.seg_overlap), self.server.service_s
        users: dict[tuple[int, int], _User] = {}
        bounds = {turn.kind: [bound for bound in (turn.places, self.load.concurrency) if bound] for turn in turns}
        self.places = {kind: _Places(min(bound)) if bound else None for kind, bound in bounds.items()}
        seen = []
        for number, turn in enumerate(turns):
            clip = clips[turn.clip]
            own = pieces(samples_of(clip.duration_s), cut)
            key = (turn.user, number if turn.wait_s is None else -1)  # as the client has it: those are their own users
            user = users.setdefault(key, _User())
            one = Simulated(number, turn.clip, clip.duration_s, turn.kind, len(user.turns))
            works = [service(p.audio_s, p.new_s, chance) for p in own]
            user.turns.append(_Request(turn, user, one, own, works))
            seen.append(one)
        self.outcome.requests = seen
        for user in users.values():
            self._next_turn(user)

    def run(self, until_s: float) -> Outcome:
        for worker in range(self.server.workers):
            self.scheduler.open(worker)
        for outage in self.server.outages:
            self._at(outage.at_s, self._dies, outage)
            if outage.until_s < until_s:
                self._at(outage.until_s, self._comes_back, outage.worker)
        events, pop = self.events, heapq.heappop
        while events and events[0][0] <= until_s:
            self.now, _, act, of = pop(events)
            act(*of)
            self.outcome.events += 1
        self.gateway.advance(self.now)
        self.outcome.gateway_s = self.gateway.busy_s
        return self.outcome

    def _at(self, time: float, act: Callable[..., None], *of: object) -> None:
        self.count += 1  # events of one moment in the order in which they were foreseen
        heapq.heappush(self.events, (time, self.count, act, of))

    # Requests.

    def _next_turn(self, user: _User) -> None:
        if user.turns:
            request = user.turns.popleft()
            request.seen.due_s = self.now + (request.turn.wait_s or 0.0)
            self._at(request.seen.due_s, self._due, request)

    def _due(self, request: _Request) -> None:
        places = self.places[request.turn.kind]
        if places is None:
            self._begin(request)
        elif places.free:
            places.free -= 1
            self._begin(request)
        else:
            places.line.append(request)

    def _begin(self, request: _Request) -> None:
        seen = request.seen
        seen.start_s = self.now
        if request.turn.wait_s is None:
            seen.due_s = self.now
        request.flow = self.scheduler.flow(str(seen.number), request.spoken)
        if request.spoken:
            first = min(self.packet / RATE, seen.duration_s)  # a packet is sent when its last sample was heard
            seen.start_s = max(self.now, seen.due_s + first)
            seen.stop_s = seen.due_s + seen.duration_s
            seen.sent_s = max(self.now, seen.stop_s)
            self.gateway.speak(self.now, +1)
            self._at(seen.sent_s, self._silent)
        self._wait_for_audio(request)

    def _silent(self) -> None:
        self.gateway.speak(self.now, -1)

    def _wait_for_audio(self, request: _Request) -> None:
        """Until the next piece of a request can be cut, and has gone through the gateway."""
        if request.next < len(request.pieces):
            needed, seen = request.pieces[request.next].needed, request.seen
            if request.spoken:
                whole = samples_of(seen.duration_s)
                packets = -(-needed // self.packet)
                there = seen.due_s + min(packets * self.packet, whole) / RATE
                self._at(max(self.now, there), self._received, request)
            else:
                self._received(request)

    def _received(self, request: _Request) -> None:
        piece = request.pieces[request.next]
        through = 0.0
        if request.spoken:
            through = self.gateway.take(self.now, self.load.packet_s, True)
        else:
            whole = samples_of(request.seen.duration_s)
            while request.taken < piece.needed:
                size = min(self.message, whole - request.taken)
                through = self.gateway.take(self.now, size / RATE, False)
                request.taken += size
            if request.taken >= whole and request.seen.sent_s is None:
                request.seen.sent_s = self.now
        self._at(self.now + through + self.server.ingest_s, self._cut, request)

    def _cut(self, request: _Request) -> None:
        assert request.flow is not None
        at = request.next
        request.next += 1
        last = request.next == len(request.pieces)
        job = _Job(request.flow, request=request, work_s=request.works[at], queued_s=self.now, last=last)
        self.scheduler.submit(job)
        self._turn()

    def _ends(self, request: _Request) -> None:
        request.seen.final_s = self.now
        if (places := self.places[request.turn.kind]) is not None:
            if places.line:
                self._begin(places.line.popleft())
            else:
                places.free += 1
        self._next_turn(request.user)

    # Workers.

    def _turn(self) -> None:
        for act in self.scheduler.turn(self.now):
            if isinstance(act, Admitted):
                if not act.work.last:
                    self._wait_for_audio(act.work.request)
            elif act.worker not in self.working:  # else it is the second one there, and waits
                self._work(act.worker, act.work)

    def _work(self, worker: int, job: _Job) -> None:
        self.outcome.queue_wait_s.append(self.now - job.queued_s)
        self.working.add(worker)
        self.began[worker] = self.now
        takes = job.work_s * self.slow[len(self.working)]
        self._at(self.now + takes, self._done, worker, self.lives[worker])

    def _done(self, worker: int, life: int) -> None:
        if life != self.lives[worker]:
            return
        self._stops(worker)
        job = self.scheduler.answered(worker)
        self.scheduler.over(job)
        self._go_on(worker)
        request = job.request
        request.left -= 1
        if not request.left:
            if request.flow is not None:
                self.scheduler.end(request.flow)
            self._at(self.now + self.server.delivery_s, self._ends, request)
        self._turn()

    def _stops(self, worker: int) -> None:
        self.working.discard(worker)
        self.busy[worker] += self.now - self.began[worker]

    def _go_on(self, worker: int) -> None:
        """With the second one that it was given, if it was."""
        for job in self.scheduler.flight[worker].values():
            self._work(worker, job)
            return

    def _dies(self, outage: Outage) -> None:
        worker = outage.worker
        self.lives[worker] += 1
        lost = self.scheduler.lost(worker)
        if worker in self.working:
            self._stops(worker)
            self.outcome.again += 1
        for job in reversed(lost):
            self.scheduler.again(job)
        if outage.until_s == float("inf"):
            self.scheduler.down(worker)
        self._turn()

    def _comes_back(self, worker: int) -> None:
        self.scheduler.open(worker)
        self._turn()
