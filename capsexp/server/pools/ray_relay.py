"""Passes messages unchanged between a worker of a node and the gateway; only Started is read, for the worker's pid."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from collections.abc import Callable

from capsexp.pipes import Connection, half_close, shut
from capsexp.server.messages import Failed, Started
from capsexp.server.pools.base import Launcher, WorkerHandle
from capsexp.server.pools.ray_words import Ended

SMALL = 512  # bytes, of which Started is less
GONE_S = 2.0  # from the end of its pipe until a process is gone, if it ends by itself


class Relay:
    """`hand`: the worker, or why there is none; `reach` makes the connection. Threads of its own do the rest."""

    def __init__(self, hand: WorkerHandle | Failed, reach: Callable[[], Connection], launcher: Launcher) -> None:
        self._hand, self._reach, self._launcher = hand, reach, launcher
        self.over = False
        threading.Thread(target=self._run, daemon=True).start()

    def end(self, how: str) -> None:
        """`terminate` or `kill` it. One that was not forked yet ends with who was to fork it."""
        if isinstance(self._hand, Failed):
            return
        if self._hand.pid is not None:
            getattr(self._hand, how)()
        elif not self.over:
            self._launcher.kill()

    def _run(self) -> None:
        try:
            with self._reach() as far:
                if isinstance(self._hand, Failed):
                    far.send(self._hand)
                    far.send(Ended(self._hand.reason))
                else:
                    self._both_ways(self._hand, far)
        except Exception:  # the gateway has gone, or does not want this worker
            self.end("kill")
        finally:
            self.over = True

    def _both_ways(self, hand: WorkerHandle, far: Connection) -> None:
        if hand.pid is not None:
            far.send(Started(hand.pid))
        inward = threading.Thread(target=self._inward, args=(hand, far), daemon=True)
        inward.start()
        try:
            with contextlib.suppress(EOFError, ConnectionResetError):
                while True:
                    said = hand.pipe.recv_bytes()
                    if len(said) < SMALL and isinstance(word := pickle.loads(said), Started):
                        hand.pid = word.pid
                    far.send_bytes(said)
            far.send(Ended(self._how(hand)))
            half_close(far)
            inward.join(GONE_S)  # closed with something unread, it would take the last word with it
        finally:
            shut(far)
            inward.join()
            hand.pipe.close()

    def _inward(self, hand: WorkerHandle, far: Connection) -> None:
        with contextlib.suppress(OSError, EOFError):  # no more will come
            while True:
                said = far.recv_bytes()
                with contextlib.suppress(OSError):  # it has ended: what comes for it goes nowhere
                    hand.pipe.send_bytes(said)
        half_close(hand.pipe)

    def _how(self, hand: WorkerHandle) -> str:
        until = time.monotonic() + GONE_S
        while hand.alive() and time.monotonic() < until:
            time.sleep(0.005)
        if hand.alive():
            hand.kill()
        return hand.ended()
