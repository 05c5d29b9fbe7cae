"""One run: launch server, monitor and client, wait, measure, collect. Whatever happens, nothing is left running and
run.json says what happened."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from capsexp import commandline, debug, interrupts
from capsexp.client.request import port_of
from capsexp.config import Config, LoadConfig, to_dict, to_yaml, worker_count
from capsexp.errors import CapsexpError, HarnessError, RunRefused, ServerError, StorageError
from capsexp.experiment import control, environment
from capsexp.experiment.child import POLL_S, Child, Foreign, group_of, python
from capsexp.experiment.fingerprint import fingerprint
from capsexp.experiment.logs import LOG_BYTES
from capsexp.experiment.repeats import Reference, foretold
from capsexp.files import bound_log, read_json, storing, sync_tree, write_json, write_text
from capsexp.machine import usable_cpus
from capsexp.protocol import in_url
from capsexp.results import recovery
from capsexp.results.run import SCHEMA
from capsexp.results.tables import read_rows, sizes
from capsexp.tool import TOKEN

PORT_S = 30.0  # for the port of a server that cannot be told one to be free
EXTERNAL_S = 10.0  # for a server that runs already to answer


@dataclass(frozen=True)
class Planned:
    """A run that a sweep is to make: its number, its directory's name, its key without trial, its overrides."""

    num: int
    dir: str
    key: str
    trial: int
    overrides: tuple[str, ...]
    config: Config = field(repr=False)


def execute(
    plan: Planned,
    config: Config,
    run_dir: Path,
    sweep_workers: Sequence[int],
    say: Callable[[str], None],
    settle: Callable[[Config, Reference | None], LoadConfig],
    checkpoint: Callable[[], None] = lambda: None,
) -> str:
    """Make a run in `run_dir`, which is there and holds nothing of a run yet; returns its status. `settle` says what
    load it makes. With hours=, `checkpoint` is called whenever run.json says more. Raises KeyboardInterrupt and
    StorageError, after the run was taken down and, if it can be, recorded."""
    run = _Run(plan, config, run_dir, sweep_workers, say, settle, checkpoint)
    debug.keep(run_dir)
    try:
        run.perform()
        run.status = "ok"
    except RunRefused as error:
        run.status, run.error = "refused", str(error)
    except StorageError as error:
        run.status, run.error = "failed", str(error)
        raise
    except HarnessError as error:
        run.status, run.error, run.failure = "failed", str(error), "harness"
    except CapsexpError as error:
        run.status, run.error = "failed", str(error)
    except KeyboardInterrupt:
        run.status, run.error = "interrupted", "interrupted"
        raise
    except Exception as error:  # one run's surprise must not take the others with it
        run.status, run.error, run.failure = "failed", debug.told(error), "harness"
    finally:
        with interrupts.deferred():
            run.record()
            debug.keep(None)
    return run.status


