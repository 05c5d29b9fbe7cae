"""The processes of a run as they are started: a server of ours or of somebody else's, client, monitor and injector."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from capsexp import commandline, interrupts
from capsexp.address import address
from capsexp.config import Config, to_yaml
from capsexp.errors import RunRefused, ServerError
from capsexp.experiment.child import Child, Foreign, python
from capsexp.experiment.reachability import answers, free_port, listener
from capsexp.files import storing, write_text
from capsexp.runfiles import PIDS
from capsexp.tool import TOKEN
from capsexp.waiting import wait_until

SHIPPED = Path(__file__).parents[1] / "data"  # models
PORT_S = 30.0  # for the port of a server that cannot be told one to be free


@contextmanager
def taken_down() -> Iterator[ExitStack]:
    """What is pushed is undone to the end: a second Ctrl-C waits, or it would leave half of it running."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        with interrupts.deferred():
            stack.close()


@dataclass(frozen=True)
class Started:
    """`server` is None where it runs already; `url` is empty where it is known once the server says so."""

    server: Child | None
    url: str
    client: Child
    monitor: Child
    injector: Child | None


def start(
    config: Config, run_dir: Path, common: Sequence[str], stack: ExitStack, say: Callable[[str], None]
) -> Started:
    """All of them; `stack` takes each down. `common`: what tools of ours are told. Raises RunRefused, ServerError."""
    grace, secret = config.server.grace, {TOKEN: config.server.token or ""}
    server, client, url = of_one_user(config, run_dir, common, stack, say)
    root = server.root if server is not None else listener(url)
    watch = ("--watch", f"gateway:{root}") if root else ()
    monitor = Child(python("capsexp.monitor", *common, *watch), run_dir / "monitor.log", env=secret)
    stack.callback(monitor.stop, grace)
    injector = None
    if config.fault.name != "none":
        command = python("capsexp.experiment.faults", *common, *watch)
        injector = Child(command, run_dir / "faults.log", env=secret)
        stack.callback(injector.stop, grace)
        _known(run_dir, injector, "fault")
    return Started(server, url, client, monitor, injector)


def of_one_user(
    config: Config, run_dir: Path, common: Sequence[str], stack: ExitStack, say: Callable[[str], None]
) -> tuple[Child | None, Child, str]:
    """The server and the client alone, and the server's address, as `Started` has them."""
    with storing(PIDS):
        (run_dir / PIDS).mkdir(exist_ok=True)
    server, url = _server(config, run_dir, common, stack, say)
    secret = {TOKEN: config.server.token or ""}
    client = Child(python("capsexp.client", *common), run_dir / "client.log", env=secret)
    stack.callback(client.stop, config.server.grace)
    _known(run_dir, client, "client")
    return server, client, url


def told(config: Config, run_dir: Path, zero: float) -> tuple[str, ...]:
    """What every tool of ours is told. `zero`: where the run's own clock begins."""
    resolved = run_dir / ".config.yaml"
    port = 0 if config.server.name == "local" else config.server.port  # ours takes a free one
    write_text(resolved, to_yaml(replace(config, server=replace(config.server, port=port))))
    return ("--config", str(resolved), "--run-dir", str(run_dir), "--zero", repr(zero), "--stdin-guard")


def _known(run_dir: Path, child: Child, role: str) -> None:
    """For the monitor, which finds out whose a process is."""
    with storing(PIDS):
        (run_dir / PIDS / str(child.pid)).write_text(f"{role} 0")


def _server(
    config: Config, run_dir: Path, common: Sequence[str], stack: ExitStack, say: Callable[[str], None]
) -> tuple[Child | None, str]:
    wanted, log = config.server, run_dir / "server.log"
    if wanted.name == "external":
        return None, wanted.url or ""
    if wanted.name == "local":
        ours = Child(python("capsexp.server", *common), log, env={TOKEN: wanted.token or ""})
        stack.callback(ours.stop, wanted.grace)
        return ours, ""
    port = _port(config, say)
    told = {"workers": config.workers, "threads": config.threads, "port": port, "host": wanted.host}
    told["model"] = _model(wanted.model or "")
    try:
        line = commandline.fill(wanted.cmd or "", **told)
        env = {name: commandline.fill(value, **told) for name, value in wanted.env.items()}
        server = Foreign(shlex.split(line), log, env, wanted.cwd)
    except (OSError, ValueError) as error:
        raise ServerError(f"server.cmd cannot be started: {error}") from None
    stack.callback(server.stop, wanted.grace)
    return server, _address(config, port)


def _model(name: str) -> str:
    """What a command is told as its model: one that is shipped by its folder, any other as it was given."""
    shipped = SHIPPED / name
    return str(shipped) if name and os.sep not in name and shipped.is_dir() else name


def _address(config: Config, port: int) -> str:
    server = config.server
    return address(config.target.transport, server.host, port, server.certfile is not None)


def _port(config: Config, say: Callable[[str], None]) -> int:
    """A free one, if the server can be told; else its own, once nobody has it. Raises RunRefused."""
    server = config.server
    if "port" in server.mentions():
        return free_port()
    url = _address(config, server.port)
    if answers(url):
        say(f"      waiting for port {server.port} to be free")
    if not wait_until(lambda: not answers(url), min(PORT_S, server.ready_timeout), 0.1, interrupts.check):
        owner = listener(url)
        by = f" by process {owner}" if owner else ""
        raise RunRefused(f"server.port: {server.port} is taken{by}; end what has it, or let server.cmd take {{port}}")
    return server.port
