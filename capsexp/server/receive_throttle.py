"""Applies core/turns.py to connections: gives it the time and the memory's state, and carries out its decisions."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from capsexp.server.core.turns import STALL_S, LetIn, Turns
from capsexp.server.memory_budget import MemoryBudget

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.02  # at least, between two looks at who waits


class Throttled(Protocol):
    """A connection. Equal to itself alone."""

    def __hash__(self) -> int: ...

    def let_in(self, hurried: bool) -> None:
        """It is its turn. `hurried`: it has no place, and its message is to be read on soon."""

    def drop(self) -> None:
        """Abort the connection, without a close handshake."""


class ReceiveThrottle:
    """`places`: large messages that may come in or be in hand at once."""

    def __init__(self, places: int, held: MemoryBudget | None = None) -> None:
        self._turns: Turns[Throttled] = Turns(places)
        self._held = held or MemoryBudget()
        self._timer: asyncio.TimerHandle | None = None

    def wants(self, one: Throttled) -> None:
        """A large message of it begins: it is let in when its turn comes, maybe before this returns."""
        if self._turns.state(one) is None:
            self._turns.wants(one, time.monotonic())
            self._go_on()

    def received(self, one: Throttled, size: int) -> None:
        """Bytes, of one that may have a turn."""
        if self._turns.state(one) is not None:
            self._turns.received(one, size, time.monotonic())

    def came(self, one: Throttled) -> None:
        """Its message is whole."""
        if self._turns.state(one) is not None:
            self._turns.came(one)
            self._go_on()

    def leaves(self, one: Throttled) -> None:
        """Its message is out of the way, or the connection has ended: somebody else's turn."""
        if self._turns.state(one) is not None:
            self._turns.leaves(one)
            self._go_on()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self) -> None:
        now = time.monotonic()
        for act in self._turns.turn(now, self._held.roomy.is_set()):
            one: Throttled = act.who  # type: ignore[assignment]
            if isinstance(act, LetIn):
                one.let_in(act.hurried)
            else:
                log.warning("a client that sent nothing for %g s mid-message is disconnected, as others wait", STALL_S)
                one.drop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._turns.due()) is not None:
            wait = max(due - now, LOOK_AGAIN_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self._go_on)
