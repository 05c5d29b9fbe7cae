"""The agent on a node: `python -m capsexp.server.pools.ray_agent`, with a line of JSON on stdin: where the gateway is,
which node this is, the run's secret. It holds one of our pools and dials the gateway: a control link, and a connection
for each worker that is started. It ends with its stdin, and all that it started ends with it.

When the gateway is silent or gone it ends its workers, whose segments are somebody else's by then, and dials again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from capsexp import lifeline
from capsexp.engines.base import files_of_settings
from capsexp.errors import CapsexpError
from capsexp.files import sha256
from capsexp.machine import available_mb, total_mb, whole_cpus
from capsexp.server.messages import Failed, WorkerSettings
from capsexp.server.pools import launcher
from capsexp.server.pools.base import Launcher, WorkerHandle
from capsexp.server.pools.ray_link import Link, Stranger, dial, these_pids, this_clock
from capsexp.server.pools.ray_relay import Relay
from capsexp.server.pools.ray_words import Hello, versions
from capsexp.server.spawn_reserve import is_passing

log = logging.getLogger(__name__)

AGAIN_S = 0.5  # between two tries to reach the gateway
LOOK_S = 0.05
LINE = 65536  # characters of what it is told, at most
END_S = 5.0  # for killed processes to be gone


@dataclass(frozen=True)
class Task:
    """What it was told when it was started."""

    host: str
    port: int
    node: int
    secret: bytes

    @classmethod
    def of(cls, line: str) -> Task:
        said = json.loads(line)
        return cls(said["host"], said["port"], said["node"], bytes.fromhex(said["secret"]))


class Agent:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._link: Link | None = None
        self._launcher: Launcher | None = None
        self._told: dict[str, Any] | None = None  # to begin with, once the models are known
        self._models: Models | None = None
        self._lost_s = 3.0
        self._relays: dict[int, Relay] = {}

    def run(self) -> None:
        """Until the gateway says that it is over, or refuses this node."""
        while True:
            with contextlib.suppress(OSError, EOFError, ValueError):  # also what cannot be read
                pipe = dial((self._task.host, self._task.port), self._task.secret, self._hello().said())
                with pipe:
                    self._link = Link(pipe)
                    if self._serve():
                        return
            self._clear()
            time.sleep(AGAIN_S)

    def _hello(self) -> Hello:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.connect((self._task.host, self._task.port))
            address = probe.getsockname()[0]
        return Hello(
            self._task.node, socket.gethostname(), address, os.getpid(), this_clock(), these_pids(),
            whole_cpus(), total_mb(), available_mb(), versions(),
        )  # fmt: skip

    def _serve(self) -> bool:
        """Do what it says until it is silent, or for good: true then. Raises OSError, EOFError."""
        assert self._link is not None
        heard = looked = time.monotonic()
        while True:
            there, now = self._link.pipe.poll(LOOK_S), time.monotonic()
            if there or now - looked > 1.0:  # we were stopped, too: what it said meanwhile may be on its way
                heard = now
            looked = now
            self._begin()
            if there:
                message = self._link.read()
                if "over" in message:
                    self._clear()
                    self._link.send(over=True)
                    return True
                self._do(message)
            elif now - heard > self._lost_s:
                return False

    def _do(self, message: dict[str, Any]) -> None:
        assert self._link is not None
        if "ping" in message:
            self._link.send(pong=message["ping"], at=time.monotonic())
        elif "begin" in message:
            self._told = told = message["begin"]
            self._lost_s = told["lost_s"]
            if self._models is None or self._models.engine != told["engine"]:
                self._models = Models(told["engine"])
        elif "start" in message:
            self._start(message["start"], message["channel"])
        elif "settle" in message and self._launcher is not None:
            self._launcher.settle(message["settle"])
        elif "end" in message and (relay := self._relays.get(message["channel"])) is not None:
            relay.end(message["end"])
        self._relays = {channel: relay for channel, relay in self._relays.items() if not relay.over}

    def _begin(self) -> None:
        """The pool of this node, once its models are known to be those of the gateway."""
        if self._told is None or self._models is None or not self._models.known():
            return
        assert self._link is not None
        told, self._told = self._told, None
        if self._models.error:
            self._link.send(refused=self._models.error)
            return
        found = self._models.found
        if wrong := [name for name, digest in told["models"].items() if found.get(name) != digest]:
            self._link.send(refused=f"its {', '.join(wrong)} is not the gateway's (other sha256, or missing)")
            return
        folder = told["run_dir"]
        here = folder if folder is not None and Path(folder).is_dir() else None
        settings = WorkerSettings(told["engine"], told["punctuation"], here)
        self._launcher = launcher(told["inner"], settings, told["threads"], told["count"], self._on_loader)
        self._link.send(begun=True)

    def _on_loader(self, pid: int) -> None:
        if self._link is not None:
            self._link.send(loader=pid)

    def _start(self, number: int, channel: int) -> None:
        assert self._launcher is not None
        hand: WorkerHandle | Failed
        try:
            hand = self._launcher.start(number)
        except (OSError, RuntimeError, MemoryError) as error:
            hand = Failed(None, f"cannot be started: {error}", is_passing(error))
        task = self._task
        header = {"link": "worker", "node": task.node, "channel": channel}
        self._relays[channel] = Relay(hand, lambda: dial((task.host, task.port), task.secret, header), self._launcher)

    def _clear(self) -> None:
        """Nothing is left of the workers."""
        for relay in self._relays.values():
            relay.end("kill")
        if self._launcher is not None:
            self._launcher.terminate()
            self._launcher.kill()
        self._relays, self._launcher, self._told = {}, None, None
        below = [one for one in psutil.Process().children(recursive=True) if not _tracks(one)]
        _, alive = psutil.wait_procs(below, timeout=END_S)
        for one in alive:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(alive, timeout=END_S)


class Models:
    """The `hashes` of an engine's files, found by a thread of its own: files of some GB take longer than a node may be
    silent. `error`: why there are none."""

    def __init__(self, engine: dict[str, Any]) -> None:
        self.engine, self.found, self.error = engine, dict[str, str](), ""
        self._thread = threading.Thread(target=self._find, daemon=True)
        self._thread.start()

    def known(self) -> bool:
        return not self._thread.is_alive()

    def _find(self) -> None:
        try:
            self.found = hashes(self.engine)
        except (CapsexpError, OSError) as error:
            self.error = str(error)


def hashes(engine: dict[str, Any]) -> dict[str, str]:
    """The sha256 of each of an engine's files, by its name. Raises EngineError, OSError."""
    return {path.name: sha256(path) for path in files_of_settings(engine)}


def _tracks(process: psutil.Process) -> bool:
    """Whether it is multiprocessing's own, which ends with us."""
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def main(argv: Sequence[str]) -> int:
    line = sys.stdin.readline(LINE)
    if not line.endswith("\n"):  # nobody is there, or it is none of ours
        return 0
    lifeline.adopt_orphans()
    lifeline.on_stdin_closed(_cut)
    try:
        Agent(Task.of(line)).run()
    except Stranger as error:
        log.error("%s", error)
        return 1
    return 0


def _cut() -> None:
    """Whoever started it has gone."""
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            one.kill()
    os._exit(1)


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    sys.exit(main(sys.argv[1:]))
