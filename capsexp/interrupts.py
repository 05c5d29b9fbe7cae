"""Signals that end a sweep, for as long as it runs: whoever calls us gets their own handling back afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


def in_order() -> AbstractContextManager[None]:
    """SIGTERM and a closed terminal end what is done here as Ctrl-C does: by KeyboardInterrupt, in order."""
    return _handled(_interrupt, "SIGTERM", "SIGHUP")


def ignored() -> AbstractContextManager[None]:
    """Neither they nor Ctrl-C cut short what is done here."""
    return _handled(signal.SIG_IGN, "SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def _handled(handler: Callable[..., object] | int, *names: str) -> Iterator[None]:
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    before = {signum: signal.signal(signum, handler) for signum in known}
    try:
        yield
    finally:
        for signum, handling in before.items():
            signal.signal(signum, handling)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
