"""python -m capsexp.live [FOLDER]: look on at a sweep while it is made, from any terminal.

Without FOLDER it is the newest sweep below outputs/. It only reads what the sweep writes: it may be begun and ended at
any time, and nothing of the sweep depends on it. Where its output is no terminal, a line is said now and then.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from capsexp import lifeline
from capsexp.errors import ConfigError
from capsexp.files import tell
from capsexp.live.read import Folder
from capsexp.live.state import Known, shown

EVERY_S = 1.0
SELDOM_S = 30.0  # between lines, where the output is no terminal
SAID, GUARD = "--said", "--stdin-guard"  # of a sweep that shows itself: what it says meanwhile, and its end
OUTPUTS = Path("outputs")


def main(argv: Sequence[str]) -> int:
    words, said, guarded = list(argv), None, False
    if GUARD in words:
        words.remove(GUARD)
        guarded = True
    if SAID in words:
        at = words.index(SAID)
        said = Path(words[at + 1])
        del words[at : at + 2]
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise ConfigError(__doc__.partition(":")[0] if __doc__ else "python -m capsexp.live [FOLDER]")
    folder = Path(words[0]) if words else newest(OUTPUTS)
    stop: queue.SimpleQueue[None] = queue.SimpleQueue()
    if guarded:
        lifeline.on_stdin_closed(lambda: stop.put(None))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever shows itself by us says when we end
        if sys.platform != "win32":
            os.nice(19)  # what is measured comes first
    reader = Folder(folder)
    if sys.stderr.isatty():
        _on_terminal(reader, said, stop, guarded)
    else:
        _in_lines(reader, stop)
    return 0


def newest(outputs: Path) -> Path:
    """The sweep that began last. Raises ConfigError where there is none."""
    found = sorted(outputs.glob("*/*/sweep.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError(f"there is no sweep below {outputs}/; name its folder: python -m capsexp.live FOLDER")
    return found[-1].parent


def _on_terminal(reader: Folder, said: Path | None, stop: queue.SimpleQueue[None], guarded: bool) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from capsexp.escape import lines
    from capsexp.live.draw import drawn

    console = Console(stderr=True, highlight=False)
    words = Words(said)
    with Live(
        console=console, auto_refresh=False, transient=guarded, redirect_stdout=False, redirect_stderr=False
    ) as live:
        while True:
            known = reader.look()
            for text in words.new():
                console.print(Text(lines(text)))
            view = drawn(shown(known), console.width, console.height, known.now)
            live.update(view, refresh=True)
            if guarded and not words.told:
                words.told = True
                tell("ready")
            if _ended(known, guarded) or _waited(stop, EVERY_S):
                break
    for text in words.new():
        console.print(Text(lines(text)))


def _in_lines(reader: Folder, stop: queue.SimpleQueue[None]) -> None:
    from capsexp.live.draw import line

    before, due = "", 0.0
    while True:
        known = reader.look()
        now, seen = time.monotonic(), shown(known)
        if seen.where != before or now >= due or known.over:
            tell(line(seen, known.now))
            before, due = seen.where, now + SELDOM_S
        if _ended(known, False) or _waited(stop, EVERY_S):
            return


def _ended(known: Known, guarded: bool) -> bool:
    return known.over and not guarded


def _waited(stop: queue.SimpleQueue[None], seconds: float) -> bool:
    """Whether we are to stop."""
    with contextlib.suppress(queue.Empty):
        stop.get(timeout=seconds)
        return True
    return False


class Words:
    """What the sweep says meanwhile, line by line, out of a file that it writes."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("rb") if path is not None else None
        self._rest, self.told = b"", False

    def new(self) -> list[str]:
        if self._file is None:
            return []
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]
