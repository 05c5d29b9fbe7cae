"""Judges what was seen of a machine: what is fine, good to know, or to be fixed before an experiment. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from capsexp.counts import counted
from capsexp.placement import Topology, spelled

OK, NOTE, MEND = "ok", "note", "mend"
BUSY = 0.1  # of all CPUs, used by others, that spoils what is measured
STOLEN = 0.02  # of all CPU time, taken by the host of a virtual machine
ROOM_MB = 1024.0  # of memory, for server, client and monitor with a small model
DISK_MB = 500.0  # for the files of a sweep
SWAPPED_MB = 256.0
FEWEST_FILES = 1024
COARSEST_S = 1e-3  # of a clock
STEADY = frozenset({"performance"})  # governors under which the clock does not follow the load
GOOD_CLOCKS = frozenset({"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"})


@dataclass(frozen=True)
class Finding:
    """`level`: ok, note (good to know) or mend (else what is measured is wrong or impossible); `remedy`: what to do."""

    level: str
    what: str
    said: str
    remedy: str | None = None


@dataclass(frozen=True)
class Machine:
    """What was seen. None: this system does not tell. `cpus`: that may be used at once; `topology`: of those that we
    may run on. Memory in MB. `busy` and `stolen` are shares of all CPUs over a moment, `hogs` CPUs used then by others,
    by name. `engine`: of the configuration, `engines`: the others; with why each cannot be used, or None."""

    cpus: float
    topology: Topology = field(default_factory=lambda: Topology(()))
    total_mb: float = 0.0
    available_mb: float = 0.0
    swap_used_mb: float = 0.0
    busy: float | None = None
    stolen: float | None = None
    hogs: Mapping[str, float] = field(default_factory=dict)
    clock: str | None = None
    clock_s: float = 1e-9
    files: int | None = None
    disk_mb: float | None = None
    port: int = 6016
    port_owner: str | None = None
    ffmpeg: bool = False
    engine: tuple[str, str | None] | None = None
    engines: Mapping[str, str | None] = field(default_factory=dict)
    gpu: str | None = None  # why there is none
    nvidia: bool = False  # a GPU of NVIDIA's is there, whether it can be asked or not


def findings(seen: Machine) -> list[Finding]:
    """What is worth knowing of a machine before measuring on it."""
    return [finding for rule in _RULES for finding in rule(seen)]


def fit(found: Sequence[Finding]) -> bool:
    """Whether nothing has to be mended."""
    return all(finding.level != MEND for finding in found)


def _cpus(seen: Machine) -> Iterator[Finding]:
    if seen.cpus < 2:
        yield Finding(
            MEND, "CPUs", f"{counted(seen.cpus, 'CPU')} may be used: more workers than one cannot pay here",
            "give the machine or container two CPUs or more",
        )  # fmt: skip
    else:
        yield Finding(OK, "CPUs", f"{counted(seen.cpus, 'CPU')} may be used")


def _siblings(seen: Machine) -> Iterator[Finding]:
    if seen.topology.siblings > 1:
        one_each = spelled(cpu.number for cpu in seen.topology.one_each)
        yield Finding(
            NOTE, "cores", f"these CPUs are siblings on {counted(seen.topology.cores, 'core')} (SMT): two workers may "
            "share one, and bring less than twice", "to measure whole cores: placement=no_smt (server=local), or "
            f"taskset -c {one_each} python -m capsexp ...",
        )  # fmt: skip


def _quota(seen: Machine) -> Iterator[Finding]:
    quota, cpus = seen.topology.quota, len(seen.topology.cpus)
    if quota is not None and quota < max(1, cpus):
        yield Finding(
            NOTE, "quota", f"a control group allows {quota:g} of {counted(cpus, 'CPU')}, in turns: "
            "a process that has used up its share is paused", "give whole CPUs instead (docker run --cpuset-cpus=0,1)",
        )  # fmt: skip


def _others(seen: Machine) -> Iterator[Finding]:
    if seen.busy is None:
        return
    if seen.busy >= BUSY:
        named = sorted(seen.hogs.items(), key=lambda pair: -pair[1])[:3]
        who = f" ({', '.join(f'{name} {cpus:.2f}' for name, cpus in named)})" if named else ""
        yield Finding(
            MEND, "other programs", f"they use {100 * seen.busy:.0f} % of the CPUs{who}: runs will be INVALID",
            "end them, or wait until they are done",
        )  # fmt: skip
    else:
        yield Finding(OK, "other programs", f"they use {100 * seen.busy:.0f} % of the CPUs")
    if seen.stolen is not None and seen.stolen >= STOLEN:
        yield Finding(
            MEND, "host", f"it takes {100 * seen.stolen:.0f} % of this virtual machine's CPU time",
            "measure when its other guests are quiet, or on CPUs of your own",
        )  # fmt: skip


def _governor(seen: Machine) -> Iterator[Finding]:
    if loose := sorted(seen.topology.governors - STEADY):
        yield Finding(
            NOTE, "clock of the CPUs", f"governor {', '.join(loose)}: it follows the load, so that trials differ more",
            "sudo cpupower frequency-set -g performance",
        )  # fmt: skip


def _clock(seen: Machine) -> Iterator[Finding]:
    if seen.clock_s > COARSEST_S:
        yield Finding(MEND, "clock", f"it moves in steps of {1000 * seen.clock_s:g} ms", "measure on another system")
    elif seen.clock is not None and seen.clock not in GOOD_CLOCKS:
        yield Finding(
            NOTE, "clock", f"its source is {seen.clock}, which is slow to read",
            "if tsc is listed in /sys/devices/system/clocksource/clocksource0/available_clocksource, choose it",
        )  # fmt: skip


def _memory(seen: Machine) -> Iterator[Finding]:
    said = f"{seen.available_mb / 1024:.1f} of {seen.total_mb / 1024:.1f} GB are free"
    if seen.available_mb < ROOM_MB:
        yield Finding(MEND, "memory", said, "end the programs that use it, or raise the container's limit")
    else:
        yield Finding(OK, "memory", said)


def _swap(seen: Machine) -> Iterator[Finding]:
    if seen.swap_used_mb >= SWAPPED_MB:
        yield Finding(
            NOTE, "swap", f"{seen.swap_used_mb:.0f} MB are in it: what is read back while something is measured makes "
            "that run INVALID", "make memory free, then sudo swapoff -a",
        )  # fmt: skip


def _files(seen: Machine) -> Iterator[Finding]:
    if seen.files is not None and seen.files < FEWEST_FILES:
        yield Finding(
            MEND, "open files", f"at most {seen.files}: fewer connections than a load may want",
            f"ulimit -n {4 * FEWEST_FILES}",
        )  # fmt: skip


def _disk(seen: Machine) -> Iterator[Finding]:
    if seen.disk_mb is not None and seen.disk_mb < DISK_MB:
        yield Finding(
            MEND, "disk", f"{seen.disk_mb:.0f} MB are free in this folder, where outputs/ is written", "make room, or "
            "give hydra.sweep.dir=FOLDER",
        )  # fmt: skip


def _port(seen: Machine) -> Iterator[Finding]:
    if seen.port_owner is not None:
        yield Finding(
            NOTE, f"port {seen.port}", f"{seen.port_owner} listens there; sweeps use free ports and are not affected",
            f"to measure it: server=external server.url=ws://127.0.0.1:{seen.port}; to start ours beside it: "
            f"python -m capsexp.server server.port={seen.port + 1}",
        )  # fmt: skip


def _audio(seen: Machine) -> Iterator[Finding]:
    if seen.ffmpeg:
        yield Finding(OK, "audio", "ffmpeg is there: whatever it reads can be a sample")
    else:
        yield Finding(
            NOTE, "audio", "without ffmpeg, WAV, FLAC, OGG and MP3 are read, and no video or M4A",
            "install ffmpeg (Debian: apt install ffmpeg)",
        )  # fmt: skip


def _engines(seen: Machine) -> Iterator[Finding]:
    name, why = seen.engine or ("", None)
    if seen.engine is None:
        return
    if why is None:
        yield Finding(OK, f"engine={name}", "recognizes")
    else:
        yield Finding(MEND, f"engine={name}", "cannot be used", why)
    usable = sorted(other for other, reason in seen.engines.items() if reason is None and other != name)
    if usable:
        yield Finding(OK, "engines", f"as well: {', '.join(usable)}")
    for other, reason in sorted(seen.engines.items()):
        if reason is not None and other != name:
            yield Finding(NOTE, f"engine={other}", "cannot be used as it is", reason)


def _gpu(seen: Machine) -> Iterator[Finding]:
    if seen.gpu is None:
        yield Finding(OK, "GPU", "it can be monitored")
    elif seen.nvidia:
        yield Finding(NOTE, "GPU", "it is there but cannot be monitored", seen.gpu)
    else:
        yield Finding(OK, "GPU", "none of NVIDIA's; engines use the CPU")


_RULES = (
    _cpus, _siblings, _quota, _others, _governor, _clock, _memory, _swap, _files, _disk, _port, _audio, _engines, _gpu,
)  # fmt: skip
