"""A connection's permission to be read from, as its handler sees it."""

from __future__ import annotations

from collections.abc import Callable


class Permit:
    """Of one connection; this one is always open."""

    gone = False  # the client has left
    hurried = False  # the message that came in has no place: it is to be read on soon
    on_gone: Callable[[], object] = staticmethod(lambda: None)

    def leave(self) -> None:
        """The client has left, or is to be taken for one that has."""
        self.gone = True
        self.on_gone()

    def resume_reading(self, at_once: bool = False) -> None:
        """Let the next message in, when its turn comes, or at once."""

    def pause_reading(self) -> None:
        """Read nothing more until `resume_reading`."""

    def done(self) -> None:
        """The message that came in is out of the way: somebody else's turn."""

    def drop(self) -> None:
        """Throw the client out, without ceremony."""

    def close(self) -> None:
        """The connection has ended."""