class _Run:
    def __init__(
        self,
        plan: Planned,
        config: Config,
        run_dir: Path,
        sweep_workers: Sequence[int],
        say: Callable[[str], None],
        settle: Callable[[Config, Reference | None], LoadConfig],
        checkpoint: Callable[[], None],
    ) -> None:
        self.settle, self.load = settle, config.load
        self.checkpoint, self.saved = checkpoint, 0
        self.plan, self.config, self.dir, self.sweep_workers, self.say = plan, config, run_dir, sweep_workers, say
        self.zero = time.monotonic()
        self.status, self.error = "failed", ""
        self.failure: str | None = None  # `harness`: it says nothing of the server
        self.control: str | None = None
        self.phases: dict[str, float] = {}
        self.ready: float | None = None
        # A server that runs already has as many as whoever started it chose.
        self.workers = worker_count(config.workers) if config.server.name != "external" else None
        self.warnings: list[str] = []
        self.about: dict[str, Any] = {}
        self.admitted: int | None = None  # connections that our server takes
        self.fingerprint = fingerprint(config)

    def perform(self) -> None:
        config = self.config
        if config.control.name == "on":
            with self._phase("control"):
                self.control = control.ensure(config, self.dir.parent, self.sweep_workers)
        self._settle_load()
        self.zero = time.monotonic()  # the run's own clock begins here: the control is not part of it
        with _taken_down() as stack:
            stack.callback(self._end_stop)
            with self._phase("launch"):
                with storing(".pids"):
                    (self.dir / ".pids").mkdir()
                resolved = self.dir / ".config.yaml"
                port = 0 if config.server.name == "local" else config.server.port  # ours takes a free one
                write_text(resolved, to_yaml(replace(config, load=self.load, server=replace(config.server, port=port))))
                common = (
                    "--config",
                    str(resolved),
                    "--run-dir",
                    str(self.dir),
                    "--zero",
                    repr(self.zero),
                    "--stdin-guard",
                )
                server, url = self._launch_server(common, stack)
                secret = {TOKEN: config.server.token or ""}
                client = Child(
                    python("capsexp.client", *common), self.dir / "client.log", env={**_progress_env(), **secret}
                )
                stack.callback(client.stop, config.server.grace)
                with storing(".pids"):
                    (self.dir / ".pids" / str(client.pid)).write_text("client 0")
                root = server.root if server is not None else _listener(url)
                watch = ("--watch", f"gateway:{root}") if root else ()
                monitor = Child(python("capsexp.monitor", *common, *watch), self.dir / "monitor.log", env=secret)
                stack.callback(monitor.stop, config.server.grace)
                injector = self._injector(*common, *watch)
                if injector is not None:
                    stack.callback(injector.stop, config.server.grace)
            with self._phase("load_models"):
                url = self._wait_ready(server, url)
                self._wait_for(self.dir / ".monitor-ready", monitor)
                self._wait_for(self.dir / "samples.json", client)
                if injector is not None:
                    self._wait_for(self.dir / ".faults-ready", injector)
            with self._phase("load"):
                for child in (client, injector):
                    if child is not None:
                        child.say(json.dumps({"url": url, "connections": self.admitted}))
                deadline = time.monotonic() + 3600 * (config.hours or 0.0) + config.load.timeout + 30
                while not client.wait(1.0) and time.monotonic() < deadline:
                    self._look_after()
                if client.alive():
                    raise HarnessError(f"the client did not end within load.timeout = {config.load.timeout:g} s")
            if injector is not None:
                self._end_faults(injector, server)
            else:
                self._look_for_deaths()
            if server is not None and not server.alive():
                self.warnings.append(f"the server ended during the load: {server.last_lines()}")
            self.phases["stop"] = -time.monotonic()
            watched = monitor.alive()
            monitor.stop(config.server.grace)  # first, so that its last tick still sees everybody
        for child in (client, monitor, *([server] if server is not None else [])):
            child.check_storage()
        if not watched:
            raise HarnessError(f"the monitor ended with code {monitor.process.returncode}: {monitor.last_lines()}")
        if client.process.returncode or not (self.dir / "client.json").is_file():
            raise HarnessError(f"the client ended with code {client.process.returncode}: {client.last_lines()}")
        for line in read_json(self.dir / "client.json")["warnings"]:
            self.warnings.append(line)
            self.say(f"      warning: {line}")

    def _settle_load(self) -> None:
        """How much is sent, and whether that can be done in time."""
        record = self.dir.parent / "control" / (self.control or "none") / "control.json"
        reference = Reference.of(read_json(record)) if self.control else None
        self.load = self.settle(self.config, reference)
        if reference is not None and (warning := foretold(self.config, self.load, reference, usable_cpus())):
            self.warnings.append(warning)
            self.say(f"      warning: {warning}")

    def _launch_server(self, common: tuple[str, ...], stack: ExitStack) -> tuple[Child | None, str]:
        config = self.config.server
        log = self.dir / "server.log"
        if config.name == "external":
            return None, config.url or ""
        if config.name == "local":
            server = Child(python("capsexp.server", *common), log, env={TOKEN: config.token or ""})
            stack.callback(server.stop, config.grace)
            return server, ""
        port = self._port()
        try:
            line = commandline.fill(
                config.cmd or "", workers=self.config.workers, threads=self.config.threads, port=port, host=config.host
            )
            server = Foreign(shlex.split(line), log)
        except (OSError, ValueError) as error:
            raise ServerError(f"server.cmd cannot be started: {error}") from None
        stack.callback(server.stop, config.grace)
        return server, f"ws://{in_url(config.host)}:{port}"

    def _port(self) -> int:
        """A free one, if the server can be told; else its own, once nobody has it. Raises RunRefused."""
        server = self.config.server
        if "port" in commandline.mentioned(server.cmd or ""):
            return _free_port()
        url = f"ws://{in_url(server.host)}:{server.port}"
        deadline = time.monotonic() + min(PORT_S, server.ready_timeout)
        if _answers(url):
            self.say(f"      waiting for port {server.port} to be free")
        while _answers(url):
            if time.monotonic() > deadline:
                owner = _listener(url)
                by = f" by process {owner}" if owner else ""
                raise RunRefused(
                    f"server.port: {server.port} is taken{by}; end what has it, or let server.cmd take {{port}}"
                )
            time.sleep(0.1)
        return server.port

    def _injector(self, *arguments: str) -> Child | None:
        """Who does what `fault=` names."""
        if self.config.fault.name == "none":
            return None
        child = Child(
            python("capsexp.experiment.faults", *arguments),
            self.dir / "faults.log",
            env={TOKEN: self.config.server.token or ""},
        )
        with storing(".pids"):
            (self.dir / ".pids" / str(child.pid)).write_text("fault 0")
        return child

    def _look_for_deaths(self) -> None:
        """Nobody was to harm a worker: one that died was replaced, and its figures hold what that took."""
        events = read_rows(self.dir / "workers.csv")
        died = [f"worker {event['worker']} ({event['reason']})" for event in events if event["event"] == "died"]
        if died:
            more = f" and {len(died) - 3} more" if len(died) > 3 else ""
            self.warnings.append(f"died and had to be replaced: {', '.join(died[:3])}{more}; see server.log")

    def _end_faults(self, injector: Child, server: Child | None) -> None:
        """Stop harming the server, and give it a moment to be whole again, so that it is known how long that takes."""
        injector.stop(self.config.server.grace)
        injected = read_rows(self.dir / "faults.csv")
        if not injected:
            self.warnings.append(
                f"fault={self.config.fault.name}: nothing was done, as the load ended before fault.at_s = "
                f"{self.config.fault.at_s:g} s or there was no worker to be found: {injector.last_lines()}"
            )
        deadline = time.monotonic() + self.config.server.grace
        while time.monotonic() < deadline and server is not None and server.alive():
            events = read_rows(self.dir / "workers.csv")
            if not recovery.awaited(injected, events):
                break
            time.sleep(10 * POLL_S)

    def _wait_ready(self, server: Child | None, url: str) -> str:
        """Until all workers have loaded (our server says so) or the port answers (anybody else's)."""
        timeout = self.config.server.ready_timeout
        if server is None:
            timeout = min(timeout, EXTERNAL_S)  # it runs already
        deadline = time.monotonic() + timeout
        said = self.dir / "server.json"
        while True:
            if not url and said.is_file():
                answer = read_json(said)
                if "error" in answer:
                    raise (RunRefused if answer["refused"] else ServerError)(answer["error"])
                self.workers, self.warnings = len(answer["workers"]), self.warnings + answer["warnings"]
                self.about, self.admitted = answer["engine"], answer.get("connections")
                scheme = "wss" if self.config.server.certfile else "ws"
                url = f"{scheme}://{in_url(self.config.server.host)}:{answer['port']}"
                break
            if server is not None and not server.alive():
                server.check_storage()
                raise ServerError(
                    f"the server ended with code {server.process.returncode} before it was ready: {server.last_lines()}"
                )
            if url and _answers(url):
                stranger = _listener(url) if server is not None else None
                if server is not None and stranger is not None and not _belongs(stranger, server):
                    raise ServerError(
                        f"{url} is another process's (pid {stranger}), which took the port before server.cmd had it, "
                        "or server.cmd does not stay in the foreground; run again"
                    )
                break
            self._check_folder()
            if time.monotonic() > deadline:
                what = f"{url}: no connection; is the server running?" if server is None else server.last_lines()
                raise ServerError(f"the server was not ready in server.ready_timeout = {timeout:g} s: {what}")
            time.sleep(POLL_S)
        self.ready = time.monotonic() - self.zero
        return url

    def _wait_for(self, path: Path, child: Child) -> None:
        """Until a process of ours says that it is ready. That it fails says nothing of the server."""
        deadline = time.monotonic() + self.config.server.ready_timeout
        while not path.is_file():
            if not child.alive():
                child.check_storage()
                raise HarnessError(f"{child.log.stem} ended with code {child.process.returncode}: {child.last_lines()}")
            self._check_folder()
            if time.monotonic() > deadline:
                raise HarnessError(f"{path.stem} was not ready in time: {child.last_lines()}")
            time.sleep(POLL_S)

    def _look_after(self) -> None:
        """While the client is at work: its folder is there, logs stay small, and hours do not pass without a report."""
        self._check_folder()
        saved = self.dir / "client.json"
        if self.config.hours is not None and saved.is_file() and (now := saved.stat().st_mtime_ns) != self.saved:
            self.saved = now
            run = self._described(
                "running", f"a checkpoint, {(time.monotonic() - self.zero) / 60:.1f} min after its start"
            )
            write_json(self.dir / "run.json", run)
            self.checkpoint()

    def _check_folder(self) -> None:
        """What we wait for is said by files in it, and its logs stay small."""
        if not self.dir.is_dir():
            raise StorageError(f"cannot write {self.dir.name}: No such file or directory")
        self._bound_logs()

    def _bound_logs(self) -> None:
        bound_log(self.dir / debug.FILE, LOG_BYTES)  # the others are bounded while they are written

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = time.monotonic() - began

    def _end_stop(self) -> None:
        if "stop" in self.phases:
            self.phases["stop"] += time.monotonic()

    def record(self) -> None:
        """Write run.json from what there is, and remove what only the run itself needed."""
        self.phases["total"] = time.monotonic() - self.zero
        self._bound_logs()  # what was said on the way down, too
        run = self._described(self.status, self.error)
        with storing(self.dir.name):
            for pid in (self.dir / ".pids").glob("*"):
                pid.unlink()
            if (self.dir / ".pids").is_dir():
                (self.dir / ".pids").rmdir()
            for name in (".config.yaml", ".monitor-ready", ".faults-ready", "samples.json"):
                (self.dir / name).unlink(missing_ok=True)
        sync_tree(self.dir)  # a run.json says that the others are there
        write_json(self.dir / "run.json", run)

    def _described(self, status: str, error: str) -> dict[str, Any]:
        config, plan = self.config, self.plan
        client = _json(self.dir / "client.json")
        described = _json(self.dir / "samples.json") or {"samples": [], "skipped": []}
        window = {"ready": self.ready, "start": client and client["start_s"], "end": client and client["end_s"]}
        return {
            "schema": SCHEMA, "num": plan.num, "key": plan.key, "trial": plan.trial, "name": config.name,
            "status": status, "error": error or None, "failure": self.failure,
            "workers": self.workers, "workers_requested": config.workers, "threads": config.threads,
            "pool": config.pool.name, "engine": config.engine.name, "engine_about": self.about,
            "twin": config.engine.is_twin(), "one_core": config.engine.one_core, "speaks": config.engine.speaks,
            "tells": sorted(config.target.tells), "dispatch": config.server.dispatch,
            "repeats": self.load.repeats, "concurrency": self.load.concurrency,
            "server": config.server.name, "config": to_dict(config), "control": self.control,
            "phases_s": {name: round(seconds, 6) for name, seconds in self.phases.items()},
            "window_s": window, "order_seed": client and client["order_seed"], **described,
            "cpu_count": usable_cpus(), "machine_cpus": psutil.cpu_count() or 1,
            "warnings": self.warnings,
            "fingerprint": self.fingerprint, "environment": environment.of_run(config), "tables": sizes(self.dir),
        }  # fmt: skip


