"""Pings of clients whose audio waits, and whose keepalive gives up when nobody answers; and what is held for them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from capsexp.client.chaos_clients import RawWebSocket
from capsexp.client.request import OPEN, ConnectionOptions
from tests.support import PATIENCE, SLOW, noise
from tests.support.sending import LOAD, piece, send_file
from tests.support.servers import expected, server, workers_of

pytestmark = pytest.mark.slow  # real processes


@pytest.mark.parametrize("kind", ["plain", "tls", "no epoll"])
def test_a_client_with_keepalive_keeps_its_file_while_the_audio_waits(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given, way = [], OPEN
    if kind == "tls":
        folder = request.getfixturevalue("certificate")
        given = [f"server.certfile={folder / 'cert.pem'}", f"server.keyfile={folder / 'key.pem'}"]
        way = ConnectionOptions(certfile=str(folder / "cert.pem"))
    elif kind == "no epoll":
        (tmp_path / "sitecustomize.py").write_text("import select\ndel select.epoll\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    async def all_of_them(url: str) -> list[str]:
        return await asyncio.gather(*(send_file(url, way, number, 120) for number in range(3)))

    with server("workers=1", f"engine.rtf={0.05 * SLOW}", "server.max_queue=1", *given) as (url, _):
        texts = asyncio.run(asyncio.wait_for(all_of_them(url), PATIENCE * 2))
    assert texts == [expected(noise(120, number), LOAD) for number in range(3)]


def test_pings_whose_pongs_are_never_read_cost_no_memory() -> None:
    with server("workers=1") as (url, process):
        line = RawWebSocket(url, OPEN, buffer=4096)
        line.shake_hands()
        line.socket.settimeout(0.5)
        pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 2000
        before, until = psutil.Process(process.pid).memory_info().rss, time.monotonic() + 2
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                line.socket.sendall(pings)
        assert psutil.Process(process.pid).memory_info().rss - before < 15 * 2**20
        # Who reads again gets the pong of the last one.
        line.socket.settimeout(PATIENCE)
        line.socket.sendall(Frame(Opcode.PING, b"the last").serialize(mask=True))
        seen = b""
        while b"the last" not in seen:
            seen = seen[-20:] + line.socket.recv(65536)


@pytest.mark.parametrize("tls", [False, True])
def test_large_messages_that_never_end_have_a_bound_together(tls: bool, request: pytest.FixtureRequest) -> None:
    given, way = [], OPEN
    if tls:
        folder = request.getfixturevalue("certificate")
        given = [f"server.certfile={folder / 'cert.pem'}", f"server.keyfile={folder / 'key.pem'}"]
        way = ConnectionOptions(certfile=str(folder / "cert.pem"))
    with server("workers=1", "server.max_held_mb=64", *given) as (url, process):
        before, peak, lines = psutil.Process(process.pid).memory_info().rss, 0, []
        for _ in range(12):
            line = RawWebSocket(url, way)
            line.shake_hands()
            line.socket.settimeout(0.5)
            with contextlib.suppress(OSError):
                line.socket.sendall(line.frame("x" * (24 * 2**20))[: 20 * 2**20])
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            lines.append(line)
        assert peak - before < 220 * 2**20  # 240 MB were sent, and the parser has them twice for a moment
        said = []
        for line in lines:
            line.socket.settimeout(1)
            with contextlib.suppress(OSError):
                said.append(line.socket.recv(4096))
        assert any(b"server.max_held_mb" in one for one in said)
        assert asyncio.run(send_file(url, way, 1, 3)) == expected(noise(3, 1), LOAD)


def test_audio_for_long_segments_has_a_bound_for_the_whole_server() -> None:
    async def hold(url: str) -> list[str | None]:
        async with contextlib.AsyncExitStack() as stack:
            found: list[str | None] = []
            for number in range(12):
                one = await stack.enter_async_context(connect(url, max_size=None, compression=None))
                await one.send(piece(f"t{number}", noise(50, 1), False, 100, 2))
                try:
                    found.append(json.loads(await asyncio.wait_for(one.recv(), 1.0 * SLOW))["error"])
                except asyncio.TimeoutError:
                    found.append(None)
            return found

    with server("workers=1", "server.max_held_mb=24") as (url, _):
        said = asyncio.run(asyncio.wait_for(hold(url), PATIENCE))
        assert 3 <= said.count(None) <= 8
        assert all("server.max_held_mb = 24" in one for one in said if one)
        # What they held is free when they have gone.
        assert asyncio.run(send_file(url, OPEN, 1, 3)) == expected(noise(3, 1), LOAD)


def test_tasks_without_audio_are_held_too_and_their_log_has_a_bound() -> None:
    async def open_tasks(url: str) -> int:
        refused = 0
        async with contextlib.AsyncExitStack() as stack:
            for number in range(3):
                one = await stack.enter_async_context(connect(url))
                for task in range(1000):
                    await one.send(piece(f"{number}-{task}", noise(0, 1)))
                await one.send("no JSON")  # answered behind all the others
                while (
                    "task_id" in (said := json.loads(await asyncio.wait_for(one.recv(), PATIENCE))) and said["task_id"]
                ):
                    assert "server.max_held_mb" in said["error"]
                    refused += 1
        return refused

    async def send_nonsense(url: str) -> None:
        for _ in range(50):
            async with connect(url) as one:
                for _ in range(2):
                    await one.send("no JSON")
                    await one.recv()

    with server("workers=1", "server.max_held_mb=8") as (url, process):
        assert 500 <= asyncio.run(open_tasks(url)) <= 1500  # of 3000: 4 KB each
        assert asyncio.run(send_file(url, OPEN, 1, 3)) == expected(noise(3, 1), LOAD)  # they are free again
        asyncio.run(asyncio.wait_for(send_nonsense(url), PATIENCE))
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stdout is not None
        assert process.stdout.read().count("malformed") <= 2


def test_a_longer_segment_than_the_server_takes_is_refused() -> None:
    async def ask(url: str, seconds: float, overlap: float) -> dict[str, object]:
        async with connect(url) as one:
            await one.send(piece("t", noise(1, 1), True, seconds, overlap))
            return dict(json.loads(await one.recv()))

    with server("workers=1", "server.max_segment_s=68") as (url, _):
        assert "server.max_segment_s = 68" in str(asyncio.run(ask(url, 61, 4))["error"])
        assert asyncio.run(ask(url, 60, 4))["is_final"] is True  # as CapsWriter's own client asks


def test_a_second_final_message_is_an_error_and_no_new_task() -> None:
    async def twice(url: str) -> list[dict[str, object]]:
        async with connect(url) as one:
            await one.send(piece("t", noise(1, 1), True))
            answers = [json.loads(await one.recv())]
            await one.send(piece("t", noise(0, 1), True))
            answers.append(json.loads(await one.recv()))
            await one.send(piece("u", noise(1, 1), True))
            return [*answers, json.loads(await one.recv())]

    with server("workers=1") as (url, _):
        first, second, third = asyncio.run(asyncio.wait_for(twice(url), PATIENCE))
    assert first["is_final"] is True
    assert second["task_id"] == "t"
    assert "final message" in str(second.get("error"))
    assert (third["task_id"], third["is_final"]) == ("u", True)


def test_a_server_that_is_stopped_tells_each_task() -> None:
    async def stopped(url: str, process: "subprocess.Popen[str]") -> tuple[set[str], int, str]:
        async with connect(url, max_size=None) as one:
            for task in ("a", "b"):
                await one.send(piece(task, noise(60, 1), True))
            await asyncio.sleep(0.3)
            process.terminate()
            told = set()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    answer = json.loads(await one.recv())
                    if "stopping" in answer.get("error", ""):
                        told.add(answer["task_id"])
            return told, one.close_code or 0, one.close_reason or ""

    with server("workers=1", "engine.rtf=1", "server.max_queue=8", "engine.jitter=0") as (url, process):
        told, code, reason = asyncio.run(asyncio.wait_for(stopped(url, process), PATIENCE))
    assert (told, code) == ({"a", "b"}, 1001)
    assert "stopping" in reason


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
def test_who_asks_for_nothing_keeps_nobody_out_and_costs_no_log(tmp_path: Path) -> None:
    """Idle connections, more than there are descriptors; then a worker dies, and another has to be started."""
    log = tmp_path / "log"
    command = f"ulimit -n 300; exec {sys.executable} -m capsexp.server --port 0 engine=null workers=1"
    with log.open("w") as out:
        process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=out, text=True)
    idle = []
    try:
        assert process.stdout is not None
        url = next(line.split()[2] for line in process.stdout if line.startswith("listening on "))
        for _ in range(400):
            one = socket.socket()
            one.settimeout(0.5)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", urlsplit(url).port))
            idle.append(one)
        workers_of(process)[0].kill()
        text = asyncio.run(asyncio.wait_for(send_file(url, OPEN, 1, 3), PATIENCE / 2))
        assert text == expected(noise(3, 1), LOAD)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()  # type: ignore[union-attr]
        for one in idle:
            one.close()
    assert log.stat().st_size < 5000
    assert "Traceback" not in log.read_text()


def test_half_a_tls_handshake_keeps_nobody_out(certificate: Path) -> None:
    given = [f"server.certfile={certificate / 'cert.pem'}", f"server.keyfile={certificate / 'key.pem'}"]
    with server("workers=1", "server.max_connections=20", *given) as (url, process), contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))))
        way = ConnectionOptions(certfile=str(certificate / "cert.pem"))
        assert asyncio.run(send_file(url, way, 1, 3)) == expected(noise(3, 1), LOAD)
        assert psutil.Process(process.pid).num_fds() < 130


def test_a_crowd_that_comes_at_once_gets_in() -> None:
    async def crowd(url: str) -> list[object]:
        tries = [asyncio.ensure_future(connect(url, open_timeout=PATIENCE).__aenter__()) for _ in range(300)]
        return await asyncio.gather(*tries)

    with server("workers=1") as (url, _):
        assert len(asyncio.run(crowd(url))) == 300
