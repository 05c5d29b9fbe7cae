"""A real Ray of two nodes on this machine, from nothing: `node1` (resource `small`) has one CPU, `node2` (`big`) two.

It is a process of its own, `python -m tests.support.ray_cluster FOLDER`, which ends with its stdin, and all that it
started with it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lacking() -> str | None:
    """Why no cluster can be started here."""
    if sys.platform != "linux":
        return "a Ray of our own is started on Linux"
    return "needs the package ray: pip install 'capsexp[ray]'" if find_spec("ray") is None else None


class Cluster:
    """Up when it is made. `raylets`: the process of each node by which it lives."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cx-ray-", dir="/tmp"))  # sockets' paths have 107 characters at most
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster", str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.address: str = said["address"]
        self.raylets: dict[str, int] = said["raylets"]

    def down(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(folder: str) -> None:
    os.environ |= {
        "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    out = os.dup(1)
    os.dup2(2, 1)  # what Ray prints
    import psutil
    import ray.cluster_utils

    from capsexp import lifeline

    lifeline.adopt_orphans()
    each = {"object_store_memory": 80_000_000}
    head = {**each, "node_name": "node1", "num_cpus": 1, "resources": {"small": 1}, "include_dashboard": False}
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**each, node_name="node2", num_cpus=2, resources={"big": 1})
    nodes = zip(("node1", "node2"), (cluster.head_node, *cluster.worker_nodes), strict=True)
    raylets = {name: node.all_processes["raylet"][0].process.pid for name, node in nodes}
    os.write(out, json.dumps({"address": cluster.address, "raylets": raylets}).encode() + b"\n")
    sys.stdin.read()
    for process in psutil.Process().children(recursive=True):
        process.kill()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