@contextmanager
def _taken_down() -> Iterator[ExitStack]:
    """What is pushed is undone to the end: a second Ctrl-C waits, or it would leave half of it running."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        with interrupts.deferred():
            stack.close()


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _answers(url: str) -> bool:
    return not unreachable(url, 1.0)


def unreachable(url: str, timeout: float) -> str:
    """Why nobody can be reached at an address; nothing if somebody can."""
    try:
        socket.create_connection((urlsplit(url).hostname or "127.0.0.1", port_of(url)), timeout=timeout).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def _listener(url: str) -> int | None:
    """The process behind an external server's port, when it is on this machine and may be looked at."""
    port = port_of(url)
    if not _is_here(urlsplit(url).hostname or "127.0.0.1"):
        return None
    try:
        found = (
            c.pid for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr[1:] == (port,)
        )
        return next((pid for pid in found if pid), None)
    except psutil.Error:
        return None


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        wanted = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    mine = {address.address for card in psutil.net_if_addrs().values() for address in card}
    return any(ipaddress.ip_address(a.partition("%")[0]).is_loopback or a in mine for a in wanted)


def _belongs(pid: int, server: Child) -> bool:
    """Whether a process is a server's, or of its group, or below it."""
    try:
        if pid == server.root or group_of(pid) == server.pid:
            return True
        return server.root in (p.pid for p in psutil.Process(pid).parents())
    except psutil.Error:
        return False


def _progress_env() -> dict[str, str]:
    """The terminal, for the client's progress line: its own output goes to its log."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return {"CAPSEXP_TTY": os.ttyname(2)}
    return {}
