"""Ray's driver: `python -m capsexp.server.pools.ray_driver`. Lines of JSON on stdin and stdout: it is told which
cluster, says under which address of this machine nodes reach it, is told where their agents are to dial, and places one
on each node. It ends with its stdin, and with it the actors, their agents and a cluster that it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any, TextIO

from capsexp import lifeline

PLACED_S = 60.0  # for the nodes to be found
PROBE_S = 5.0  # for a cluster's port to answer
AGAIN_S = 1.0  # before an agent that ended is started again
STORE_BYTES = 80_000_000  # of Ray's object store, which nothing of ours uses: nearly the least that it takes


class Keeper:
    """The actor on a node: it keeps an agent going, and is not in its way. Started again by Ray, it starts another."""

    def __init__(self, told: str) -> None:
        self._told = told
        self._agent = self._start()
        threading.Thread(target=self._keep, daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        agent = subprocess.Popen(
            [sys.executable, "-m", "capsexp.server.pools.ray_agent"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert agent.stdin is not None
        with contextlib.suppress(OSError):
            agent.stdin.write(self._told.encode() + b"\n")
            agent.stdin.flush()
        return agent

    def _keep(self) -> None:
        while self._agent.wait():
            time.sleep(AGAIN_S)
            self._agent = self._start()

    def pid(self) -> int:
        return self._agent.pid


class Cluster:
    """The cluster that workers are placed on. Raises what Ray raises."""

    def __init__(self, address: str, nodes: int, folder: str | None) -> None:
        self._folder = folder
        if folder is not None:
            token = secrets.token_hex(32)  # of this cluster alone, and in no file
            os.environ |= {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        import ray

        self.ray = ray
        if folder is not None:
            address = self._local(nodes)
        elif address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")

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
            while sys.stdin.readline():
                pass
    except Exception as error:
        failed = True
        _say(out, error=f"pool=ray: {(str(error).splitlines() or [type(error).__name__])[0][:300]}")
    finally:
        if cluster is not None:
            cluster.end()
    return int(failed)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing of Ray's is waited for: it is over
