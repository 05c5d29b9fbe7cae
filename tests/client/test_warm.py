"""First requests, before the load: a server that does not speak what it is taken to speak is told at once."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from capsexp.client.request import ConnectionOptions
from capsexp.client.warm import CLIP_S, ROUNDS, warm
from capsexp.compose import compose
from capsexp.config import LoadConfig
from capsexp.errors import ConfigError
from capsexp.samples import Sample
from capsexp.targets import TARGETS
from tests.support import PATIENCE, foreign, noise

SAMPLES = [Sample("long", noise(20, 0), ""), Sample("short", noise(6, 1), "")]


def warmed(serving: Any, target: str, timeout: float = PATIENCE, **options: Any) -> str | None:
    async def main() -> str | None:
        async with serve(serving, "127.0.0.1", 0, **options) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            way = ConnectionOptions(target=TARGETS.settings(target)(probe_timeout=timeout))
            return await warm(SAMPLES, 3, url, way, LoadConfig())

    return asyncio.run(main())


def test_there_is_a_first_request_for_each_worker_of_a_short_clip() -> None:
    heard: list[float] = []

    async def listening(connection: ServerConnection) -> None:
        header = await connection.recv()
        assert isinstance(header, bytes)
        size = int.from_bytes(header[4:8], "little")
        heard.append(size / 64_000)
        assert len(await connection.recv()) == size
        await connection.send("a")
        await connection.wait_closed()

    assert warmed(listening, "sherpa") is None
    assert heard == [CLIP_S] * (3 * ROUNDS)
    assert asyncio.run(warm([], 3, "ws://127.0.0.1:1", ConnectionOptions(), LoadConfig())) is None


async def silent(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def other(connection: ServerConnection) -> None:
    await connection.send('{"hello": "I am somebody else"}')
    await connection.wait_closed()


def test_what_does_not_speak_this_is_named_at_once() -> None:
    said = warmed(silent, "funasr", 0.2) or ""
    assert said.startswith("target=funasr: a first request, before the load, failed: ws://127.0.0.1:")
    assert "gave no final result within target.probe_timeout = 0.2 s: does it speak the target's protocol" in said
    for target in ("sherpa", "funasr", "capswriter", "vosk"):
        said = warmed(other, target) or ""
        assert said.startswith(f"target={target}: ") and "the server answered: " in said and "\n" not in said
    said = warmed(foreign.funasr("python-2026-07"), "sherpa") or ""
    assert "the connection ended (code 1011" in said and said.endswith(": does the server speak the target's protocol?")
    said = warmed(other, "capswriter", max_size=1000) or ""
    assert "target=capswriter" in said


@pytest.mark.parametrize("target", ["openai", "wyoming"])
def test_what_speaks_over_another_transport_is_named(target: str) -> None:
    async def main() -> str | None:
        async with serve(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            own = {"model": "m"} if target == "openai" else {}
            way = ConnectionOptions(target=TARGETS.settings(target)(probe_timeout=PATIENCE, **own))
            url = f"{'http' if own else 'tcp'}://127.0.0.1:{port}"
            return await warm(SAMPLES, 1, url, way, LoadConfig())

    said = asyncio.run(main()) or ""
    assert said.startswith(f"target={target}: a first request, before the load, failed: ")
    assert "did not answer" not in said and "probe_timeout" not in said


def test_a_message_that_is_too_large_for_a_target_that_keeps_its_messages_small_is_too_much_audio() -> None:
    said = warmed(foreign.sherpa_python, "sherpa", max_size=1000) or ""
    assert "(code 1009" in said and said.endswith("the audio is too long for the server; leave the longest samples out")


def test_a_token_is_for_a_target_that_has_a_place_for_it() -> None:
    line = ["server=external", "server.url=tcp://127.0.0.1:1", "target=wyoming", "server.token=secret"]
    with pytest.raises(ConfigError, match=r"^server\.token: the protocol of target=wyoming has no token"):
        compose(line)
    assert compose([*line[:1], "server.url=ws://127.0.0.1:1", "target=vosk", line[3]]).server.token == "secret"
