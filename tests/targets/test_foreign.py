"""Every kind of server, in each version: all of the audio arrives, all of the text is taken, and the end is known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import serve

from capsexp.client.load import run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.config import LoadConfig
from capsexp.targets import TARGETS
from tests.support import PATIENCE, foreign, noise

LENGTHS = (0.0, 0.4, 3.0, 40.5)  # s; the last one is more than a frame may hold


@asynccontextmanager
async def listening(serving: Any) -> AsyncIterator[str]:
    if serving is foreign.wyoming:
        async with await asyncio.start_server(serving, "127.0.0.1", 0) as server:
            yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        async with serve(serving, "127.0.0.1", 0, max_size=2**23 if serving is foreign.capswriter else 2**20) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def asked(
    serving: Any, target: str, lengths: tuple[float, ...], timeout: float = PATIENCE, **own: Any
) -> list[Request]:
    requests = [Request(n, f"t{n}", "x", noise(seconds, n)) for n, seconds in enumerate(lengths)]

    async def main() -> None:
        async with listening(serving) as url:
            way = ConnectionOptions(target=TARGETS.settings(target)(**own))
            await run(requests, url, LoadConfig(timeout=timeout), way=way)

    asyncio.run(main())
    return requests


@pytest.mark.parametrize(
    ("serving", "target", "own"),
    [
        (foreign.sherpa_python, "sherpa", {}),
        (foreign.vosk, "vosk", {}),
        (foreign.vosk, "vosk", {"frame_s": 0.1}),
        (foreign.wyoming, "wyoming", {}),
        (foreign.wyoming, "wyoming", {"frame_s": 0.064, "model": "tiny", "language": "en"}),
        (foreign.capswriter, "capswriter", {}),
        (foreign.capswriter, "capswriter", {"final": "empty"}),
        (foreign.funasr("python-2026-07"), "funasr", {}),
        (foreign.funasr("python-2026-02"), "funasr", {}),
        (foreign.funasr("cpp-offline"), "funasr", {}),
        (foreign.funasr("cpp-2pass"), "funasr", {"mode": "2pass", "end": "is_final"}),
    ],
)
def test_all_of_a_text_is_taken_and_the_end_is_known(serving: Any, target: str, own: dict[str, Any]) -> None:
    for request in asked(serving, target, LENGTHS, **own):
        samples = len(request.audio)
        empty = not samples and serving is foreign.sherpa_python
        assert request.ok and request.result is not None, request.error
        assert request.result.text == ("" if empty else foreign.text(samples))
        assert (request.finals, request.foreign) == (1, 0)
        assert request.partials == 0 or TARGETS.settings(target).partials


def test_what_comes_before_the_last_piece_is_not_the_last() -> None:
    """`the first message after the end` would be half of it."""
    (request,) = asked(foreign.funasr("python-2026-07"), "funasr", (3.0,))
    assert request.result is not None and request.results == 4
    assert request.result.timestamps == [0.0, 1.0, 2.0] and request.result.tokens == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("version", "timeout", "says"),
    [
        ("python-2026-05", 1.0, "not finished within load.timeout"),  # it never says anything
        ("python-fails", PATIENCE, "the connection ended (code 1000) before the final result"),
    ],
)
def test_a_server_without_an_end_is_named(version: str, timeout: float, says: str) -> None:
    (request,) = asked(foreign.funasr(version), "funasr", (2.0,), timeout)
    assert request.result is None and request.error is not None and says in request.error


def test_texts_that_change_are_counted_apart() -> None:
    (request,) = asked(foreign.vosk, "vosk", (2.6,))
    assert request.ok and (request.results, request.partials) == (3, 9)  # 11 frames of 0.25 s, and the end
