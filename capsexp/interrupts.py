"""Signals that end a sweep, for as long as it runs: whoever calls us gets their own handling back afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def in_order() -> Iterator[list[int]]:
    """SIGTERM and a closed terminal end what is done here as Ctrl-C does: by KeyboardInterrupt, in order. Gives the
    list of those that came."""
    asked: list[int] = []

    def interrupt(signum: int, frame: object) -> None:
        asked.append(signum)
        raise KeyboardInterrupt

    with _handled(interrupt, heard=False):
        yield asked


@contextmanager
def ignored() -> Iterator[None]:
    """None of them cuts short what is done here."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """What comes meanwhile takes effect at the end."""
    came: list[int] = []
    with _handled(lambda signum, frame: came.append(signum)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextmanager
def _handled(handler: Callable[..., object] | int, heard: bool = True) -> Iterator[None]:
    """`heard`: also signals that were ignored when we were started (by nohup, by a shell for a background job)."""
    known = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]  # Windows has no SIGHUP
    known = [signum for signum in known if heard or signal.getsignal(signum) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, handler) for signum in known}
    try:
        yield
    finally:
        for signum, handling in before.items():
            signal.signal(signum, handling)
