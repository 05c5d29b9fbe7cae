"""Ray's driver: `python -m capsexp.server.pools.ray_driver`. It exchanges lines of JSON with the gateway on stdin and
stdout: reads which cluster to join, writes the address at which nodes reach this machine, reads where their agents must
dial, and places one agent on each node. It ends with its stdin, and with it the actors, their agents and a cluster that
it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from capsexp import lifeline
from capsexp.ray_connection import brief, join

HERE = str(Path(__file__).resolve().parents[3])  # where capsexp is
PLACED_S = 60.0  # for the nodes to be found
AGAIN_S = 1.0  # before an agent that ended is started again
ASK_S = 3.0  # between two looks at agents that have just been started, and for each to answer
ASKED = 10  # looks
SOON_S = 10.0  # an agent that lived for so long did start
TRIES = 3  # starts of an agent that came to nothing, before that is said
STORE_BYTES = 80_000_000  # of Ray's object store, which nothing of ours uses: nearly the least that it takes


class Keeper:
    """The actor on a node: it keeps an agent going, and is not in its way. Started again by Ray, it starts another."""

    def __init__(self, told: str) -> None:
        self._told = told
        self._short, self._trouble = 0, ""
        self._agent = self._start()
        threading.Thread(target=self._keep, daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        agent = subprocess.Popen(
            [sys.executable, "-m", "capsexp.server.pools.ray_agent"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd="/",  # what is installed, not what happens to lie where Ray was started
        )  # fmt: skip
        assert agent.stdin is not None
        with contextlib.suppress(OSError):
            agent.stdin.write(self._told.encode() + b"\n")
            agent.stdin.flush()
        return agent

    def _keep(self) -> None:
        while True:
            began, last = time.monotonic(), ""
            assert self._agent.stderr is not None
            for line in self._agent.stderr:
                last = line.decode("utf-8", "replace").strip() or last
                sys.stderr.write(f"{last}\n")
            if not self._agent.wait():
                return
            failed = self._agent.returncode > 0 and time.monotonic() - began < SOON_S  # and was not killed
            self._short = self._short + 1 if failed else 0
            if self._short >= TRIES:
                self._trouble = last or f"exit code {self._agent.returncode}"
            time.sleep(AGAIN_S)
            self._agent = self._start()

    def trouble(self) -> str:
        """Why its agent does not start; nothing where it does."""
        return self._trouble


class Cluster:
    """The cluster that workers are placed on. Raises what Ray raises."""

    def __init__(self, address: str, nodes: int, folder: str | None) -> None:
        self._folder = folder
        if folder is not None:
            token = secrets.token_hex(32)  # of this cluster alone, and in no file
            found = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
            os.environ |= {
                "RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "PYTHONPATH": found
            }  # fmt: skip
        self.ray = join(address if folder is None else self._local(nodes))

    @staticmethod
    def _local(nodes: int) -> str:
        from ray.cluster_utils import Cluster as Made

        each: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        made = Made(initialize_head=True, head_node_args={**each, "include_dashboard": False})
        for _ in range(nodes - 1):
            made.add_node(wait=False, **each)
        return str(made.address)

    def host(self) -> str:
        """The address of this machine in the cluster."""
        return str(self.ray.util.get_node_ip_address())

    def place(self, nodes: int, told: dict[str, Any]) -> None:
        """An agent on each of so many nodes."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._group = placement_group([{"CPU": 1}] * nodes, strategy="STRICT_SPREAD")
        if not self._group.wait(PLACED_S):
            have = sum(node["Alive"] for node in self.ray.nodes())
            raise RuntimeError(
                f"pool.nodes={nodes}: the cluster has {have}, and not so many with a CPU that Ray has not given away"
            )
        keeper = self.ray.remote(Keeper)
        self._keepers = [
            keeper.options(
                num_cpus=1, max_restarts=-1,
                scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=node),
            ).remote(json.dumps({**told, "node": node}))
            for node in range(nodes)
        ]  # fmt: skip

    def trouble(self) -> str:
        """Why an agent does not start; nothing where all do, as far as can be known."""
        with contextlib.suppress(Exception):  # a node that is lost is the gateway's to notice
            said = self.ray.get([keeper.trouble.remote() for keeper in self._keepers], timeout=ASK_S)
            return next((f"node {node}: its agent does not start: {why}" for node, why in enumerate(said) if why), "")
        return ""

    def end(self) -> None:
        if self._folder is not None:  # ours to the last process
            for process in _below():
                process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        for keeper in getattr(self, "_keepers", ()):
            self.ray.kill(keeper)
        with contextlib.suppress(AttributeError):
            self.ray.util.remove_placement_group(self._group)
        self.ray.shutdown()


def _look(cluster: Cluster, out: TextIO) -> None:
    """After the agents, for a while; in a thread."""
    for _ in range(ASKED):
        time.sleep(ASK_S)
        if why := cluster.trouble():
            _say(out, error=f"pool=ray: {why}")
            return


def _below() -> list[Any]:
    import psutil

    return list(psutil.Process().children(recursive=True))


def _say(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def main() -> int:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no word of ours
    lifeline.adopt_orphans()
    told = json.loads(sys.stdin.readline() or "{}")
    if not told:
        return 0
    cluster, failed = None, False
    try:
        cluster = Cluster(told["address"], told["nodes"], told["folder"])
        _say(out, host=cluster.host())
        where = json.loads(sys.stdin.readline() or "{}")
        if where:
            cluster.place(told["nodes"], where)
            _say(out, placed=told["nodes"], ray=cluster.ray.__version__)
            threading.Thread(target=_look, args=(cluster, out), daemon=True).start()
            while sys.stdin.readline():
                pass
    except Exception as error:
        failed = True
        _say(out, error=f"pool=ray: {brief(error)}")
    finally:
        if cluster is not None:
            cluster.end()
    return int(failed)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing of Ray's is waited for: it is over
