"""Ray's driver of executor=ray, for one run: `python -m capsexp.experiment.executors._ray_driver`. Lines of JSON: it is
told on stdin which run, on which nodes, and says on stdout where it is made, what it says there, and how it ended. It
is a process of its own, as Ray ends its driver when the cluster's head is lost.

The end of stdin means stop: the run then sees the end of its own, and ends in order. When this process is killed Ray
ends what holds the run, and with it the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.experiment.executors.base import STOP_S
from capsexp.experiment.executors.local import last_line
from capsexp.ray_connection import brief, join

LOOK_S = 0.2
SAY_S = 5.0  # between two words that no node is free
MADE_BY_RAY = ("OMP_NUM_THREADS", "PYTHONHASHSEED")  # what Ray sets for its own workers, beside RAY_*


class Holder:
    """The actor that has a node for itself: it starts the run there, holds its stdin, and is asked how it goes."""

    def here(self) -> str:
        return sys.executable

    def start(self, words: Sequence[str], env: Mapping[str, str], there: str, held_s: float) -> None:
        """After `held_s` without a look nobody holds the run any more, and it is told to stop. `env` holds what is
        secret: a method's arguments, unlike those of an actor, are written down by nobody."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k not in MADE_BY_RAY}
        if not own.get("CUDA_VISIBLE_DEVICES"):  # Ray hides what was not asked for
            own.pop("CUDA_VISIBLE_DEVICES", None)
        # No pipe: it would be open for as long as anybody holds its other end.
        self._out = tempfile.TemporaryFile()  # noqa: SIM115
        self._lines: list[str] = []
        self._run = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE, stdout=self._out, stderr=subprocess.PIPE, env={**own, **env},
            cwd=there if os.path.isdir(there) else "/", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._looked, self._held_s = time.monotonic(), held_s
        threading.Thread(target=self._hold, daemon=True).start()

    def _hold(self) -> None:
        """A node that Ray has lost may go on, and nobody else would end the run."""
        while time.monotonic() - self._looked < self._held_s and self._run.poll() is None:
            time.sleep(1.0)
        if self._run.poll() is None:
            self.stop()

    def _read(self) -> None:
        assert self._run.stderr is not None
        for line in self._run.stderr:
            said = line.decode("utf-8", "replace").rstrip()
            self._lines.append(said)

    def look(self) -> tuple[list[str], int | None, str]:
        """What it told its user since it was last looked at, its exit code once it has ended, and its last line."""
        self._looked, code = time.monotonic(), self._run.poll()
        if code is not None:
            self._reader.join(1.0)
        lines = [self._lines.pop(0) for _ in range(len(self._lines))]
        return lines, code, last_line(self._out) if code is not None else ""

    def stop(self) -> None:
        """It is asked to end, and made to where it does not."""
        assert self._run.stdin is not None
        with contextlib.suppress(OSError):
            self._run.stdin.close()
        patience = threading.Timer(STOP_S, self._kill)
        patience.daemon = True
        patience.start()

    def _kill(self) -> None:
        if self._run.poll() is not None:
            return
        if sys.platform == "win32":
            self._run.kill()
            return
        with contextlib.suppress(OSError):
            os.killpg(self._run.pid, signal.SIGKILL)


class NoNode(Exception):
    """None of the cluster's is what is asked for."""


