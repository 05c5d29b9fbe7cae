"""Who answers at the address of a server that runs already, before anything is made for it."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.server import serve

from capsexp.client.greeting import refusal
from capsexp.client.transports import ConnectionOptions
from capsexp.experiment.reachability import unreachable


def asked(url: str) -> str:
    return refusal(url, ConnectionOptions(), 60.0)


@contextmanager
def a_web_server() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_who_speaks_websocket_is_no_stranger() -> None:
    with serve(lambda connection: None, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        assert asked(f"ws://127.0.0.1:{port}") == ""
        told = asked(f"wss://127.0.0.1:{port}")
        assert "does not speak TLS" in told and "ws:// instead of wss://" in told
        server.shutdown()


def test_a_web_server_is_a_stranger() -> None:
    with a_web_server() as port:
        assert not unreachable(f"ws://127.0.0.1:{port}", 5)
        assert "is not a WebSocket server" in asked(f"ws://127.0.0.1:{port}")


def test_who_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsexp.client.greeting.OPEN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "did not answer" in asked(f"ws://127.0.0.1:{silent.getsockname()[1]}")
