"""Which connections are read: as many messages in memory as can be used, whatever the number of connections; and which
clients have left.

websockets reads a connection until its message is complete, and a message holds up to a minute of audio: of a thousand
clients that begin to send at once, a thousand messages. So a connection whose next message is large is read when its
turn has come. Small ones (a dictating client's, the end of a connection) need no turn, and a slow sender passes its
turn on; when too many are slow, those of whom nothing comes any more are let go. A client that leaves is seen at once,
although nobody reads from it.

Nobody waits for a turn for long, as a ping may stand behind what is unread, and its sender gives up when no answer
comes: who has waited OVERDUE_S is read without a place, one after the other.

By epoll, so Linux only. Elsewhere, and under TLS (whose layer may hold bytes that epoll knows nothing of), everybody is
read from, and one that left is noticed when something is sent to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque

from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.permit import Permit
from capsexp.server.tcp_queues import TcpQueues, kernel

log = logging.getLogger(__name__)

SMALL = 16_384  # bytes that may be read without a turn
SETTLE_S = 0.005  # without more bytes: then a small message is whole, and not the beginning of a large one
LOOK_AGAIN_S = 0.02  # a small message that is not there by then is a large one all the same
TURN_S = 0.25  # a sender of which less than FAST comes in that time cannot fill the memory soon: the turn passes on
FAST = 131_072  # bytes
SLOW = 4  # times as many as have a turn may be slow
STALL_S = 10.0  # without a byte, while others wait: such a client is let go
OVERDUE_S = 5.0  # that a client waits for its turn


class ReceiveThrottle:
    """`places`: large messages that may come in or be in hand at once."""

    def __init__(self, places: int, held: MemoryBudget | None = None) -> None:
        self._free = places
        self._held = held or MemoryBudget()
        self._hurried: _Watched | None = None  # comes in without a place
        self._timer: asyncio.TimerHandle | None = None
        self._most_slow = SLOW * places
        self._slow: dict[_Watched, None] = {}  # their message came in part, in the order they fell behind
        self._queue: deque[_Watched] = deque()
        self._permits: dict[int, _Watched] = {}
        self._kernel = kernel()
        if self._kernel is not None:
            asyncio.get_running_loop().add_reader(self._kernel.fileno(), self._look)

    def permit(self, transport: asyncio.Transport) -> Permit:
        """For a connection that begins."""
        _keep_alive(transport)
        if self._kernel is None or transport.get_extra_info("sslcontext") or transport.is_closing():
            return _Plain(transport)
        descriptor: int = transport.get_extra_info("socket").fileno()
        permit = self._permits[descriptor] = _Watched(self, self._kernel, transport, descriptor)
        return permit

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._kernel is not None:
            asyncio.get_running_loop().remove_reader(self._kernel.fileno())
            self._kernel.close()

    def _look(self) -> None:
        assert self._kernel is not None
        for descriptor, left in self._kernel.news():
            if descriptor in self._permits:
                self._permits[descriptor].happened(left)

    def wait(self, permit: _Watched) -> None:
        self._queue.append(permit)
        self.serve()

    def serve(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            self._queue.popleft().let_in()
        if self._queue and self._hurried is None and self._timer is None:
            wait = self._queue[0].since + OVERDUE_S - time.monotonic()
            if wait <= 0 and self._held.roomy.is_set():
                self._hurried = self._queue.popleft()
                self._hurried.let_in(hurried=True)
                wait = OVERDUE_S  # until the next, if this one does not come
            self._timer = asyncio.get_running_loop().call_later(max(wait, LOOK_AGAIN_S), self._look_at_queue)

    def _look_at_queue(self) -> None:
        self._timer = None
        self._hurried = None
        self.serve()

    def came(self, permit: _Watched) -> None:
        """The one without a place is in."""
        if self._hurried is permit:
            self._hurried = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.serve()

    def yields(self, permit: _Watched) -> bool:
        """Whether a slow sender's turn passes on to somebody who waits; makes room for that if it can."""
        if not self._queue:
            return False
        if len(self._slow) >= self._most_slow:
            stalled = next((slow for slow in self._slow if slow.stalls()), None)
            if stalled is not None:
                log.warning("a client of whose message nothing came for %g s is let go, as others wait", STALL_S)
                stalled.drop()
            return False
        self._slow[permit] = None
        self._free += 1
        self.serve()
        return True

    def leave(self, permit: _Watched, placed: bool) -> None:
        self._slow.pop(permit, None)
        self.came(permit)
        if placed:
            self._free += 1
        elif permit in self._queue:
            self._queue.remove(permit)
        self.serve()

    def forget(self, permit: _Watched, descriptor: int) -> None:
        if self._permits.get(descriptor) is permit:  # the number may be another connection's by now
            del self._permits[descriptor]
            if self._kernel is not None:
                self._kernel.forget(descriptor)


