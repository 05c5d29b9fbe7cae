"""Clients that vanish, send slowly or never read, beside one that behaves: real sockets, the misbehaving in processes
of their own where that matters."""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pocketsphinx
import psutil
import pytest
from websockets.asyncio.client import connect

from capsexp.client.chaos_clients import KINDS, RawWebSocket
from capsexp.client.load import run
from capsexp.client.request import OPEN
from capsexp.config import LoadConfig
from capsexp.protocol import AudioMessage, encode_audio
from capsexp.server import handshake_policy
from tests.support import PATIENCE, noise
from tests.support.servers import perform, requests, right, server, workers_of

pytestmark = pytest.mark.slow  # real processes


@contextlib.contextmanager
def bad_client(kind: str, url: str, seconds: float = 30.0) -> Iterator["subprocess.Popen[bytes]"]:
    told = {"kind": kind, "url": url, "token": None, "certfile": None, "seed": 3, "seconds": seconds}
    client = subprocess.Popen([sys.executable, "-m", "capsexp.client.chaos_clients"], stdin=subprocess.PIPE)
    assert client.stdin is not None
    client.stdin.write(json.dumps({**told, "parent": psutil.Process().pid}).encode() + b"\n")
    client.stdin.flush()
    try:
        yield client
    finally:
        client.kill()
        client.wait()
        client.stdin.close()


def message(task: str, seconds: float, final: bool = False) -> str:
    return encode_audio(AudioMessage(task, noise(seconds, 3), final, seg_duration=2, seg_overlap=0.5))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_one_that_misbehaves_costs_the_others_nothing(kind: str) -> None:
    with server("workers=2", "engine.rtf=0.02") as (url, process):
        before = psutil.Process(process.pid).memory_info().rss
        with bad_client(kind, url) as client:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                assert all(right(perform(url, requests(3, 5))))
            if kind != "slow_client":
                client.wait(PATIENCE / 2)
                assert client.returncode == (-9 if kind == "client_vanishes" else 0)
        assert psutil.Process(process.pid).memory_info().rss - before < 60 * 2**20
        assert all(right(perform(url, requests(3))))


@pytest.mark.skipif(sys.platform != "linux", reason="noticed by epoll")
def test_one_that_leaves_while_the_server_does_not_read_is_noticed() -> None:
    with server("workers=1", "engine.rtf=0.05", "server.max_queue=2") as (url, _):
        line = RawWebSocket(url, OPEN)
        line.shake_hands()
        line.socket.sendall(line.frame(message("gone", 60)))  # more than fits: the server stops reading
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.socket.sendall(line.frame(message("gone", 60)) * 4)
        line.socket.shutdown(socket.SHUT_RDWR)
        line.socket.close()
        began = time.monotonic()
        assert all(right(perform(url, requests(4))))
        assert time.monotonic() - began < 1.8  # what is left of its first minute alone would take 3 s


def test_one_that_takes_no_result_is_let_go_and_its_place_is_free_again() -> None:
    async def crowd(url: str) -> None:
        async with connect(url):
            for _ in range(300):
                with contextlib.suppress(Exception):
                    async with connect(url):
                        return
                await asyncio.sleep(0.1)
        raise AssertionError("no place")

    with server("workers=1", "server.send_timeout=1", "server.max_connections=2") as (url, process):
        line = RawWebSocket(url, OPEN, buffer=4096)
        line.shake_hands()
        line.socket.settimeout(0.5)
        sent, began = 0, time.monotonic()
        with contextlib.suppress(OSError):
            while sent < 600:  # each of these has a result of some 100 KB
                line.socket.sendall(line.frame(message(f"t{sent}", 60, True)))
                sent += 1
        assert sent < 600, "it went on for as long as the client liked"
        line.socket.settimeout(None)
        asyncio.run(asyncio.wait_for(crowd(url), PATIENCE))
        assert time.monotonic() - began < PATIENCE / 3
        assert psutil.Process(process.pid).memory_info().rss < 250 * 2**20


def test_sixty_large_messages_at_once_do_not_all_come_into_memory() -> None:
    load = LoadConfig(seg_duration=15.0, seg_overlap=2.0, message_s=60.0, timeout=PATIENCE)
    with server("workers=2", "engine.rtf=0.0005") as (url, process):
        gateway, peak = psutil.Process(process.pid), 0
        made = requests(*([55] * 60))

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, gateway.memory_info().rss)
                await asyncio.sleep(0.02)

        async def all_of_it() -> None:
            watching = asyncio.create_task(watch())
            await run(made, url, load)
            watching.cancel()

        before = gateway.memory_info().rss
        asyncio.run(all_of_it())
        assert all(r.ok and r.finals == 1 and not r.foreign for r in made), [r.error for r in made][:3]
        if sys.platform == "linux":
            assert peak - before < 400 * 2**20  # they are 280 MB as text alone, and 750 MB with what they hold


def test_fewer_files_than_connections_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limit = [1024, 2000]
    monkeypatch.setattr(resource, "getrlimit", lambda what: tuple(limit))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: limit.__setitem__(0, limits[0]))
    said: list[str] = []
    assert handshake_policy.connections_that_fit(1000, said.append) == 1000
    assert limit[0] == 1200
    assert not said
    assert handshake_policy.connections_that_fit(4096, said.append) == 1800
    assert re.search("only 2000 files may be open here, room for 1800 connections", said[0])


def test_a_server_whose_workers_cannot_come_back_tells_whoever_waits_and_ends(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.symlink_to(pocketsphinx.get_model_path("en-us"))  # as good as a folder that can be lost
    command = [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=sphinx", f"engine.model_dir={model}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout)
    url = next(line.split()[2] for line in lines if line.startswith("listening on "))

    async def wait_for_ever() -> dict[str, str]:
        async with connect(url, max_size=None) as connection:
            await connection.send(message("t", 60, True))
            await asyncio.sleep(0.1)
            model.unlink()
            workers_of(process)[0].kill()
            while True:
                answer = json.loads(await connection.recv())
                if "error" in answer:
                    return dict(answer)

    try:
        said = asyncio.run(asyncio.wait_for(wait_for_ever(), PATIENCE))
        code = process.wait(PATIENCE)
    finally:
        process.kill()
    assert said["task_id"] == "t"
    assert "every worker ended 3 times in a row while loading" in said["error"]
    assert "no acoustic model" in said["error"]
    assert code == 1
    assert list(lines)[-1].startswith("capsexp.server: every worker ended 3 times")
    process.stdout.close()
