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

    with _handled(interrupt):
        yield asked


@contextmanager
def ignored() -> Iterator[None]:
    """None of them cuts short what is done here."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: Callable[..., object] | int) -> Iterator[None]:
    known = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]  # Windows has no SIGHUP
    before = {signum: signal.signal(signum, handler) for signum in known}
    try:
        yield
    finally:
        for signum, handling in before.items():
            signal.signal(signum, handling)
