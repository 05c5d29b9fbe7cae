"""The tasks of one connection: which message belongs to which, and which are refused. A task that is finished is
forgotten: a client that stays for days must not grow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from capsexp.protocol import RATE, AudioMessage, ProtocolError
from capsexp.server.core.task import Task

MAX_HELD_S = 3600.0  # of audio that a connection may have waiting for the rest of a segment (230 MB)
SAMPLE = 4  # bytes
TASK = 4096  # bytes that an unfinished task takes without any audio
FINISHED = 256  # ids of tasks of a connection that ended, which are not to begin once more


@dataclass(frozen=True)
class Limits:
    """`audio_s`: seconds of audio of a task. `tasks`: of a connection, without their final message. `send_s`: seconds
    that a client may leave a result unread. `segment_s`: seconds of one segment. `partial_s`: a result before the last
    one holds the text of the latest so many seconds of audio."""

    audio_s: float = 43_200.0
    tasks: int = 1000
    send_s: float = 120.0
    segment_s: float = math.inf
    partial_s: float = 30.0


class Session:
    """`make` begins a task with its first message. `refusal`, where it is given: why the server takes no more now."""

    def __init__(self, limits: Limits, make: Callable[[AudioMessage], Task]) -> None:
        self.tasks: dict[str, Task] = {}
        self._limits, self._make = limits, make
        self._finished: dict[int, None] = {}  # hashes of ids, the oldest first: the ids may be long
        self._open = 0  # tasks whose final message has not come

    def take(self, message: AudioMessage, refusal: str | None = None) -> Task:
        """The task of a message, which begins with it or goes on; raises ProtocolError."""
        known = message.task_id in self.tasks
        task = self.tasks.get(message.task_id)
        if (task is not None and task.received_all) or (not known and hash(message.task_id) in self._finished):
            raise ProtocolError(
                "this task has had its final message; begin another with a task_id of its own", message.task_id
            )
        if task is None:
            if self._open >= self._limits.tasks:
                raise ProtocolError(
                    f"{self._open} tasks of this connection wait for their final message (server.max_tasks)",
                    message.task_id,
                )
            if refusal:
                raise ProtocolError(refusal, message.task_id)
            task = self.tasks[message.task_id] = self._make(message)
            self._open += 1
        return task

    def excess(self, task: Task, message: AudioMessage, refusal: str | None = None) -> str:
        """Why the task must end instead of taking this message; empty when it need not."""
        most, new = self._limits.audio_s, len(message.audio)
        held = sum(t.held for t in self.tasks.values()) + min(new, task.cut.duration + 2 * task.cut.overlap)
        if task.received + new > most * RATE:
            return f"more than server.max_audio_s = {most:g} s of audio in one task"
        if held > MAX_HELD_S * RATE:
            return f"more than {MAX_HELD_S:g} s of audio of this connection wait for the rest of their segments"
        return refusal or ""

    def taken(self, task: Task, message: AudioMessage) -> None:
        """The task has had this message, whatever came of it."""
        if message.is_final:
            self._open -= 1
            task.received_all = True
            self.forget(task)

    def forget(self, task: Task) -> None:
        """Remove a task once its final message was received and its last result delivered."""
        if task.done and task.received_all and self.tasks.get(task.id) is task:
            del self.tasks[task.id]
            self._finished[hash(task.id)] = None
            if len(self._finished) > FINISHED:
                del self._finished[next(iter(self._finished))]

    def bytes_of(self, task: Task) -> int:
        """That are held for it."""
        return SAMPLE * task.held + (TASK if self.tasks.get(task.id) is task else 0)
