"""load.reuse: connections are kept for further requests, as many as there are requests at once, and no answer goes to
another request for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from capsexp.client import soak
from capsexp.client.load import Outcome, run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.config import Config, LoadConfig
from capsexp.config.whole import check
from capsexp.errors import ConfigError
from capsexp.samples import Sample
from capsexp.targets import TARGETS
from tests.support import PATIENCE, foreign, noise
from tests.support.answering import made, result, task_of
from tests.support.servers import requests, right, server

KEEPING = LoadConfig(reuse=True, concurrency=3, timeout=PATIENCE)
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"text": "a b c"}'


@asynccontextmanager
async def listening(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, compression=None) as listener:
        yield f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def sent(handler: Callable[[ServerConnection], Awaitable[None]], asked: list[Request], target: str) -> Outcome:
    """The client has counted as many connections as the server."""
    came = count()

    async def counting(connection: ServerConnection) -> None:
        next(came)
        await handler(connection)

    async def main() -> Outcome:
        async with listening(counting) as url:
            return await run(asked, url, KEEPING, way=ConnectionOptions(target=TARGETS.settings(target)()))

    outcome = asyncio.run(main())
    assert outcome.connections == next(came)
    return outcome


async def one_after_another(connection: ServerConnection) -> None:
    while True:
        await connection.send(result(await task_of(connection)))


def test_there_are_as_many_connections_as_requests_at_once() -> None:
    outcome = sent(one_after_another, made(12), "capswriter")
    assert [(r.ok, r.finals, r.foreign) for r in outcome.requests] == [(True, 1, 0)] * 12
    assert outcome.connections == 3
    assert outcome.handshakes_s and outcome.handshakes_s > 0


@pytest.mark.parametrize(("target", "serving"), [("sherpa", foreign.sherpa_python), ("capswriter", foreign.capswriter)])
def test_the_servers_that_take_several_requests_answer_each(target: str, serving: Any) -> None:
    asked = [Request(n, f"t{n}", "x", noise(0.5 + n, n)) for n in range(7)]
    outcome = sent(serving, asked, target)
    assert [r.result and r.result.text for r in asked] == [foreign.text(len(r.audio)) for r in asked]
    assert outcome.connections == 3


def test_a_server_that_ends_a_connection_is_asked_over_another() -> None:
    async def once(connection: ServerConnection) -> None:
        await connection.send(result(await task_of(connection)))

    outcome = sent(once, made(6), "capswriter")
    assert all(r.ok for r in outcome.requests), [r.error for r in outcome.requests]
    assert 3 < (outcome.connections or 0) <= 6


def test_a_request_that_fails_takes_its_connection_with_it() -> None:
    numbers = count()

    async def nonsense_first(connection: ServerConnection) -> None:
        while True:
            task = await task_of(connection)
            await connection.send("?" if next(numbers) == 0 else result(task))

    outcome = sent(nonsense_first, made(6), "capswriter")
    assert sum(r.ok for r in outcome.requests) == 5
    assert outcome.connections == 4


def test_a_second_final_result_is_seen_of_who_waits_for_the_next() -> None:
    async def twice(connection: ServerConnection) -> None:
        task = await task_of(connection)
        await connection.send(result(task))
        await asyncio.sleep(0.03)
        await connection.send(result(task))
        await connection.wait_closed()

    [request] = sent(twice, made(1), "capswriter").requests
    assert request.finals == 2


@pytest.mark.parametrize(("closing", "connections"), [(b"", 2), (b"Connection: close\r\n", 6)])
def test_http_is_kept_alive_where_the_server_allows_it(closing: bytes, connections: int) -> None:
    heads, came = [], count()

    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        next(came)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head.lower())
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
                writer.write(ANSWER.replace(b"OK\r\n", b"OK\r\n" + closing))
                await writer.drain()
                if closing:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async def main() -> Outcome:
        async with await asyncio.start_server(serving, "127.0.0.1", 0) as listener:
            way = ConnectionOptions(target=TARGETS.settings("openai")(model="m"))
            load = LoadConfig(reuse=True, concurrency=2, timeout=PATIENCE)
            return await run(made(6), f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", load, way=way)

    outcome = asyncio.run(main())
    assert [r.result and r.result.text for r in outcome.requests] == ["a b c"] * 6, outcome.requests[0].error
    assert outcome.connections == next(came) == connections
    assert len(heads) == 6 and not any(b"connection: close" in head for head in heads)


def test_our_server_takes_one_task_after_another() -> None:
    asked = requests(0.5, 3.0, 20.0, 0.0, 40.0, 1.0)
    with server("workers=2") as (url, _):
        outcome = asyncio.run(run(asked, url, KEEPING))
    assert all(right(asked)), [r.error for r in asked]
    assert outcome.connections == 3


def test_hours_of_load_keep_theirs() -> None:
    record = soak.Record(100)

    async def saved(record: soak.Record) -> None:
        pass

    async def main() -> None:
        samples = [Sample("s0", noise(0.5, 0), "")]
        async with listening(one_after_another) as url:
            load = LoadConfig(reuse=True, repeats=1, timeout=PATIENCE)
            await soak.run(soak.cycles(samples, load, 1), 2, 0.3, url, load, record, saved, 60.0)

    asyncio.run(main())
    assert record.total > 2 and not record.failed
    assert record.connections == 2


def test_a_target_that_takes_one_request_per_connection_cannot_keep_any() -> None:
    config = Config(target=TARGETS.settings("vosk")(), load=LoadConfig(reuse=True))
    with pytest.raises(ConfigError, match=r"load\.reuse: a server of target=vosk takes one request per connection"):
        check(config)
