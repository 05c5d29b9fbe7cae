"""The client against servers of a few lines, which answer as they are told: what it measures, what it says of what goes
wrong, and that nothing of its own goes wrong unseen."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, noise
from websockets.asyncio.server import ServerConnection, serve

from capsexp.client import request as requests_module
from capsexp.client import soak
from capsexp.client.load import Outcome, run
from capsexp.client.request import Request
from capsexp.config import LoadConfig
from capsexp.samples import Sample

Handler = Callable[[ServerConnection], Awaitable[None]]
LOAD = LoadConfig(timeout=PATIENCE)


def result(task: str, final: bool = True) -> str:
    return json.dumps(
        {"task_id": task, "is_final": final, "duration": 0.5, "text": "a b", "text_accu": "a b", "tokens": ["a"],
         "timestamps": [0.0]}
    )  # fmt: skip


async def task_of(connection: ServerConnection) -> str:
    """The id of a task, after its last message."""
    while True:
        message = json.loads(await connection.recv())
        if message["is_final"]:
            return str(message["task_id"])


async def answer(connection: ServerConnection) -> None:
    await connection.send(result(await task_of(connection)))
    await connection.wait_closed()


def made(count: int, seconds: float = 0.5) -> list[Request]:
    return [Request(n, f"task-{n}", f"s{n}", noise(seconds, n)) for n in range(count)]


def against(handler: Handler, made: list[Request], load: LoadConfig = LOAD, **options: Any) -> Outcome:
    """Perform requests at a server that treats every connection so."""

    async def main() -> Outcome:
        async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
            port = server.sockets[0].getsockname()[1]
            return await run(made, f"ws://127.0.0.1:{port}", load)

    return asyncio.run(main())


@contextlib.contextmanager
def own_bug(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def broken(*_: object) -> str:
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(requests_module, "encode_audio", broken)
        yield


def test_a_bug_of_the_client_is_no_failure_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with own_bug(monkeypatch), pytest.raises(KeyError, match="a bug"):
        against(answer, made(3))
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("where", ["encode_audio", "decode_result"])
def test_a_bug_of_the_client_ends_hours_of_load(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def broken(*_: object) -> str:
        raise KeyError("a bug")

    monkeypatch.setattr(requests_module, where, broken)

    async def save(record: soak.Record) -> None:
        pass

    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            cycles = soak.cycles([Sample("a", noise(0.1, 0), "")], LOAD, 1)
            await soak.run(cycles, 2, 3600, url, LOAD, soak.Record(100), save, 3600)

    with pytest.raises(KeyError, match="a bug"):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_what_cannot_be_saved_ends_hours_of_load() -> None:
    async def save(record: soak.Record) -> None:
        raise OSError("no space")

    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            cycles = soak.cycles([Sample("a", noise(0.1, 0), "")], LOAD, 1)
            await soak.run(cycles, 2, 3600, url, LOAD, soak.Record(100), save, 0.05)

    with pytest.raises(OSError, match="no space"):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


BUG = """
import sys
from capsexp.client import request
def broken(*_):
    raise KeyError("a bug of ours")
request.encode_audio = broken
from capsexp.client.app import main
from capsexp.tool import entry
sys.exit(entry(main, "capsexp.client"))
"""


def test_a_bug_of_the_client_is_one_line_and_a_traceback_in_the_debug_log(tmp_path: Path, audio_dir: Path) -> None:
    async def main() -> tuple[int, str]:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-c", BUG, "samples=dir", f"samples.dir={audio_dir}", "server=external",
                f"server.url={url}", "--run-dir", str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(client.communicate(), PATIENCE)
            return client.returncode or 0, out.decode()

    code, said = asyncio.run(main())
    assert code == 1
    (line,) = said.splitlines()
    assert "a fault of capsexp: KeyError: 'a bug of ours'" in line and "debug.log" in line
    log = (tmp_path / "debug.log").read_text()
    assert "Traceback" in log and "in broken" in log
    assert not (tmp_path / "client.json").exists()  # nothing that could be taken for results


def test_a_place_is_free_as_soon_as_the_final_result_is_there() -> None:
    """The server is slow to close, and half a second is spent on each connection afterwards: that is nobody's."""
    open_now, most_open = 0, 0

    async def slow_to_close(connection: ServerConnection) -> None:
        nonlocal open_now, most_open
        open_now += 1
        most_open = max(most_open, open_now)
        await connection.send(result(await task_of(connection)))
        connection.transport.pause_reading()  # the client's close is not seen
        await asyncio.sleep(0.5)
        connection.transport.resume_reading()
        open_now -= 1

    outcome = against(slow_to_close, made(8), LoadConfig(concurrency=1, timeout=PATIENCE))
    assert all(r.ok and r.finals == 1 for r in outcome.requests)
    starts = sorted((r.start, r.final) for r in outcome.requests)
    for (_, final), (start, _) in pairwise(starts):
        assert start is not None and final is not None and start > final  # one at a time all the same
    assert outcome.start is not None and outcome.end is not None
    assert outcome.end - outcome.start < 8 * 0.5 / 2
    assert most_open > 1


def test_connections_that_are_being_closed_have_a_bound_too() -> None:
    open_now, most_open = 0, 0

    async def slow_to_close(connection: ServerConnection) -> None:
        nonlocal open_now, most_open
        open_now += 1
        most_open = max(most_open, open_now)
        await connection.send(result(await task_of(connection)))
        connection.transport.pause_reading()
        await asyncio.sleep(0.1)
        open_now -= 1
        connection.transport.resume_reading()

    async def main() -> Outcome:
        async with serve(slow_to_close, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await run(made(12), url, LoadConfig(concurrency=2, timeout=PATIENCE), room=3)

    assert all(r.ok for r in asyncio.run(main()).requests)
    assert most_open <= 3


@pytest.mark.parametrize("late", [0.0, 0.03])
def test_a_second_final_result_is_seen_though_nobody_waits_for_it(late: float) -> None:
    async def twice(connection: ServerConnection) -> None:
        task = await task_of(connection)
        await connection.send(result(task))
        await asyncio.sleep(late)
        await connection.send(result("another"))
        await connection.send(result(task))
        await connection.wait_closed()

    outcome = against(twice, made(5), LoadConfig(concurrency=1, timeout=PATIENCE))
    assert [(r.ok, r.finals, r.foreign) for r in outcome.requests] == [(True, 2, 1)] * 5
    assert outcome.start is not None and outcome.end is not None


def test_what_ends_the_sending_does_not_hide_what_was_received() -> None:
    async def refuses(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"task_id": "task-0", "error": "too much audio"}))
        await connection.close(1008, "go away")

    outcome = against(refuses, made(1, 20.0), LoadConfig(message_s=0.1, timeout=PATIENCE), close_timeout=0.2)
    assert outcome.requests[0].error == "the server answered: too much audio"
