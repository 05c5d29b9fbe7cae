"""`executor`: where runs are executed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from capsexp.address import is_socket
from capsexp.plugpoints import EXECUTORS
from capsexp.setting import setting

LOCAL = "local"  # all others may run jobs on machines that are not this one
NODES = ("partition", "constraint", "node")  # the settings that choose nodes: a sweep may compare them


@dataclass
class ExecutorConfig:
    """Where runs are executed, one at a time, each as `python -m capsexp.run RUN_DIR`: here, or as jobs of a cluster.
    Only `name` is read with executor=local."""

    name: str = setting(LOCAL, "which executor")
    partition: str | None = setting(None, "slurm: partition, as for srun --partition; null: the default partition")
    address: str = setting("auto", "ray: the cluster's HOST:PORT; auto: from RAY_ADDRESS or this machine's Ray")
    constraint: str | None = setting(
        None,
        "slurm: features the node must have, as for srun --constraint; ray: a resource, as in ray start --resources",
    )
    node: str | None = setting(None, "the name of the node to use")
    same_node: bool = setting(True, "runs with the same partition, constraint and node all use the node of the first")
    time_limit_min: float | None = setting(
        None, "slurm: time limit of a job, min; null: the sum of the run's own deadlines", above=True
    )
    queue_s: float | None = setting(None, "s that a job may wait for a node; null: no limit", above=True)
    lost_s: float = setting(120.0, "s without a sign of life, after which a job is lost and its run repeated", low=10)
    arguments: str = setting("", "slurm: more options of srun, such as --account=NAME")
    options: dict[str, Any] = setting({}, "settings of an executor from another package")

    @property
    def local(self) -> bool:
        """Whether runs are made by this machine."""
        return self.name == LOCAL

    def told(self) -> dict[str, Any]:
        """What the executor is told: its settings, and `options` among them."""
        own = {key: value for key, value in asdict(self).items() if key not in ("name", "options")}
        return {**own, **self.options}

    def problems(self) -> Iterator[str]:
        yield from EXECUTORS.problems("executor", [self.name])
        if self.name == "ray" and self.address != "auto" and not is_socket(self.address):
            yield f"executor.address: {self.address} is no address; give HOST:PORT (a cluster's is 6379) or auto"
        if self.name == "ray" and self.partition:
            yield "executor.partition: is Slurm's; choose a node of Ray by executor.constraint or executor.node"
        try:
            shlex.split(self.arguments)
        except ValueError as error:
            yield f"executor.arguments: {self.arguments!r} is no command line ({error})"
