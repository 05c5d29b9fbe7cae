"""One task: cuts its audio into segments, orders their results and merges them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.protocol import RATE, AudioMessage, Result
from capsexp.segments import Cut, Cutter, Merged, Merger, Recognition, Segment


@dataclass(frozen=True)
class Came:
    """The outcome of a segment: its recognition, or the exception that tells why there is none. `submitted`: epoch s;
    `worker`: number of the worker that recognized it."""

    segment: Segment
    submitted: float
    heard: Recognition | Exception
    worker: int = 0


class Task:
    """Segments out in the order of the audio; results out in the order of the segments, however those came."""

    def __init__(self, first: AudioMessage) -> None:
        self.id, self.time_start, self.mic = first.task_id, first.time_start, first.source == "mic"
        self.cut = Cut.of(first.seg_duration, first.seg_overlap)
        self.received_all = False
        self.failed = False  # nobody wants it, or it cannot be had
        self.done = False  # ... or its last result has been delivered
        self._cutter, self._merger = Cutter(self.cut), Merger(self.cut)
        self._came: dict[int, Came] = {}
        self._next = 0
        self._count: int | None = None  # of its segments, once it is known

    @property
    def received(self) -> int:
        """Samples."""
        return self._cutter.received

    @property
    def held(self) -> int:
        """Samples that wait for the rest of their segment."""
        return self._cutter.held

    def feed(self, message: AudioMessage) -> Iterator[Segment]:
        self.received_all = message.is_final
        return self._cutter.feed(message.audio, message.is_final)

    def came(self, what: Came) -> None:
        if not self.failed:
            self._came[what.segment.index] = what

    def fail(self) -> None:
        """Nothing more comes of it."""
        self.failed = self.done = True
        self._cutter.drop()
        self._came.clear()

    def take(self) -> tuple[Came, Merger] | None:
        """The next segment's outcome in order, with the merger, which then holds it and all before; None while it has
        not come. Raises the exception of a segment that failed."""
        due = self._came.pop(self._next, None)
        return None if due is None else self._taken(due, self._merger)

    def _taken(self, due: Came, merger: Merger) -> tuple[Came, Merger]:
        if isinstance(due.heard, Exception):
            raise due.heard
        self._next += 1
        if due.segment.last:
            self._count = due.segment.index + 1
        merger.add(due.segment.start, due.segment.last, due.heard)
        return due, merger

    @property
    def complete(self) -> bool:
        """No result is due any more."""
        return self.failed or self._next == self._count

    def result(self, due: Came, merged: Merged, completed: float) -> Result:
        return Result(
            self.id, due.segment.last, (due.segment.start + due.segment.length) / RATE, self.time_start,
            due.submitted, completed, merged.text, merged.text_accu, merged.tokens, merged.times, merged.tags,
        )  # fmt: skip


class NaiveTask(Task):
    """The negative control, `server.dispatch=naive`: each worker merges what it happened to get and answers when it is
    done, as happens when N recognizer processes are put behind one shared queue without further thought."""

    def __init__(self, first: AudioMessage) -> None:
        super().__init__(first)
        self._mergers: dict[int, Merger] = {}

    def take(self) -> tuple[Came, Merger] | None:
        if not self._came:
            return None
        due = self._came.pop(next(iter(self._came)))
        return self._taken(due, self._mergers.setdefault(due.worker, Merger(self.cut)))