class Driver:
    """`told`: `address`, `node`, `before` (the node to prefer), `constraint`, `words`, `env`, `there`, `held_s`."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self.stopping = threading.Event()

    def connect(self) -> None:
        """Raises OSError, and what Ray raises."""
        self._ray = join(str(self._told["address"]))

    def nodes(self) -> list[Mapping[str, Any]]:
        """Those that may be used; raises NoNode."""
        alive = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        named, constraint = self._told["node"], self._told["constraint"]
        found = [node for node in alive if not named or named in _names(node)]
        found = [node for node in found if not constraint or node["Resources"].get(constraint)]
        if not found:
            asked = [f"executor.{key}={self._told[key]}" for key in ("node", "constraint") if self._told[key]]
            have = ", ".join(" ".join([name_of(node), *_features(node)]) for node in alive) or "none with a CPU"
            raise NoNode(f"{' '.join(asked) or 'executor=ray'}: no node of the cluster matches; its nodes: {have}")
        before = [node for node in found if self._told["before"] in _names(node)]
        return before or found

    def place(self, nodes: Sequence[Mapping[str, Any]]) -> tuple[Any, Mapping[str, Any]] | None:
        """An actor that has a whole node: of all that may be used the first that is free; None when told to stop."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        made = self._ray.remote(Holder)
        holders = [
            made.options(
                num_cpus=node["Resources"]["CPU"], num_gpus=node["Resources"].get("GPU", 0), max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            ).remote()
            for node in nodes
        ]  # fmt: skip
        calls, said = {holder.here.remote(): at for at, holder in enumerate(holders)}, time.monotonic()
        while not self.stopping.is_set():
            ready, _ = self._ray.wait([*calls], num_returns=1, timeout=LOOK_S)
            if ready:
                at = calls.pop(ready[0])
                try:
                    self._ray.get(ready[0])
                except self._ray.exceptions.RayError:
                    if not calls:
                        raise
                    continue  # that node is lost: another one will do
                for other in calls.values():
                    self._ray.kill(holders[other])
                return holders[at], nodes[at]
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                say(waits=f"{', '.join(map(name_of, nodes))}: not all of its CPUs are free")
        return None

    def run(self) -> None:
        """Raises what Ray raises when the node is lost."""
        if (placed := self.place(self.nodes())) is None:
            return
        holder, node = placed
        job = str(holder._actor_id.hex())[:12]
        own = {"CAPSEXP_JOB_ID": job, "CAPSEXP_JOB_NODE": name_of(node)}
        say(node=name_of(node), job=job)
        told = self._told
        self._ray.get(holder.start.remote(told["words"], {**told["env"], **own}, told["there"], told["held_s"]))
        until: float | None = None
        while until is None or time.monotonic() < until:
            lines, code, last = self._ray.get(holder.look.remote())
            for line in lines:
                say(note=line)
            if code is not None:
                say(ended=code, said=last)
                return
            if self.stopping.is_set() and until is None:
                until = time.monotonic() + STOP_S
                self._ray.get(holder.stop.remote())
            time.sleep(LOOK_S)


def name_of(node: Mapping[str, Any]) -> str:
    return str(node.get("NodeName") or node["NodeManagerHostname"])


def _names(node: Mapping[str, Any]) -> set[str]:
    return {str(node.get(key)) for key in ("NodeName", "NodeManagerHostname", "NodeManagerAddress", "NodeID")}


def _features(node: Mapping[str, Any]) -> list[str]:
    """The resources that somebody gave it."""
    common = ("CPU", "GPU", "memory", "object_store_memory")
    return sorted(key for key in node["Resources"] if key not in common and ":" not in key)


def say(**message: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(_out, json.dumps(message).encode() + b"\n")


def main() -> int:
    told = json.loads(sys.stdin.readline() or "{}")
    if not told:
        return 0
    driver = Driver(told)

    def held() -> None:
        while sys.stdin.readline():
            pass
        driver.stopping.set()

    threading.Thread(target=held, daemon=True).start()
    try:
        driver.connect()
    except Exception as error:
        say(error=f"the cluster at executor.address={told['address']} does not answer: {brief(error)}")
        return 1
    try:
        driver.run()
    except NoNode as error:
        say(error=str(error))
        return 1
    except Exception as error:
        say(lost=brief(error))
        return 1
    return 0


_out = 1
if __name__ == "__main__":
    _out = os.dup(1)
    os.dup2(2, 1)  # what Ray prints is no word of ours
    os._exit(main())  # nothing of Ray's is waited for: its end is what ends the actor