def _keep_alive(transport: asyncio.Transport) -> None:
    """A client whose machine or network is gone says nothing: have the kernel ask, and end the connection after two
    minutes without an answer."""
    connection = transport.get_extra_info("socket")
    if connection is None:  # under TLS, of a client that has left
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _Plain(Permit):
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def drop(self) -> None:
        self._transport.abort()


class _Watched(_Plain):
    def __init__(
        self, throttle: ReceiveThrottle, kernel: TcpQueues, transport: asyncio.Transport, descriptor: int
    ) -> None:
        super().__init__(transport)
        self._throttle, self._kernel, self._descriptor = throttle, kernel, descriptor
        self._placed = self._waiting = False
        self._receiving = False
        self.since = 0.0  # that it waits for its turn
        self._seen = 0.0, 0
        self._timer: asyncio.TimerHandle | None = None
        kernel.add(descriptor)
        self.pause_reading()

    def resume_reading(self, at_once: bool = False) -> None:
        if at_once:
            self._resume()
        else:
            self._watch(for_data=True)

    def pause_reading(self) -> None:
        self._cancel()
        self._receiving = False
        if not self._transport.is_closing():
            self._transport.pause_reading()
            self._watch()

    def done(self) -> None:
        self._cancel()
        placed, self._placed, self._waiting, self.hurried = self._placed, False, False, False
        self._throttle.leave(self, placed)

    def close(self) -> None:
        self.done()
        self._throttle.forget(self, self._descriptor)
        if not self._transport.is_closing():
            self._transport.resume_reading()  # for the end of the connection

    def happened(self, left: bool) -> None:
        if left:
            self.leave()
        else:
            self._watch()
            self._measure(0)

    def let_in(self, hurried: bool = False) -> None:
        self._placed, self._waiting, self.hurried = not hurried, False, hurried
        self._resume()
        if hurried:
            return
        self._timer = asyncio.get_running_loop().call_later(TURN_S, self._pass_on, self._received())

    def _pass_on(self, before: int) -> None:
        now, self._timer = self._received(), None
        # What is unread is for us to be faster.
        if now - before < FAST and not self._unread() and self._throttle.yields(self):
            self._placed, self._seen = False, (time.monotonic(), now)
        else:
            self._timer = asyncio.get_running_loop().call_later(TURN_S, self._pass_on, now)

    def stalls(self) -> bool:
        """Whether nothing has come for STALL_S of a message that began to."""
        if not self._receiving:  # it has come, and waits for the workers
            return False
        since, before = self._seen
        if (now := self._received()) != before:
            self._seen = time.monotonic(), now
            return False
        return time.monotonic() - since > STALL_S

    def _unread(self) -> int:
        return 0 if self._transport.is_closing() else self._kernel.unread(self._descriptor)

    def _received(self) -> int:
        return 0 if self._transport.is_closing() else self._kernel.received(self._transport.get_extra_info("socket"))

    def _wait(self) -> None:
        self._waiting, self.since = True, time.monotonic()
        self._watch()
        self._throttle.wait(self)

    def _measure(self, before: int) -> None:
        """How large is what waits in the kernel, of which `before` bytes were there already?"""
        if self._transport.is_closing():
            return
        size = self._unread()
        if size >= SMALL:
            self._wait()
        elif size > before:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_S, self._measure, size)
        else:
            self._resume()
            self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._is_large)

    def _is_large(self) -> None:
        """It began to come without a turn, and goes on and on."""
        self._timer = None
        if not self._transport.is_closing():
            self._transport.pause_reading()
            self._wait()

    def _resume(self) -> None:
        self._cancel()
        self._receiving = True
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._watch()

    def _watch(self, for_data: bool = False) -> None:
        if not self._transport.is_closing():
            self._kernel.watch(self._descriptor, for_data)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
