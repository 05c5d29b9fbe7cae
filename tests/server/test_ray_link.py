"""Who may speak on the connections of pool=ray, and how another machine's clock is read."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.pipes import Connection
from capsexp.server.pools import ray_agent
from capsexp.server.pools.ray_link import MAGIC, Clock, Link, Stranger, accept, dial
from tests.support import PATIENCE

SECRET = bytes(range(32))


class Gate:
    """A port that accepts one connection with a secret."""

    def __init__(self, secret: bytes = SECRET) -> None:
        self.said: Any = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, args=(secret,))
        self._thread.start()

    def _accept(self, secret: bytes) -> None:
        sock, _ = self._listener.accept()
        with sock:
            try:
                self.said = accept(sock, secret)
            except Stranger as error:
                self.said = error

    def heard(self) -> Any:
        self._thread.join(PATIENCE)
        self._listener.close()
        return self.said


def test_both_sides_with_the_secret_agree_on_the_header() -> None:
    gate = Gate()
    dial(gate.address, SECRET, {"link": "control", "node": 3}).close()
    assert gate.heard() == {"link": "control", "node": 3}


def test_an_agent_without_the_secret_is_a_stranger_to_the_gateway() -> None:
    gate = Gate()
    with pytest.raises(Stranger):
        dial(gate.address, bytes(32), {"node": 0})
    assert isinstance(gate.heard(), Stranger)


def test_a_gateway_without_the_secret_is_a_stranger_to_the_agent() -> None:
    """It believes anybody, which helps it nothing: what it has to send proves the secret."""

    def pretends(sock: socket.socket) -> None:
        sock.sendall(MAGIC + bytes(32))
        sock.recv(65536)
        sock.sendall(bytes(32))

    with pytest.raises(Stranger, match="does not know the secret"):
        _dialled(pretends)


def test_the_agents_own_proof_sent_back_to_it_proves_nothing() -> None:
    def reflects(sock: socket.socket) -> None:
        sock.sendall(MAGIC + bytes(32))
        sock.sendall(sock.recv(65536)[-32:])

    with pytest.raises(Stranger, match="does not know the secret"):
        _dialled(reflects)


def test_what_was_said_once_is_no_proof_a_second_time() -> None:
    gate, proof = Gate(), b""
    with socket.create_connection(gate.address, timeout=PATIENCE) as first:
        first.recv(len(MAGIC) + 32)
    gate.heard()
    sent: list[bytes] = []

    def records(sock: socket.socket) -> None:
        sock.sendall(MAGIC + bytes(32))
        sent.append(sock.recv(65536))

    with pytest.raises(Stranger):
        _dialled(records)
    (proof,) = sent
    again = Gate()
    with socket.create_connection(again.address, timeout=PATIENCE) as sock:
        sock.sendall(proof)
        assert isinstance(again.heard(), Stranger)


@given(st.binary(max_size=400))
def test_nothing_that_is_no_agent_comes_past_the_handshake(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(Stranger):
            accept(ours, SECRET)


def test_a_header_that_is_changed_on_the_way_is_refused() -> None:
    ours, theirs = socket.socketpair()
    gate: list[Any] = []

    def serve() -> None:
        try:
            gate.append(accept(ours, SECRET))
        except Stranger as error:
            gate.append(error)

    import hmac

    with ours, theirs:
        thread = threading.Thread(target=serve)
        thread.start()
        nonce = theirs.recv(len(MAGIC) + 32)[len(MAGIC) :]
        honest, forged = json.dumps({"node": 0}).encode(), json.dumps({"node": 9}).encode()
        mac = hmac.digest(SECRET, b"agent" + nonce + bytes(32) + honest, "sha256")
        theirs.sendall(bytes(32) + len(forged).to_bytes(4, "big") + forged + mac)
        thread.join(PATIENCE)
    assert isinstance(gate[0], Stranger)


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 0.5), st.floats(0, 0.5)), min_size=1, max_size=40),
)
def test_a_clock_is_off_by_no_more_than_it_says(ahead: float, trips: list[tuple[float, float, float]]) -> None:
    clock = Clock()
    for sent, there, back in trips:
        clock.trip(sent, sent + there + ahead, sent + there + back)
    assert clock.error_s is not None
    assert abs(clock.offset_s - ahead) <= clock.error_s + 1e-6


def _dialled(serves: Callable[[socket.socket], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                serves(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            dial(listener.getsockname(), SECRET, {"node": 0})
        finally:
            thread.join(PATIENCE)


def test_an_agent_answers_while_it_looks_at_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some GB take longer than a node may be silent; what was found is kept for when the gateway is dialled again."""
    asked, go_on = [], threading.Event()

    def slow(engine: dict[str, Any]) -> dict[str, str]:
        asked.append(engine)
        assert go_on.wait(PATIENCE)
        return {"model.onnx": "1"}

    monkeypatch.setattr(ray_agent, "hashes", slow)
    begin = {"engine": {"name": "x"}, "lost_s": 60.0, "models": {"model.onnx": "2"}}
    agent = ray_agent.Agent(ray_agent.Task("127.0.0.1", 1, 0, SECRET))
    for again in (False, True):
        ours, theirs = socket.socketpair()
        agent._link = Link(Connection(theirs.detach()))
        serving = threading.Thread(target=agent._serve)
        serving.start()
        with Connection(ours.detach()) as pipe:
            gateway = Link(pipe)
            gateway.send(begin=begin)
            if not again:
                gateway.send(ping=7.0)
                assert gateway.read()["pong"] == 7.0
                go_on.set()
            assert gateway.read() == {"refused": "its model.onnx is not the gateway's (other sha256, or missing)"}
            gateway.send(over=True)
            assert gateway.read() == {"over": True}
        serving.join(PATIENCE)
        assert not serving.is_alive()
    assert asked == [{"name": "x"}]


def test_who_hangs_up_is_dialled_again() -> None:
    """A gateway does so when too many dial at once: to an agent it is a connection that failed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        with pytest.raises(ConnectionError, match="hung up"):
            dial(listener.getsockname(), SECRET, {"node": 0})
        thread.join(PATIENCE)
