"""The nodes as the gateway knows them: who has dialled, who was heard when, and which workers are where."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from capsexp.pipes import shut
from capsexp.server.messages import WorkerReady
from capsexp.server.pools.ray_link import Clock, Link, Stranger, accept, connection, these_pids, this_clock
from capsexp.server.pools.ray_pipe import NodeHandle
from capsexp.server.pools.ray_words import Hello, differing, hello, versions

log = logging.getLogger(__name__)

STRANGERS = 64  # connections that have not said yet who they are, at a time
# Above any pid. Pid p of node n (from 0) becomes p + (n + 1) * PID_STEP where a node has pids of its own: those of
# node 2 are 30,000,000 and more.
PID_STEP = 10_000_000
BEATS = 6  # words asked for within the time after which a node counts as lost


class NodeLost(OSError):
    """A node that cannot be reached now: it may come back."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EAGAIN, why)


class Node:
    """One node. `begin()` is what its agent is told first; `event(what, node, why)`: it joined, was lost
    or refused, or started a loader (`why` is its pid). Methods may be called by any thread."""

    def __init__(
        self, index: int, begin: Callable[[], dict[str, Any]], event: Callable[[str, Node, str], None]
    ) -> None:
        self.index, self.clock = index, Clock()
        self.hello: Hello | None = None  # of the last agent
        self.why = ""  # why it cannot be used now
        self.final = False  # it will never be usable
        self.over = False  # its agent reported that nothing is left there
        self._begin, self._event = begin, event
        self._link: Link | None = None
        self._up = False
        self._heard = 0.0
        self._lock = threading.RLock()
        self._channels: dict[int, NodeHandle] = {}
        self._about: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"node {self.index}" + (f" ({self.hello.host})" if self.hello is not None else "")

    @property
    def up(self) -> bool:
        return self._up

    @property
    def joined(self) -> bool:
        return self._link is not None

    def start(self, number: int, local: int, channel: int, fits: Callable[[WorkerReady], str]) -> NodeHandle:
        """Start worker `number`, which is `local` among those of this node. Raises NodeLost, RuntimeError."""
        with self._lock:
            if self.final:
                raise RuntimeError(self.why)
            if self.why:
                raise NodeLost(self.why)
            hand = NodeHandle(
                local, self.name, lambda how: self.tell(end=how, channel=channel), self._offset_s, self.pid_of, fits
            )
            self._channels = {n: one for n, one in self._channels.items() if one.alive()}
            self._channels[channel] = hand
            if self._up:
                self.tell(start=local, channel=channel)
            return hand

    def tell(self, **message: Any) -> bool:
        with self._lock:
            return self._link is not None and self._link.send(**message)

    def attach(self, channel: int, sock: socket.socket) -> bool:
        """Hand the connection of a worker to its pipe; returns whether one waited for it."""
        with self._lock:
            hand = self._channels.get(channel)
        return hand is not None and hand.pipe.attach(sock)

    def serve(self, link: Link, said: Hello) -> None:
        """Its agent has dialled: read what it says until it is lost."""
        with self._lock:
            if self.final:
                return
            self.lose("its agent dialled again")
            self._link, self.hello, self.why, self.over, self.clock = link, said, "", False, Clock()
            self._heard = time.monotonic()
        if wrong := differing(versions(), said.versions):
            self.refuse(f"has {wrong}; install the same versions there")
            return
        self.tell(begin=self._begin())
        why = "its agent closed the connection"
        try:
            while True:
                self._read(link.read())
        except ValueError as error:
            why = f"its agent sent an unreadable message: {error}"
        except (OSError, EOFError):
            pass
        with self._lock:
            if self._link is link:
                self.lose(why)

    def _read(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        self._heard = now
        if "pong" in message:
            self.clock.trip(float(message["pong"]), float(message["at"]), now)
        elif "begun" in message:
            with self._lock:
                self._up = True
                for channel, hand in self._channels.items():
                    self.tell(start=hand.number, channel=channel)
            self._event("joined", self, "")
        elif "refused" in message:
            self.refuse(str(message["refused"]))
        elif "loader" in message:
            self._event("loader", self, str(self.pid_of(int(message["loader"]))))
        elif "over" in message:
            self.over = True

    def beat(self, now: float, lost_s: float, late: bool) -> None:
        """Send a ping; the node is lost where nothing was heard of it for `lost_s` seconds. `late`: this process was
        stopped itself, so the silence is counted anew."""
        with self._lock:
            if self._link is None:
                return
            if late:
                self._heard = now
            if now - self._heard > lost_s:
                self.lose(f"nothing was heard of it for {now - self._heard:.1f} s")
            else:
                self.tell(ping=now)

    def lose(self, why: str) -> None:
        """It is not there now, and what was there is lost."""
        with self._lock:
            if self._link is None:
                return
            shut(self._link.pipe)
            self._link, self._up, self.why = None, False, f"{self.name} is lost: {why}"
            hands, self._channels = list(self._channels.values()), {}
        for hand in hands:
            hand.finish(f"lost, as {why}")
        if not self.over:
            self._event("lost", self, why)

    def refuse(self, why: str) -> None:
        """It is not to be used."""
        with self._lock:
            self.fail(f"{self.name} is refused: it {why}")
            link, self._link = self._link, None
        if link is not None:
            link.send(over=True)
        self._event("refused", self, why)

    def fail(self, why: str) -> None:
        """It will never be there."""
        with self._lock:
            self.final, self.why, self._up = True, why, False
            hands, self._channels = list(self._channels.values()), {}
        for hand in hands:
            hand.fail(why)

    def pid_of(self, pid: int) -> int:
        """A pid of the node as one that no other node has."""
        same = self.hello is not None and self.hello.pids == these_pids()
        return pid if same else pid + PID_STEP * (self.index + 1)

    def _offset_s(self) -> float:
        same = self.hello is not None and self.hello.clock == this_clock()
        return 0.0 if same else self.clock.offset_s


class Nodes:
    """`count` nodes, which dial `listen`'s port. `lost_s`: of silence, after which one counts as lost."""

    def __init__(
        self,
        count: int,
        secret: bytes,
        lost_s: float,
        begin: Callable[[int], dict[str, Any]],
        event: Callable[[str, Node, str], None],
    ) -> None:
        self._secret, self._lost_s = secret, lost_s
        self.all = [Node(index, lambda index=index: begin(index), event) for index in range(count)]  # type: ignore[misc]
        self._channels = itertools.count()
        self._strangers = threading.BoundedSemaphore(STRANGERS)
        self._listener: socket.socket | None = None
        self._closed = threading.Event()

    def listen(self, host: str) -> int:
        """Returns the port. Raises OSError."""
        self._listener = socket.create_server((host, 0), backlog=128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def start(self, number: int, fits: Callable[[WorkerReady], str]) -> NodeHandle:
        """Start worker `number` where it belongs: they go round the nodes. Raises NodeLost, RuntimeError."""
        node = self.all[number % len(self.all)]
        return node.start(number, number // len(self.all), next(self._channels), fits)

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                if self._closed.wait(0.1):  # or no descriptor was to be had
                    return
                continue
            if self._strangers.acquire(blocking=False):
                try:
                    threading.Thread(target=self._greet, args=(sock,), daemon=True).start()
                    continue
                except RuntimeError:  # no thread to be had
                    self._strangers.release()
            sock.close()

    def _greet(self, sock: socket.socket) -> None:
        with sock:
            try:
                said = accept(sock, self._secret)
                node = self.all[said["node"]]
                theirs = hello(said) if said["link"] == "control" else None
            except (Stranger, OSError, ValueError, TypeError, LookupError) as error:
                log.warning("a connection to the pool's port is not from one of its agents: %s", error)
                return
            finally:
                self._strangers.release()
            if theirs is None:
                node.attach(said["channel"], sock)
                return
            with connection(sock) as pipe:
                node.serve(Link(pipe), theirs)

    def _beat(self) -> None:
        every = self._lost_s / BEATS
        looked = time.monotonic()
        while not self._closed.wait(every):
            now = time.monotonic()
            late, looked = now - looked > every + 1.0, now  # we stood still ourselves: what they said waits for us
            for node in self.all:
                node.beat(now, self._lost_s, late)
