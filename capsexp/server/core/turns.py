"""Decides whose large message is received next: as many at once as can be worked on, however many connections exist.

A message may hold a minute of audio, and a thousand clients may begin to send at once. So large messages wait for one
of `places`, in the order in which they began. A slow sender gives up its place and continues without one; when too
many senders are slow, one that has sent nothing for STALL_S is disconnected. No client waits for long, because a ping
may queue behind the unread audio, and a client that gets no pong closes the connection: after OVERDUE_S it is let in
without a place, one client after the other.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

TURN_S = 0.25  # s; a sender that sends less than FAST in it cannot fill the memory soon, and loses its place
FAST = 131_072  # bytes
SLOW = 4  # times as many as have a place may be slow
STALL_S = 10.0  # without a byte, while others wait: such a client is let go
OVERDUE_S = 5.0  # that a client waits for its turn

K = TypeVar("K", bound=Hashable)


class State(Enum):
    WAITING = "waiting"
    PLACED = "placed"  # its message comes in, or is in hand
    SLOW = "slow"  # ... without a place, as little came of it
    HURRIED = "hurried"  # ... as it waited for too long


@dataclass
class Sender:
    state: State
    since: float  # that it waits, or that what comes of it is counted
    received: int = 0  # bytes, since then
    latest: float = 0.0  # when the last of them came
    whole: bool = False  # its message has come


class LetIn(NamedTuple):
    """Read its message. `hurried`: it has no place."""

    who: Hashable
    hurried: bool


class LetGo(NamedTuple):
    """Nothing has come of it for STALL_S."""

    who: Hashable


Act: TypeAlias = LetIn | LetGo


class Turns(Generic[K]):
    """`places`: large messages that may come in or be in hand at once. Times are seconds of one clock."""

    def __init__(self, places: int) -> None:
        self._free, self._most_slow = places, SLOW * places
        self._senders: dict[K, Sender] = {}
        self._queue: dict[K, None] = {}
        self._coming: dict[K, None] = {}  # with a place, and not whole
        self._slow: dict[K, None] = {}  # in the order they fell behind
        self._hurried: K | None = None  # the latest that is not whole
        self._next_hurry = 0.0  # not before that, if it does not come

    def state(self, who: K) -> State | None:
        """None for a sender without a large message under way."""
        sender = self._senders.get(who)
        return None if sender is None else sender.state

    def wants(self, who: K, now: float) -> None:
        """A large message of it begins."""
        assert who not in self._senders
        self._senders[who] = Sender(State.WAITING, now)
        self._queue[who] = None

    def received(self, who: K, size: int, now: float) -> None:
        """Count `size` bytes of a sender; ignored for one without a large message under way."""
        sender = self._senders.get(who)
        if sender is not None:
            sender.received += size
            sender.latest = now

    def came(self, who: K) -> None:
        """Its message is whole, and in hand."""
        sender = self._senders.get(who)
        if sender is not None:
            sender.whole = True
            self._coming.pop(who, None)
            self._hurry_over(who)

    def leaves(self, who: K) -> None:
        """Its message is out of the way, or it has gone."""
        sender = self._senders.pop(who, None)
        if sender is None:
            return
        if sender.state is State.PLACED:
            self._free += 1
        for members in (self._queue, self._coming, self._slow):
            members.pop(who, None)
        self._hurry_over(who)

    def turn(self, now: float, roomy: bool = True) -> list[Act]:
        """What is to be done now. `roomy`: there is memory for one without a place."""
        acts: list[Act] = []
        for who in [who for who in self._coming if self._senders[who].since + TURN_S <= now]:
            self._look_at(who, now, acts)
        while self._free and self._queue:
            self._free -= 1
            who = self._let_in(State.PLACED, now, acts)
            self._coming[who] = None
        if roomy and self._queue and self._hurry_due() <= now:
            self._hurried = self._let_in(State.HURRIED, now, acts)
            self._next_hurry = now + OVERDUE_S
        return acts

    def due(self) -> float | None:
        """When there may be something to do, whatever happens; None while nobody waits."""
        if not self._queue:
            return None
        return min([self._hurry_due(), *(self._senders[who].since + TURN_S for who in self._coming)])

    def _hurry_due(self) -> float:
        overdue = self._senders[next(iter(self._queue))].since + OVERDUE_S
        return overdue if self._hurried is None else max(overdue, self._next_hurry)

    def _hurry_over(self, who: K) -> None:
        if self._hurried == who:
            self._hurried = None

    def _let_in(self, state: State, now: float, acts: list[Act]) -> K:
        who = next(iter(self._queue))
        del self._queue[who]
        self._senders[who] = Sender(state, now, latest=now)
        acts.append(LetIn(who, state is State.HURRIED))
        return who

    def _look_at(self, who: K, now: float, acts: list[Act]) -> None:
        """Somebody who has a place: it passes it on if it is slow, others wait and not too many are slow already."""
        sender = self._senders[who]
        slow = sender.received < FAST and bool(self._queue)
        sender.since, sender.received = now, 0
        if not slow:
            return
        if len(self._slow) < self._most_slow:
            sender.state = State.SLOW
            del self._coming[who]
            self._slow[who] = None
            self._free += 1
            return
        stalled = next((one for one in self._slow if self._stalls(one, now)), None)
        if stalled is not None:
            acts.append(LetGo(stalled))
            self.leaves(stalled)

    def _stalls(self, who: K, now: float) -> bool:
        sender = self._senders[who]
        return not sender.whole and now - sender.latest > STALL_S  # a whole one waits for the workers
