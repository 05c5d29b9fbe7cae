"""Who is who in a server that is not ours: the gateway, its workers, and those that only start them or help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.monitor.roles import IDLE_AFTER_S, Node, Roles, Sockets
from capsexp.monitor.sampler import MONITOR, Sampler
from tests.support import PATIENCE

TRACKER = b"python -c from multiprocessing.resource_tracker import main;main(5)"


def node(pid: int, parent: int, cpu_s: float = 0.0, line: bytes = b"python s.py") -> Node:
    return Node(pid, parent, 0, cpu_s, line)


class Machine:
    """Whose sockets are what: pids that listen, and that wait for proxies."""

    def __init__(self, listens: set[int] | None = None, manages: set[int] | None = None) -> None:
        self.listens, self.manages = listens or set(), manages or set()
        self.roles, self.looks = Roles(self.look), 0

    def look(self, pid: int) -> Sockets:
        self.looks += 1
        return Sockets(pid in self.listens, pid in self.manages)

    def of(self, tree: list[Node], now: float = 0.0) -> list[str]:
        parts = self.roles.of(tree, now)
        return [role if number is None else f"{role} {number}" for role, number in (parts[n.pid] for n in tree)]


def test_the_gateway_is_who_listens_and_those_above_it_only_started_it() -> None:
    tree = [node(1, 0, line=b"uv run s.py"), node(2, 1, line=b"env"), node(3, 2), node(4, 3), node(5, 3)]
    assert Machine({3}).of(tree) == ["helper", "helper", "gateway", "worker 0", "worker 1"]


def test_until_somebody_listens_the_root_is_the_gateway_and_numbers_move_up_when_it_is_not() -> None:
    machine, tree = Machine(), [node(1, 0, line=b"bash"), node(2, 1), node(3, 2, 9.0), node(4, 2, 9.0)]
    assert machine.of(tree)[0] == "gateway"
    machine.listens = {2}
    assert machine.of(tree, 1.0) == ["helper", "gateway", "worker 0", "worker 1"]


def test_a_root_that_listens_and_its_workers_that_share_its_socket() -> None:
    assert Machine({1, 2, 3}).of([node(1, 0), node(2, 1), node(3, 1)]) == ["gateway", "worker 0", "worker 1"]


def test_a_root_whose_socket_is_listened_on_by_a_child_first_is_the_gateway() -> None:
    """uvicorn: the parent binds, the children listen; between a look at the one and at the other they begin to."""

    class Late(Machine):
        def look(self, pid: int) -> Sockets:
            found = super().look(pid)
            self.listens = {1, 2, 3}  # from the first look on
            return found

    machine, tree = Late(), [node(1, 0), node(2, 1), node(3, 1)]
    assert machine.of(tree) == ["gateway", "worker 0", "worker 1"]
    assert machine.of(tree, 1.0) == ["gateway", "worker 0", "worker 1"]


def test_what_multiprocessing_adds_is_no_worker() -> None:
    server = b"python -c from multiprocessing.forkserver import main"
    tree = [node(1, 0), node(2, 1, line=TRACKER), node(3, 1), node(4, 1, line=server), node(5, 4, line=server)]
    assert Machine({1}, {3}).of(tree) == ["gateway", "helper", "helper", "helper", "worker 0"]


def test_a_parent_that_only_waits_is_no_worker_and_one_that_works_is() -> None:
    """Below the gateway: a loader that forked its workers, and a worker with a decoder of its own."""
    machine = Machine({1})
    for now in (0.0, 1.0, 2.0, 3.0, 4.0):
        tree = [node(1, 0), node(2, 1, 8.0), node(3, 2, now), node(4, 1, 5.0 + now / 2), node(5, 4, now / 10)]
        said = machine.of(tree, now)
    assert now > IDLE_AFTER_S
    assert [role.split()[0] for role in said] == ["gateway", "helper", "worker", "worker", "worker"]


def test_a_worker_with_a_resource_tracker_of_its_own_is_a_worker() -> None:
    assert Machine({1}).of([node(1, 0), node(2, 1), node(3, 2, line=TRACKER)]) == ["gateway", "worker 0", "helper"]


def test_a_worker_that_took_another_s_place_has_a_number_of_its_own() -> None:
    machine = Machine({1})
    assert machine.of([node(1, 0), node(2, 1), node(3, 1)]) == ["gateway", "worker 0", "worker 1"]
    assert machine.of([node(1, 0), node(3, 1), node(4, 1)]) == ["gateway", "worker 1", "worker 2"]


def test_a_gateway_that_a_launcher_started_again_is_the_gateway() -> None:
    machine = Machine({2})
    assert machine.of([node(1, 0), node(2, 1), node(3, 2)]) == ["helper", "gateway", "worker 0"]
    machine.listens = {4}
    assert machine.of([node(1, 0), node(4, 1), node(5, 4)]) == ["helper", "gateway", "worker 1"]


def test_sockets_are_looked_at_a_few_times_once_the_gateway_is_known() -> None:
    machine, tree = Machine({1}), [node(1, 0), node(2, 1), node(3, 1)]
    for now in range(100):
        machine.of(tree, float(now))
    assert machine.looks < 20


@given(st.data())
def test_every_process_has_one_part_and_there_is_one_gateway(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 9))
    tree = [node(1, 0), *(node(n, data.draw(st.integers(1, n - 1))) for n in range(2, size + 1))]
    machine = Machine(data.draw(st.sets(st.integers(1, size))), data.draw(st.sets(st.integers(1, size))))
    for now in range(3):
        said = machine.of(tree, float(now))
        assert said.count("gateway") == 1
        numbers = sorted(int(role.split()[1]) for role in said if role.startswith("worker"))
        assert numbers == list(range(len(numbers)))


FOREIGN = """
import multiprocessing, socket, time
def work():
    while True:
        sum(range(10000)); time.sleep(0.005)
if __name__ == "__main__":
    multiprocessing.set_start_method("METHOD")
    manager = multiprocessing.Manager()
    queue = manager.Queue()
    for worker in [multiprocessing.Process(target=work, daemon=True) for _ in range(2)]: worker.start()
    listener = socket.create_server(("127.0.0.1", 0))
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("launcher", ["{python} {script}", "bash -c '{python} {script}; true'"])
def test_a_real_server_with_a_manager_behind_a_launcher(tmp_path: Path, launcher: str, method: str) -> None:
    script = tmp_path / "s.py"
    script.write_text(FOREIGN.replace("METHOD", method))
    line = launcher.format(python=sys.executable, script=script)
    started = subprocess.Popen(
        ["bash", "-c", f"exec {line}"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert started.stdout is not None
        sampler = Sampler({started.pid: "gateway"}, None)
        sampler.tick()[MONITOR]
        assert started.stdout.readline() == "up\n"
        deadline, roles = time.monotonic() + PATIENCE / 6, []
        while time.monotonic() < deadline and (roles.count("worker"), roles.count("gateway")) != (2, 1):
            rows = sampler.tick()[MONITOR]
            roles = [row["role"] for row in rows]
            time.sleep(0.05)
        assert (roles.count("worker"), roles.count("gateway")) == (2, 1), rows
        assert sorted(row["worker"] for row in rows if row["role"] == "worker") == [0, 1]
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
