"""One run: launch server, monitor and client, wait, measure, collect. Whatever happens, nothing is left running and
run.json says what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from capsexp import debug, interrupts
from capsexp.counts import counted
from capsexp.errors import CapsexpError, HarnessError, RunRefused, StorageError
from capsexp.experiment import deadlines, launch, readiness
from capsexp.experiment.child import POLL_S, Child
from capsexp.experiment.launch import Started
from capsexp.experiment.logs import LOG_BYTES
from capsexp.experiment.readiness import Ready
from capsexp.experiment.record import RunRecord
from capsexp.files import bound_log
from capsexp.results import recovery
from capsexp.results.handover import Order
from capsexp.results.read import read_client
from capsexp.results.tables import read_faults, read_requests, read_workers
from capsexp.results.verdicts import Status
from capsexp.runfiles import CLIENT, FAULTS_READY, MONITOR_READY, SAMPLES, SERVER, WARM
from capsexp.waiting import wait_until


def attempt(record: RunRecord, act: Callable[[], None], last: bool = True) -> Status:
    """Do `act` for a run, whose folder is there; returns its status. What goes wrong is recorded, and with `last` also
    that it went well. Raises KeyboardInterrupt and StorageError, after it was recorded, if it can be."""
    debug.keep(record.dir)
    began = time.monotonic()
    try:
        act()
        interrupts.check()
        record.status = Status.OK
    except RunRefused as error:
        record.status, record.error = Status.REFUSED, str(error)
    except StorageError as error:
        record.status, record.error = Status.FAILED, str(error)
        raise
    except HarnessError as error:
        record.status, record.error, record.failure = Status.FAILED, str(error), error.failure
    except CapsexpError as error:
        record.status, record.error = Status.FAILED, str(error)
    except KeyboardInterrupt:
        record.status, record.error = Status.INTERRUPTED, "interrupted"
        raise
    except Exception as error:  # one run's surprise must not take the others with it
        if interrupts.came():  # a library made it of the interrupt
            record.status, record.error = Status.INTERRUPTED, "interrupted"
            raise KeyboardInterrupt from error
        record.status, record.error, record.failure = Status.FAILED, debug.told(error), "harness"
    finally:
        with interrupts.deferred():
            record.phases.setdefault("total", time.monotonic() - began)
            if last or record.status != Status.OK:
                record.finish()
            else:
                record.phases.pop("total")
            debug.keep(None)
    return record.status


CARE_S = 1.0  # between two looks after the run's folder, while the client is at work


class RunExecution:
    """What `perform` does, in a folder that holds nothing of a run yet; `say` is told what a user should see."""

    def __init__(self, record: RunRecord, say: Callable[[str], None]) -> None:
        self._record, self._config, self._dir, self._say = record, record.config, record.dir, say
        self._zero, self._saved = time.monotonic(), 0
        self._stopping: float | None = None  # since when

    def perform(self) -> None:
        """Raises what `attempt` knows."""
        config, phases = self._config, self._record.phases
        self._zero = time.monotonic()  # the run's own clock begins here
        try:
            with launch.taken_down() as stack:
                stack.callback(self._end_stop)
                with self._phase("launch"):
                    started = launch.start(config, self._dir, self._told(), stack, self._say)
                with self._phase("load_models"):
                    ready = self._wait_ready(started)
                with self._phase("load"):
                    self._load(started, ready)
                if started.injector is not None:
                    self._end_faults(started.injector, started.server)
                else:
                    self._look_for_deaths()
                if started.server is not None and not started.server.alive():
                    self._record.warnings.append(self._death(started.server))
                self._stopping = time.monotonic()
                watched = started.monitor.alive()
                started.monitor.stop(config.server.grace)  # first, so that its last tick still sees everybody
            self._check(started, watched)
        finally:
            phases["total"] = time.monotonic() - self._zero

    def _told(self) -> tuple[str, ...]:
        return launch.told(replace(self._config, load=self._record.load), self._dir, self._zero)

    def _wait_ready(self, started: Started) -> Ready:
        wanted, look = self._config.server, self._check_folder
        ready = readiness.of_server(started.server, started.url, wanted, self._dir / SERVER, look)
        self._record.ready = time.monotonic() - self._zero
        self._record.about = ready.about
        self._record.warnings += ready.warnings
        self._record.pinned = ready.pinned
        if ready.workers is not None:
            self._record.workers = ready.workers
        signs = [(started.monitor, MONITOR_READY), (started.client, SAMPLES)]
        if started.injector is not None:
            signs.append((started.injector, FAULTS_READY))
        for child, name in signs:
            readiness.of_tool(self._dir / name, child, wanted.ready_timeout, look)
        if wanted.name != "local":  # ours loads and warms its workers by itself
            firsts = self._record.workers or 1
            started.client.say(Order(url=ready.url, workers=firsts).line())
            within_s = deadlines.first_requests(self._config)
            readiness.of_first_requests(self._dir / WARM, started.client, started.server, within_s, look)
            self._record.ready = time.monotonic() - self._zero
        return ready

    def _load(self, started: Started, ready: Ready) -> None:
        config, client = self._config, started.client
        for child in (client, started.injector):
            if child is not None:
                child.say(Order(url=ready.url, connections=ready.connections).line())
        if not client.done(deadlines.load(config), self._look_after, CARE_S):
            raise HarnessError(f"the client did not end within load.timeout = {config.load.timeout:g} s")

    def _check(self, started: Started, watched: bool) -> None:
        """Whether all that was needed was there to the end."""
        client, monitor, server = started.client, started.monitor, started.server
        for child in (client, monitor, *([server] if server is not None else [])):
            child.check_storage()
        if not watched:
            raise readiness.ended_early(monitor, "the monitor")
        if client.process.returncode or (facts := read_client(self._dir)) is None:
            raise readiness.ended_early(client, "the client")
        for line in facts.warnings:
            self._record.warnings.append(line)
            self._say(f"      warning: {line}")

    def _death(self, server: Child) -> str:
        """Of a server that did not outlive its load."""
        each = [(int(row["count"] or 1), row["status"]) for row in read_requests(self._dir)]
        answered, total = sum(n for n, status in each if status == "ok"), sum(n for n, _ in each)
        return (
            f"{readiness.how_it_ended(server, ' during the load')}, when {answered} of {counted(total, 'request')} "
            f"were answered: {server.last_lines()}"
        )

    def _look_for_deaths(self) -> None:
        """Nobody was to harm a worker: one that died was replaced, and its figures hold what that took."""
        events = read_workers(self._dir)
        died = [f"worker {event['worker']} ({event['reason']})" for event in events if event["event"] == "died"]
        if died:
            more = f" and {len(died) - 3} more" if len(died) > 3 else ""
            self._record.warnings.append(f"died and had to be replaced: {', '.join(died[:3])}{more}; see server.log")

    def _end_faults(self, injector: Child, server: Child | None) -> None:
        """Stop harming the server, and give it a moment to be whole again, so that it is known how long that takes."""
        injector.stop(self._config.server.grace)
        injected = read_faults(self._dir)
        if not injected:
            fault = self._config.fault
            self._record.warnings.append(
                f"fault={fault.name}: no fault was injected, as the load ended before fault.at_s = {fault.at_s:g} s or "
                f"no worker was found: {injector.last_lines()}"
            )

        def whole() -> bool:
            gone = server is None or not server.alive()
            return gone or not recovery.awaited(injected, read_workers(self._dir))

        if not self._config.fault.keeps_away:
            wait_until(whole, self._config.server.grace, 10 * POLL_S)

    def _look_after(self) -> None:
        """While the client is at work: its folder is there, and hours do not pass without a report."""
        self._check_folder()
        saved = self._dir / CLIENT
        if self._config.hours is not None and saved.is_file() and (now := saved.stat().st_mtime_ns) != self._saved:
            self._saved = now
            minutes = (time.monotonic() - self._zero) / 60
            self._record.write(Status.RUNNING, f"a checkpoint, {minutes:.1f} min after its start")

    def _check_folder(self) -> None:
        """What we wait for is said by files in it, the log that several write is small, and nobody wants us to end."""
        interrupts.check()
        if not self._dir.is_dir():
            raise StorageError(f"cannot write {self._dir.name}: No such file or directory")
        bound_log(self._dir / debug.FILE, LOG_BYTES)  # the others are bounded while they are written

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._record.phases[name] = time.monotonic() - began

    def _end_stop(self) -> None:
        if self._stopping is not None:
            self._record.phases["stop"] = time.monotonic() - self._stopping
