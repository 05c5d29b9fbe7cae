"""The pipe to a worker, with a thread that writes to it (a segment is larger than a pipe's buffer) and one that reads
from it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from capsexp.pipes import Connection, half_close
from capsexp.server.messages import Measure, SegmentJob, Skip, TextJob, send_job


class Wire:
    """`received(message)` and `ended()` are called in a thread. The pipe is this one's to close, once both threads are
    through with it. Raises RuntimeError when there is no thread to be had, and has closed the pipe then."""

    def __init__(self, pipe: Connection, received: Callable[[Any], None], ended: Callable[[], None]) -> None:
        self._pipe, self._received, self._ended = pipe, received, ended
        self._outbox: queue.SimpleQueue[SegmentJob | TextJob | Skip | Measure | None] = queue.SimpleQueue()
        self._was_read = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)
        try:
            self._writer.start()
        except RuntimeError:
            pipe.close()
            raise
        try:
            threading.Thread(target=self._read, daemon=True).start()
        except RuntimeError:
            self._was_read.set()
            self.finish()
            raise

    def put(self, job: SegmentJob | TextJob | Skip | Measure) -> None:
        self._outbox.put(job)

    def finish(self) -> None:
        """Nothing more will be put: the worker sees the end, answers what it has and ends."""
        self._outbox.put(None)

    def alive(self) -> bool:
        """Whether the pipe is still open."""
        return self._writer.is_alive()

    def _write(self) -> None:
        try:
            while (job := self._outbox.get()) is not None:
                send_job(self._pipe, job)
                del job  # while the next one is waited for, it would keep a whole message
            half_close(self._pipe)
        except OSError:
            pass  # the reader sees the end of the pipe and takes care
        except Exception:  # no memory for a copy of a segment: this worker will not get it
            half_close(self._pipe)
        finally:
            self._was_read.wait()
            self._pipe.close()

    def _read(self) -> None:
        try:
            while True:
                self._received(self._pipe.recv())
        except Exception:  # EOF, a reset, or half a message of a worker killed while it wrote
            pass
        finally:
            self._was_read.set()
            self._ended()
