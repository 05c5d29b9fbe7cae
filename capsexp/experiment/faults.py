"""Does to a running server what `fault=` names, while it is measured: real signals to real processes, real clients that
misbehave. A program of its own beside server, client and monitor; faults.csv says what it did, and when."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from capsexp import lifeline, tool
from capsexp.client.request import ConnectionOptions
from capsexp.config import CLIENT_FAULTS, NODE_FAULTS, FaultConfig
from capsexp.csvfile import CsvFile
from capsexp.experiment.child import Supervised, python
from capsexp.monitor.probes import Watch, processes
from capsexp.results.handover import Order
from capsexp.runfiles import FAULTS_READY, PIDS

COLUMNS = ("fault", "kind", "time_s", "until_s", "worker", "pid")
END_S = 5.0  # for what is done to somebody to end once it has to
PERIOD_S = 0.1  # of stopping and continuing a slow worker
LOOK_S = 0.1  # for who takes the place of a dead worker: sooner than anybody has loaded


@dataclass(frozen=True)
class FaultTarget:
    worker: int | None
    process: psutil.Process


@dataclass
class FaultEvent:
    """One thing done to one process. Times are time.monotonic(); `until` is None for what is done in an instant."""

    fault: int
    kind: str
    time: float
    worker: int | None
    pid: int | None
    until: float | None = None


def moments(fault: FaultConfig, trial: int) -> Iterator[float]:
    """When faults are due, in seconds into the load: the same for all configurations of a trial."""
    rng, at, count = random.Random(f"{fault.seed}, trial {trial}"), fault.at_s, 0
    while not fault.most or count < fault.most:
        yield at
        count += 1
        if not fault.rate:
            return
        at += rng.expovariate(fault.rate)


class Injector:
    """`victims` are the server's workers that live now; `say` is told of each deed once it is over."""

    def __init__(
        self,
        fault: FaultConfig,
        url: str,
        way: ConnectionOptions,
        victims: Callable[[], list[FaultTarget]],
        say: Callable[[FaultEvent], None] = lambda deed: None,
        trial: int = 1,
    ) -> None:
        self._fault, self._url, self._way, self._victims, self._say = fault, url, way, victims, say
        self._rng = random.Random(f"{fault.seed}, trial {trial}, victims")
        self._number = 0
        self._stop = threading.Event()
        self._lasting: list[threading.Thread] = []
        self._clients: list[tuple[FaultEvent, Supervised]] = []
        self._frozen: list[psutil.Process] = []

    def inject(self) -> list[FaultEvent]:
        """One fault; the deeds it consists of, none where there is nobody to do it to."""
        kind = self._fault.name
        self._number += 1
        if kind in CLIENT_FAULTS:
            return [self._send_client(kind)]
        living = sorted(self._victims(), key=lambda v: (v.worker or 0, v.process.pid))
        if kind == "freeze_worker":
            living = [victim for victim in living if _runs(victim.process)]
        if not living:
            return []
        at = time.monotonic()  # before anybody can see it
        if kind in NODE_FAULTS:
            living = self._on_one_node(living)
        struck = living if kind in (*NODE_FAULTS, "kill_all_workers") else [self._rng.choice(living)]
        deeds = []
        for victim in struck:
            deed = FaultEvent(self._number, kind, at, victim.worker, victim.process.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                self._harm(kind, victim, deed)
                deeds.append(deed)
        return deeds

    def _on_one_node(self, living: list[FaultTarget]) -> list[FaultTarget]:
        """The workers of a node; its agent and all below it are harmed with them."""
        nodes: dict[psutil.Process, list[FaultTarget]] = {}
        for victim in living:
            if (agent := agent_of(victim.process)) is not None and _runs(agent):
                nodes.setdefault(agent, []).append(victim)
        if not nodes:
            return []
        agent = self._rng.choice(sorted(nodes, key=lambda one: one.pid))
        self._strike(agent)
        return nodes[agent]

    def _strike(self, agent: psutil.Process) -> None:
        """All of a node at once, from the agent down: it can start nobody again meanwhile."""
        with contextlib.suppress(psutil.NoSuchProcess):
            everybody = [agent, *agent.children(recursive=True)]
            for process in everybody:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill() if self._fault.name == "kill_node" else process.suspend()
            if self._fault.name == "freeze_node":
                self._frozen += everybody
                thaws = threading.Thread(target=self._thaw, args=(everybody,), daemon=True)
                self._lasting.append(thaws)
                thaws.start()

    def _thaw(self, everybody: list[psutil.Process]) -> None:
        self._stop.wait(self._fault.for_s)
        for process in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def _harm(self, kind: str, victim: FaultTarget, deed: FaultEvent) -> None:
        process = victim.process
        if kind in ("kill_worker", "kill_all_workers"):
            known = {each.process.pid for each in self._victims()} if self._fault.keeps_away else set[int]()
            process.kill()
            if self._fault.keeps_away:
                away = threading.Thread(target=self._keep_away, args=(known,), daemon=True)
                self._lasting.append(away)
                away.start()
        elif kind == "crash_engine":
            if sys.platform == "linux":
                with contextlib.suppress(psutil.AccessDenied, OSError):
                    process.rlimit(psutil.RLIMIT_CORE, (0, 0))  # nobody wants its core on disk
            process.send_signal(signal.SIGSEGV)
        elif kind == "freeze_worker":
            process.suspend()
            self._frozen.append(process)
        elif kind == "memory_limit" and sys.platform == "linux":  # elsewhere config refuses it
            most = process.memory_info().rss + round(self._fault.room_mb * 2**20)
            process.rlimit(psutil.RLIMIT_AS, (most, most))
        elif kind == "slow_worker":
            slow = threading.Thread(target=self._slow, args=(process, deed), daemon=True)
            self._lasting.append(slow)
            slow.start()
            return  # told of when it is over
        self._say(deed)

    def _slow(self, process: psutil.Process, deed: FaultEvent) -> None:
        running = PERIOD_S / self._fault.slowdown
        until = deed.time + self._fault.for_s
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                while time.monotonic() < until and not self._stop.is_set():
                    process.suspend()
                    self._stop.wait(PERIOD_S - running)
                    process.resume()
                    time.sleep(running)
            finally:
                process.resume()
        deed.until = time.monotonic()
        self._say(deed)

    def _keep_away(self, known: set[int]) -> None:
        """Stop whoever takes the place of a dead worker while it loads, before it can be given anything: it takes no
        CPU and serves nobody. The server gives up on it and starts another, which is stopped as well."""
        held: psutil.Process | None = None
        while not self._stop.wait(LOOK_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                if held is not None and held.is_running() and held.status() != psutil.STATUS_ZOMBIE:
                    continue
                held = next((each.process for each in self._victims() if each.process.pid not in known), None)
                if held is not None:
                    held.suspend()
                    self._frozen.append(held)

    def _send_client(self, kind: str) -> FaultEvent:
        client = Supervised(python("capsexp.client.chaos_clients"), "a client that misbehaves")
        told = {
            "kind": kind, "url": self._url, "token": self._way.token, "certfile": self._way.certfile,
            "seed": self._rng.randrange(2**31), "seconds": self._fault.for_s, "parent": os.getpid(),
        }  # fmt: skip
        client.say(json.dumps(told))
        deed = FaultEvent(self._number, kind, time.monotonic(), None, client.pid)
        self._clients.append((deed, client))
        self.reap()
        return deed

    def reap(self) -> None:
        """Tell of the clients that are done."""
        for deed, client in list(self._clients):
            if not client.alive():
                deed.until = time.monotonic()
                self._clients.remove((deed, client))
                self._say(deed)

    def stop(self) -> None:
        """Undo what lasts: nobody stays frozen, no bad client stays."""
        self._stop.set()
        for slow in self._lasting:
            slow.join(END_S)
        for process in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        for _, client in self._clients:
            client.kill(END_S)
        self.reap()


AGENT = "capsexp.server.pools.ray_agent"  # whose command line has this


def agent_of(worker: psutil.Process) -> psutil.Process | None:
    """The agent of pool=ray that a worker is below."""
    with contextlib.suppress(psutil.Error):
        return next((one for one in worker.parents() if AGENT in one.cmdline()), None)
    return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def workers_below(root: int, pids_dir: Path | None) -> list[FaultTarget]:
    """The workers of the server whose gateway is `root`: as it names them, else as they look."""
    found = {}
    for row in processes.start(Watch({root: "gateway"}, pids_dir)).look(time.monotonic(), []):
        if row["role"] == "worker":
            with contextlib.suppress(psutil.NoSuchProcess):
                found[row["pid"]] = FaultTarget(row["worker"], psutil.Process(row["pid"]))
    return list(found.values())


def main(argv: Sequence[str]) -> int:
    call = tool.parse(argv, "python -m capsexp.experiment.faults", "Harm a server that is measured.", {})
    assert call.run_dir is not None
    config, run_dir, stop = call.config, call.run_dir, threading.Event()
    roots = [int(pid) for role, _, pid in (w.partition(":") for w in call.watch) if role == "gateway"]
    with (run_dir / "faults.csv").open("w", newline="") as file:
        table, lock = CsvFile(file, COLUMNS), threading.Lock()

        def say(deed: FaultEvent) -> None:
            row = {name: getattr(deed, name) for name in ("fault", "kind", "worker", "pid")}
            row["time_s"] = deed.time - call.zero
            row["until_s"] = None if deed.until is None else deed.until - call.zero
            with lock:
                table.write(row)
                table.flush()

        (run_dir / FAULTS_READY).touch()
        line = sys.stdin.readline()
        if not line:
            return 0
        lifeline.on_stdin_closed(stop.set)
        began = time.monotonic()
        injector = Injector(
            config.fault,
            msgspec.json.decode(line, type=Order).url,
            ConnectionOptions(config.server.token, config.server.certfile),
            lambda: [v for root in roots for v in workers_below(root, run_dir / PIDS)],
            say,
            config.trial,
        )
        try:
            for moment in moments(config.fault, config.trial):
                if stop.wait(max(0.0, began + moment - time.monotonic())):
                    break
                injector.inject()
            while not stop.wait(0.1):
                injector.reap()
        finally:
            injector.stop()
    return 0


if __name__ == "__main__":
    sys.exit(tool.entry(main, "faults"))
