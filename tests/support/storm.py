"""A storm of messages for a server: well-formed tasks, each with the text it must come to, among everything else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from capsexp.engines.null import NullConfig, NullEngine
from capsexp.protocol import RATE, AudioMessage, ProtocolError, decode_audio, encode_audio
from capsexp.segments import Cut, Merger, cut_all

NASTY: list[Any] = [
    None, True, False, 0, -1, 0.0, -0.0, 1e-320, 1e308, -1e308, 10**400, float("nan"), float("inf"), -float("inf"),
    "", "0", "15", "nan", "\x00", "\n", "\ud800", "💥" * 70, "a" * 201, "../../etc/passwd", "!!python/object",
    "${oc.env:HOME}",
    [], [1], {}, {"a": {}}, [[[[]]]], 2**63, -(2**63), 1e-9, 600, 600.0001, 0.0999, 0.1, "file", "\u202e",
]  # fmt: skip
KEYS = ("task_id", "data", "is_final", "seg_duration", "seg_overlap", "time_start", "source", "time_frame", "context")


@dataclass
class Task:
    """Frames in order, and the one right answer."""

    id: str
    frames: list[str]
    duration_s: float
    text: str
    text_accu: str


@dataclass
class Tally:
    """`wrong`: what a well-formed task got instead of its text."""

    sent: int = 0
    malformed: int = 0
    errors: int = 0
    tasks: int = 0
    right: int = 0
    oversized: int = 0
    wrong: list[str] = field(default_factory=list)


def well_formed(rng: random.Random, task_id: str, messages: int = 0) -> Task:
    """Up to 3 s of noise, cut anyhow; with `messages`, in about that many pieces."""
    audio = np.random.default_rng(rng.getrandbits(32)).normal(0, 0.1, rng.choice((0, 1, 3, 4000, 16_000, 48_000)))
    if messages:
        audio = np.random.default_rng(rng.getrandbits(32)).normal(0, 0.1, 2 * messages)
    audio = audio.astype(np.float32)
    duration = rng.choice((0.1, 0.25, 0.7, 1.0, 15.0))
    overlap = duration * rng.choice((0.0, 0.3, 1.0))
    pieces = messages or rng.randint(1, 4)
    edges = sorted(rng.randint(0, len(audio)) for _ in range(pieces - 1))
    parts = np.split(audio, edges)
    frames = [
        encode_audio(AudioMessage(task_id, part, n == len(parts) - 1, seg_duration=duration, seg_overlap=overlap))
        for n, part in enumerate(parts)
    ]
    cut, engine = Cut.of(duration, overlap), NullEngine(NullConfig())
    merger = Merger(cut)
    for s in cut_all(audio, cut):
        merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
    return Task(task_id, frames, len(audio) / RATE, merger.text, merger.text_accu)


def malformed(rng: random.Random, others: list[str]) -> tuple[str, str | bytes]:
    """A kind and a frame that is broken, or only strange. It bears the id of one of `others` (tasks that are under
    way) only where it cannot be taken for a part of it."""
    kind = rng.choice(("value", "value", "values", "missing", "data", "data", "text", "binary", "other", "order"))
    fields: dict[str, Any] = {
        "task_id": f"garbage-{rng.randint(0, 50)}", "data": "", "is_final": rng.random() < 0.5, "time_start": 1.0,
        "seg_duration": 1.0, "seg_overlap": 0.1, "source": "file",
    }  # fmt: skip
    if kind == "value":
        fields[rng.choice(KEYS)] = rng.choice(NASTY)
    elif kind == "values":
        for key in rng.sample(KEYS, 4):
            fields[key] = rng.choice(NASTY)
    elif kind == "missing":
        for key in rng.sample(list(fields), rng.randint(1, 5)):
            del fields[key]
    elif kind == "data":
        fields["data"] = _data(rng)
    elif kind == "text":
        text = json.dumps(fields)
        at, cut = rng.randrange(len(text)), rng.randrange(4)
        return kind, (text[:at], text[at:], text[:at] + rng.choice('\x00\\"{}[],é💥') + text[at:], text * 2)[cut]
    elif kind == "binary":
        return kind, rng.choice((b"", b"\x00", json.dumps(fields).encode(), rng.randbytes(rng.randint(1, 300))))
    elif kind == "other":
        return kind, rng.choice(
            ("", "null", "[]", "3", '"x"', "[" * 5000, '{"a":' * 5000, "1" * 5000, "\ufeff{}", "{} {}")
        )
    elif others:  # a broken message with the id of a good task
        fields["task_id"], fields["is_final"] = rng.choice(others), False
        fields["data"] = rng.choice(("?", "AAA=", _pcm([np.nan]), _pcm([np.inf]), 3, None))
    return kind, json.dumps(fields)


def _data(rng: random.Random) -> Any:
    length = rng.randint(0, 40)
    return rng.choice((
        base64.b64encode(rng.randbytes(length)).decode(),
        base64.b64encode(rng.randbytes(length)).decode().rstrip("="),
        "=" * length, "A" * length, "é" * length, " " + _pcm([0.5]), _pcm([0.5]) + "\n",
        _pcm([np.nan]), _pcm([np.inf, 0]), _pcm([3e38, -3e38]), _pcm([1e-45]), _pcm([0.1] * 2000),
    ))  # fmt: skip


def _pcm(values: list[float]) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def script(rng: random.Random, messages: int, tiny: int) -> Iterator[tuple[str | bytes, Task | None]]:
    """About `messages` frames for one connection, several tasks under way at once; a task comes with its first one.
    The ids are those of every other connection. The first task arrives in `tiny` messages, if any."""
    number = sent = 0
    under_way: list[tuple[Task, list[str]]] = []
    while sent < messages or under_way:
        if sent < messages and len(under_way) < 4 and rng.random() < 0.1:
            task = well_formed(rng, f"task-{number}", tiny if number == 0 else 0)
            number += 1
            first, *rest = task.frames
            yield first, task
            if rest:
                under_way.append((task, rest))
        elif under_way and (sent >= messages or rng.random() < 0.3):
            at = rng.randrange(len(under_way))
            _, rest = under_way[at]
            yield rest.pop(0), None
            if not rest:
                under_way.pop(at)
        else:
            yield malformed(rng, [t.id for t, _ in under_way])[1], None
        sent += 1


async def storm(url: str, seed: int, messages: int, connections: int, tiny: int, max_message: int) -> Tally:
    """Send about so many messages over so many connections; a frame over `max_message` bytes costs its sender the
    connection and nobody else anything. Bounded: each connection waits 60 s at most for what is still due."""
    tally = Tally()

    async def one(number: int) -> None:
        async with connect(url, compression=None, max_size=None, ping_interval=None, open_timeout=60) as socket:
            await _talk(
                socket, script(random.Random(f"{seed} {number}"), messages // connections, 0 if number else tiny), tally
            )

    async def too_large() -> None:
        for _ in range(5):
            async with connect(url, compression=None, ping_interval=None, open_timeout=60) as socket:
                try:
                    await socket.send("x" * (max_message + 1))
                    await socket.recv()
                except ConnectionClosed:
                    tally.oversized += socket.close_code == 1009

    await asyncio.gather(too_large(), *(one(number) for number in range(connections)))
    return tally


async def _talk(socket: ClientConnection, frames: Iterator[tuple[str | bytes, Task | None]], tally: Tally) -> None:
    due: dict[str, Task] = {}
    refused = 0
    finished = asyncio.Event()
    sending = True

    async def listen() -> None:
        nonlocal refused
        async for frame in socket:
            answer = json.loads(frame)
            task = due.get(answer["task_id"] or "")
            if "error" in answer:
                refused += 1
            elif answer["is_final"] and task is not None:
                got = (answer["text"], answer["text_accu"], answer["duration"])
                if got == (task.text, task.text_accu, task.duration_s):
                    tally.right += 1
                else:
                    tally.wrong.append(f"{task.id}: {got} for {task.text!r}")
                del due[task.id]
            if not sending and not due and refused >= expected:
                finished.set()
        finished.set()  # the server hung up

    listening = asyncio.create_task(listen())
    expected = 0
    for frame, task in frames:
        if task is not None:
            assert task.id not in due
            due[task.id] = task
            tally.tasks += 1
        try:
            decode_audio(frame)
        except ProtocolError:
            expected += 1
            tally.malformed += 1
        except UnicodeEncodeError:
            continue
        try:
            await socket.send(frame)
        except ConnectionClosed:
            break
        tally.sent += 1
        await asyncio.sleep(0)  # sending need not wait, but others want a turn
    sending = False
    expected += 1
    with contextlib.suppress(ConnectionClosed):
        await socket.send("one more, so that there is an answer to wait for")
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(finished.wait(), 60)
    tally.wrong += [f"{task.id}: no answer" for task in due.values()]
    if refused < expected:
        tally.wrong.append(f"{expected} malformed messages, {refused} errors")
    listening.cancel()
    tally.errors += refused
