"""How one gets in: headers as they come, addresses as they are written, and a port for one server only."""

import asyncio
import http.client
import logging
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from capsexp.client.load import run
from capsexp.config import LoadConfig
from capsexp.errors import ServerError
from capsexp.protocol import in_url
from capsexp.server.delivery import internal
from capsexp.server.listener import bind
from capsexp.server.log_limit import LogLimit
from tests.support import PATIENCE, noise
from tests.support.servers import requests, right, server, tool

pytestmark = pytest.mark.slow  # real processes

UPGRADE = (
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def answer(url: str, more: str = "", target: str = "/") -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=PATIENCE) as one:
        one.sendall(f"GET {target} HTTP/1.1\r\n{UPGRADE}{more}\r\n".encode())
        said = http.client.HTTPResponse(one)
        said.begin()
        return said.status, "" if said.status == 101 else said.read().decode()


def test_a_token_in_any_spelling_of_its_header_and_a_reason_for_every_refusal() -> None:
    with server("workers=1", "server.token=geheim", "server.origins=[https://good.example]") as (url, process):
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert answer(url, f"Authorization: {scheme} geheim\r\n")[0] == 101
        assert answer(url, target="/?token=geheim")[0] == 101
        assert answer(url, target="/[?token=geheim")[0] == 101
        assert answer(url, "Authorization: bearer geheim2\r\n")[0] == 401
        status, said = answer(url, "Authorization: Bearer geheim\r\nAuthorization: Bearer x\r\n")
        assert (status, "more than one Authorization" in said) == (400, True)
        status, said = answer(url, target="/[")
        assert (status, "server.token" in said) == (401, True)
        status, said = answer(url, "Authorization: Bearer geheim\r\nOrigin: https://bad.example\r\n")
        assert (status, "server.origins" in said) == (403, True)
        assert answer(url, "Authorization: Bearer geheim\r\nOrigin: https://good.example\r\n")[0] == 101
        process.terminate()
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


def test_who_comes_at_the_same_moment_counts() -> None:
    async def crowd(url: str) -> list[object]:
        tries = [asyncio.ensure_future(connect(url).__aenter__()) for _ in range(30)]
        found = await asyncio.gather(*tries, return_exceptions=True)
        return [one for one in found if not isinstance(one, BaseException)]

    with server("workers=1", "server.max_connections=3") as (url, _):
        assert len(asyncio.run(crowd(url))) == 3


def test_an_address_of_ipv6_is_one(audio_dir: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with server("workers=1", "server.host='::1'") as (url, _):
        assert url.startswith("ws://[::1]:")
        made = requests(3)
        asyncio.run(run(made, url, LoadConfig(seg_duration=2, seg_overlap=0.5, message_s=1, timeout=PATIENCE)))
        assert all(right(made))
        port = str(urlsplit(url).port)
        done = tool("capsexp.client", "--dir", str(audio_dir), "server.host='::1'", "--port", port)
        assert done.returncode == 0, done.stderr
    assert [in_url(host) for host in ("::1", "127.0.0.1", "localhost")] == ["[::1]", "127.0.0.1", "localhost"]


def test_a_port_is_taken_before_the_models_load() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ServerError, match="cannot listen on 127"):
            bind("127.0.0.1", port)
        command = [sys.executable, "-m", "capsexp.server", "engine=null", "engine.load_s=600", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "server.port" in done.stderr


def test_what_strangers_cause_is_said_once_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    often = LogLimit(3600)
    for _ in range(1000):
        often.say("a", "line of a")
    often.say("b", "line of b")
    assert [r.getMessage() for r in caplog.records] == ["line of a", "line of b"]


def test_an_exception_of_ours_is_one_line_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    try:
        {}[noise(0, 1).tobytes().hex() + "what was said"]
    except KeyError as error:
        internal("task t", error)
    (record,) = caplog.records
    assert record.getMessage().startswith("task t: internal error: KeyError at test_receive_throttle.py:")
    assert "what was said" not in record.getMessage()
