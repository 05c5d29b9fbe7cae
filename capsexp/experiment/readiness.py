"""When a run may begin: each of its processes has said so, or answers. What dies or is late ends it, never a sleep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsexp.address import address
from capsexp.config import ServerConfig
from capsexp.errors import ConfigError, HarnessError, LastingError, RunRefused, ServerError
from capsexp.experiment.child import POLL_S, Child
from capsexp.experiment.reachability import answers, belongs, listener
from capsexp.files import read_json
from capsexp.results.forms import typed
from capsexp.results.handover import ServerFailed, ServerReady
from capsexp.results.run import Tree
from capsexp.waiting import wait_until

DYING_S = 1.0  # for a server that has failed a request to be gone
FOREGROUND = "server.cmd must stay in the foreground: leave out `&`, --daemon and the like"
EXTERNAL_S = 10.0  # for a server that runs already to answer


@dataclass(frozen=True)
class Ready:
    """What is known of a server that is ready; of one that is not ours, its `url` alone. `connections`: how many it
    accepts; `pinned`: the CPUs of each worker, empty where they are not pinned."""

    url: str
    workers: int | None = None
    about: Tree = field(default_factory=dict)
    connections: int | None = None
    warnings: list[str] = field(default_factory=list)
    pinned: tuple[str, ...] = ()


def of_server(server: Child | None, url: str, wanted: ServerConfig, said: Path, meanwhile: Callable[[], None]) -> Ready:
    """Wait until all workers have loaded (our server writes that to `said`) or the port answers (anybody else's).
    Raises RunRefused, ServerError."""
    timeout = wanted.ready_timeout
    if server is None:
        timeout = min(timeout, EXTERNAL_S)  # it runs already

    def ready() -> bool:
        alive = server is None or server.alive()  # before looking: it may write, and end
        if not url and said.is_file():
            return True
        if server is not None and not alive:
            server.check_storage()
            raise ServerError(f"{how_it_ended(server, ' before it was ready')}: {server.last_lines()}")
        if url and answers(url):
            stranger = listener(url) if server is not None else None
            if server is not None and stranger is not None and not belongs(stranger, server):
                raise ServerError(
                    f"{url} belongs to another process (pid {stranger}), which took the port before server.cmd did: "
                    f"run again; or {FOREGROUND}"
                )
            return True
        return False

    if not wait_until(ready, timeout, POLL_S, meanwhile):
        what = f"{url}: no connection; is the server running?" if server is None else server.last_lines()
        raise ServerError(f"the server was not ready within server.ready_timeout = {timeout:g} s: {what}")
    return Ready(url) if url else _ours(read_json(said), wanted)


def _ours(answer: Any, wanted: ServerConfig) -> Ready:
    if isinstance(answer, dict) and "error" in answer:
        failed = typed(answer, ServerFailed)
        raise (RunRefused if failed.refused else ServerError)(failed.error)
    said = typed(answer, ServerReady)
    url = address("websocket", wanted.host, said.port, wanted.certfile is not None)
    pinned = tuple(worker.cpus for worker in said.workers if worker.cpus is not None)
    return Ready(url, len(said.workers), said.engine, said.connections, list(said.warnings), pinned)


def of_tool(path: Path, child: Child, timeout: float, meanwhile: Callable[[], None]) -> None:
    """Wait until a process of ours has written `path`. That it fails says nothing of the server: HarnessError."""

    def ready() -> bool:
        alive = child.alive()  # before looking: it may write, and end
        if path.is_file():
            return True
        if not alive:
            child.check_storage()
            raise ended_early(child, child.log.stem)
        return False

    if not wait_until(ready, timeout, POLL_S, meanwhile):
        raise HarnessError(f"{child.log.stem} was not ready within {timeout:g} s: {child.last_lines()}")


def ended_early(child: Child, name: str) -> HarnessError:
    """Of a process of ours that was needed for longer. What it was asked for cannot be done where its code says so:
    another run would end the same."""
    code = child.process.returncode
    kind = LastingError if code == ConfigError.EXIT else HarnessError
    return kind(f"{name} ended with code {code}: {child.last_lines()}")


def how_it_ended(server: Child, when: str = "") -> str:
    """Of a server that should have stayed: with 0 it most likely went into the background, and was ended with what it
    had left there. `when`: with a space before it."""
    code = server.process.returncode
    return f"the server ended with code {code}{when}{'' if code else f' ({FOREGROUND})'}"


def ended(server: Child, seen: str) -> str:
    """Why its requests failed, which is the cause, and what its client saw of that."""
    return f"{how_it_ended(server)}: {server.last_lines()}; its client saw: {seen}"


def of_first_requests(
    path: Path, client: Child, server: Child | None, within_s: float, meanwhile: Callable[[], None]
) -> None:
    """Wait until the client has written to `path` what came of its first requests, which have limits of their own.
    Raises ServerError where they failed, HarnessError where it does not come to say so."""
    of_tool(path, client, within_s, meanwhile)
    error = read_json(path)["error"]
    if error is None:
        return
    if server is not None and server.wait(DYING_S):
        error = ended(server, error)
    raise ServerError(error)
