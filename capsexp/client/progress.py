"""Progress of a load: a line on a terminal when run by hand; in a run, a small file for the live view."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from capsexp.runfiles import PROGRESS

if TYPE_CHECKING:
    from capsexp.client.request import Request

BYTES = 256  # of it, padded with blanks, so that a shorter one leaves nothing of a longer one
LINE_S, FILE_S = 0.2, 0.5  # between two


class Tally:
    """What is done of requests, kept up with each answer. `heard_s`: seconds of their audio whose text is there."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.of, self.of_s = len(requests), sum(request.duration_s for request in requests)
        self.heard_s = 0.0
        self._heard: dict[int, float] = {}
        self._ended: set[int] = set()

    @property
    def done(self) -> int:
        return len(self._ended)

    def add(self, request: Request) -> None:
        """An answer to it came."""
        now = min(request.heard_s, request.duration_s)
        if request.final is not None:
            self._ended.add(request.number)
            now = request.duration_s
        before = self._heard.get(request.number, 0.0)
        self._heard[request.number] = max(before, now)
        self.heard_s += max(0.0, now - before)


class Shown:
    """Told of each answer; shows nothing."""

    def on_result(self, request: Request) -> None:
        pass

    def end(self) -> None:
        pass


class Line(Shown):
    """One line that keeps changing on a terminal; nothing where the output is a file."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._tally, self._began, self._shown = Tally(requests), time.monotonic(), 0.0
        self._alive = sys.stderr is not None and sys.stderr.isatty()

    def on_result(self, request: Request) -> None:
        tally, now = self._tally, time.monotonic()
        tally.add(request)
        if self._alive and now - self._shown > LINE_S:
            self._shown = now
            audio = f"{tally.heard_s:.0f} of {tally.of_s:.0f} s of audio"
            self._put(f"\r  {tally.done}/{tally.of} requests, {audio}, {now - self._began:.0f} s \x1b[K")

    def end(self) -> None:
        if self._alive:
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        try:
            print(text, end="", file=sys.stderr, flush=True)
        except OSError:  # the terminal has gone; the requests have not
            self._alive = False


class Note:
    """A run's file: what is said in it replaces what was said before, twice a second at most. It is worth no run: what
    cannot be written is left out. `zero`: the time.monotonic() that the run's times count from."""

    def __init__(self, run_dir: Path, zero: float) -> None:
        self._zero, self._began, self._said = zero, time.monotonic(), float("-inf")
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = (run_dir / PROGRESS).open("wb", buffering=0)

    def due(self) -> bool:
        return self._file is not None and time.monotonic() - self._said >= FILE_S

    def say(self, **facts: Any) -> None:
        if self._file is None:
            return
        self._said = time.monotonic()
        times: Mapping[str, Any] = {"start_s": self._began - self._zero, "at_s": self._said - self._zero}
        try:
            self._file.seek(0)
            self._file.write(json.dumps({**times, **facts}).encode().ljust(BYTES - 1) + b"\n")
        except OSError:
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


class File(Shown):
    """How far a run's requests are, in its file."""

    def __init__(self, run_dir: Path, zero: float, requests: Sequence[Request]) -> None:
        self._tally, self._note = Tally(requests), Note(run_dir, zero)
        self._put()

    def on_result(self, request: Request) -> None:
        self._tally.add(request)
        if self._note.due():
            self._put()

    def end(self) -> None:
        self._put()
        self._note.close()

    def _put(self) -> None:
        tally = self._tally
        heard, of = round(tally.heard_s, 1), round(tally.of_s, 1)
        self._note.say(done=tally.done, of=tally.of, heard_s=heard, of_s=of)
