"""What the processes of a run write for each other: job.json by its sweep, server.json by our server, and a line on
standard input to the client and to who injects faults."""

from __future__ import annotations

from typing import Literal

import msgspec

from capsexp.results.run import ReferenceProcesses, Tree


class JobLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The load that was asked for, before it was settled."""

    repeats: int | str
    concurrency: int | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """job.json: all that a run's replay.yaml, in which everything is settled, does not tell. Without it the folder's
    name tells what the run is to its sweep. `reference`: how many plain processes are to be timed before it; `sweep`:
    where the sweep's folder is, seen from this one; `only`: the reference is made for the sweep's runs, and no run.
    Raises ValueError for a `sweep` that is no folder above."""

    schema: int = 1
    num: int
    key: str
    trials: int | str
    load: JobLoad
    reference: tuple[int, ...] = ()
    sweep: str = ".."
    only: Literal["reference"] | None = None

    def __post_init__(self) -> None:
        if self.sweep not in ("..", "../..", "../../.."):
            raise ValueError(f"sweep is {self.sweep!r}, which is no folder above")


class ReferenceSpeeds(msgspec.Struct, frozen=True, kw_only=True):
    """How fast plain processes were, from the child that timed them."""

    runs: tuple[ReferenceProcesses, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The order to begin the load: the server's `url`, and how many `connections` it accepts (None: not known). With
    `workers`: the order to make first requests before it, in rounds of as many (see client.warm)."""

    url: str
    connections: int | None = None
    workers: int | None = None

    def line(self) -> str:
        return msgspec.json.encode(self).decode()


class ReadyWorker(msgspec.Struct, frozen=True, kw_only=True):
    worker: int
    pid: int | None
    load_s: float | None
    cpus: str | None = None  # that it is pinned to, as the kernel lists them


class ServerReady(msgspec.Struct, frozen=True, kw_only=True):
    """server.json of a server whose workers have all loaded; `ready_s` on the run's clock; `connections`: how many it
    takes."""

    port: int
    pid: int
    ready_s: float
    workers: tuple[ReadyWorker, ...]
    engine: Tree
    connections: int | None = None
    warnings: tuple[str, ...] = ()


class ServerFailed(msgspec.Struct, frozen=True, kw_only=True):
    """server.json of one that did not come so far; `refused`: it would not have been safe."""

    error: str
    refused: bool
