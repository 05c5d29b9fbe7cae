"""The server as its clients see it: real processes, real sockets, engine=null."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from capsexp.client.load import run
from capsexp.client.request import Request
from capsexp.config import LoadConfig
from capsexp.protocol import AudioMessage, encode_audio
from tests.support import PATIENCE, noise
from tests.support.servers import LOAD, expected, perform, requests, right, server, tool

pytestmark = pytest.mark.slow  # real processes


@pytest.mark.parametrize("dispatch", ["segment", "task", "hash"])
def test_every_dispatch_gives_every_text(dispatch: str) -> None:
    with server("workers=3", f"server.dispatch={dispatch}", "engine.rtf=0.02", "engine.jitter=1") as (url, _):
        assert all(right(perform(url, requests(0, 0.1, 3, 7.5, 20, 20))))


@pytest.mark.parametrize("schedule", ["fifo", "mic_first", "fair"])
def test_every_schedule_gives_every_text(schedule: str) -> None:
    with server("workers=2", f"server.schedule={schedule}", "server.max_queue=2", "engine.rtf=0.02") as (url, _):
        assert all(right(perform(url, requests(0, 0.1, 3, 7.5, 20, 20))))


def test_naive_dispatch_loses_text() -> None:
    with server("workers=3", "server.dispatch=naive", "engine.rtf=0.02") as (url, _):
        made = perform(url, requests(20))
        assert not all(right(made))


def test_a_full_queue_slows_the_sender_and_drops_nothing() -> None:
    load = LoadConfig(seg_duration=2.0, seg_overlap=0.5, message_s=10.0, timeout=PATIENCE)
    with server("workers=1", "server.max_queue=1", "engine.rtf=0.002") as (url, _):
        made = perform(url, requests(900, 2), load)  # 75 MB of text: more than the kernel holds
        assert all(r.ok and r.result is not None and r.result.text == expected(r.audio) for r in made)
        # Its last byte could only leave after results of its first had come.
        assert made[0].sent > made[0].first_result  # type: ignore[operator]


def test_a_dead_worker_is_replaced_and_its_segment_recognized_again() -> None:
    with server("workers=2", "engine.rtf=0.1") as (url, process):
        made = requests(20, 20)

        async def kill_one() -> None:
            job = asyncio.create_task(run(made, url, LOAD))
            await asyncio.sleep(0.5)
            workers = [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
            workers[0].kill()
            await job

        asyncio.run(kill_one())
        assert all(right(made))
        time.sleep(0.2)
        workers = [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        assert len(workers) == 2


def test_a_segment_that_kills_every_worker_fails_alone() -> None:
    poison = expected(noise(3, 9)).split()[0]
    with server("workers=2", f"engine.crash_on='{poison}'", "server.max_retries=1") as (url, _):
        made = perform(url, [Request(0, "bad", "bad", noise(3, 9)), *requests(0, 6)[1:]])
        assert made[0].error and "died" in made[0].error
        assert right(made[1:]) == [True]
        assert all(right(perform(url, requests(4, 4))))


def test_malformed_messages_leave_the_connection_and_the_other_tasks_alone() -> None:
    audio = noise(5, 1)

    async def talk(url: str) -> dict[str, Any]:
        async with connect(url, subprotocols=["binary"], max_size=None) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "binary"
            await socket.send(
                encode_audio(AudioMessage("good", audio[:30_000], False, seg_duration=2, seg_overlap=0.5))
            )
            for bad in ("{", "[]", '{"task_id": "x", "data": "?"}', b"\0"):
                await socket.send(bad)
            errors = [json.loads(await socket.recv()) for _ in range(4)]
            assert all("error" in e for e in errors)
            assert [e["task_id"] for e in errors] == [None, None, "x", None]
            await socket.send(encode_audio(AudioMessage("good", audio[30_000:], True, seg_duration=2, seg_overlap=0.5)))
            while not (answer := json.loads(await socket.recv()))["is_final"]:
                assert answer["task_id"] == "good"
            return dict(answer)

    with server("workers=1") as (url, _):
        answer = asyncio.run(asyncio.wait_for(talk(url), PATIENCE))
    assert answer["text"] == expected(audio)
    assert len(answer["tokens"]) == len(answer["timestamps"]) > 0
    assert answer["duration"] == 5.0
    assert answer["time_submit"] <= answer["time_complete"]


def test_a_result_before_the_last_holds_the_latest_text_and_the_last_one_all_of_it() -> None:
    audio = noise(30, 1)

    async def talk(url: str) -> list[dict[str, Any]]:
        async with connect(url, max_size=None) as socket:
            await socket.send(encode_audio(AudioMessage("long", audio, True, seg_duration=2, seg_overlap=0.5)))
            told = [json.loads(await socket.recv())]
            while not told[-1]["is_final"]:
                told.append(json.loads(await socket.recv()))
            return told

    with server("workers=1", "server.partial_s=4") as (url, _):
        *before, last = asyncio.run(asyncio.wait_for(talk(url), PATIENCE))
    assert last["text"] == expected(audio)
    assert len(before) == 14
    for result in before:  # words come every quarter of a second
        assert 0 < len(result["tokens"]) == len(result["timestamps"]) == len(result["text_accu"].split()) <= 4 * 4 + 2
        at = last["timestamps"].index(result["timestamps"][0])
        assert result["tokens"] == last["tokens"][at : at + len(result["tokens"])]
        assert result["duration"] - 0.5 <= result["timestamps"][-1] + 0.5 <= result["duration"]


def test_an_oversized_message_closes_that_connection_only() -> None:
    async def talk(url: str) -> None:
        async with connect(url) as socket:
            await socket.send("x" * 100_001)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1009

    with server("workers=1", "server.max_message=100000") as (url, _):
        asyncio.run(talk(url))
        assert all(right(perform(url, requests(2), LoadConfig(seg_duration=2, seg_overlap=0.5, message_s=0.5))))


def test_a_client_that_vanishes_leaves_its_place_to_others() -> None:
    async def vanish(url: str) -> None:
        socket = await connect(url)
        await socket.send(encode_audio(AudioMessage("gone", noise(60, 3), False, seg_duration=2, seg_overlap=0.5)))
        socket.transport.abort()

    with server("workers=1", "engine.rtf=0.05", "server.max_queue=2") as (url, _):
        asyncio.run(vanish(url))
        began = time.monotonic()
        assert all(right(perform(url, requests(4))))
        assert time.monotonic() - began < 2  # 60 s x 0.05 would have come first


def test_no_compression_is_agreed_on() -> None:
    async def talk(url: str) -> bool:
        async with connect(url, compression="deflate") as socket:
            assert socket.response is not None
            return "Sec-WebSocket-Extensions" in socket.response.headers

    with server("workers=1") as (url, _):
        assert not asyncio.run(talk(url))


def test_a_taken_port_is_one_line() -> None:
    with server("workers=1") as (url, _):
        done = tool("capsexp.server", "engine=null", "--port", url.rpartition(":")[2])
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "cannot listen on 127.0.0.1:" in done.stderr
    assert "server.port" in done.stderr


def test_connection_refused_is_one_line(audio_dir: Path) -> None:
    done = tool("capsexp.client", "--dir", str(audio_dir), "--port", "1")
    assert done.returncode == 1
    assert "connection refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_workers_die_with_a_killed_server() -> None:
    with server("workers=2") as (_, process):
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE / 6)
        assert not alive
