"""Which CPUs each worker is pinned to. Pure: a machine as values in, sets of CPUs out.

    spread   CPUs of its own for each worker: whole cores first, sockets in turn
    pack     CPUs of its own for each worker: a core's siblings next to each other, one socket full before the next
    no_smt   one hardware thread of each core, for all workers together
    numa     the CPUs of one node for each worker, nodes in turn by their size

Memory is allocated where it is first written (the kernel's first-touch rule), so that what a pinned worker loads lies
in its own node. What a pool shares between its workers (pool=prefork, pool=thread) lies where it was loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from capsexp.counts import counted

KINDS = ("none", "spread", "pack", "no_smt", "numa")
Pins = frozenset[int]  # numbers of CPUs, as the kernel has them


@dataclass(frozen=True)
class Cpu:
    """A CPU that we may run on. CPUs of the same `core` (a name that only they have) are its hardware threads."""

    number: int
    core: int
    socket: int = 0
    node: int = 0


@dataclass(frozen=True)
class Topology:
    """`cpus`: those that this process may run on; `quota`: of its control groups, in CPUs; `governors`: what decides
    their clocks. `told`: the system says which of them share a core."""

    cpus: tuple[Cpu, ...]
    quota: float | None = None
    governors: frozenset[str] = frozenset()
    told: bool = True

    @property
    def cores(self) -> int:
        return len({cpu.core for cpu in self.cpus})

    @property
    def sockets(self) -> int:
        return len({cpu.socket for cpu in self.cpus})

    @property
    def nodes(self) -> int:
        return len({cpu.node for cpu in self.cpus})

    @property
    def siblings(self) -> int:
        """The most hardware threads that a core offers us."""
        return max((len(own) for own in grouped(self.cpus, lambda cpu: cpu.core)), default=1)

    @property
    def one_each(self) -> tuple[Cpu, ...]:
        """Of each core the first of its hardware threads that we may use."""
        return tuple(own[0] for own in grouped(self.cpus, lambda cpu: cpu.core))


def grouped(cpus: Iterable[Cpu], by: Callable[[Cpu], int]) -> list[tuple[Cpu, ...]]:
    """By core, socket or node: in the order of these, each by its numbers."""
    found: dict[int, list[Cpu]] = {}
    for cpu in sorted(cpus, key=lambda cpu: (by(cpu), cpu.number)):
        found.setdefault(by(cpu), []).append(cpu)
    return [tuple(own) for own in found.values()]


def impossible(machine: Topology, kind: str) -> str | None:
    """Why a placement cannot be had on this machine, or would be what none is, in a line; None where it can."""
    if kind == "none":
        return None
    if not machine.cpus or (kind == "no_smt" and not machine.told):
        return f"placement={kind}: this system does not report its CPUs; leave placement out"
    if kind == "numa" and machine.nodes < 2:
        where = counted(machine.nodes, "NUMA node")
        return f"placement=numa: needs two NUMA nodes, but {where} can be used here; leave placement out"
    if kind == "no_smt" and machine.siblings < 2:
        return (
            f"placement=no_smt: none of the {counted(len(machine.cpus), 'CPU')} here share a core, so it would change "
            "nothing; leave placement out"
        )
    return None


def assign(machine: Topology, workers: int, threads: int, kind: str) -> tuple[Pins, ...] | None:
    """The CPUs of each worker, which runs `threads` threads; None where nobody is pinned. What a worker gets does not
    depend on how many come after it. A quota of CPU time is no matter here: it says how much, and not where.

    Each gets CPUs that the fewest others have; where there are more threads than CPUs, they are shared evenly.
    """
    if kind == "none":
        return None
    if kind == "no_smt":
        return (frozenset(cpu.number for cpu in machine.one_each),) * workers
    if kind == "numa":
        return _by_node(machine, workers)
    use = dict.fromkeys(machine.cpus, 0)  # workers that have it
    found = []
    for _ in range(workers):
        picked = _packed(use, threads) if kind == "pack" else _spread(use, threads)
        for cpu in picked:
            use[cpu] += 1
        found.append(frozenset(cpu.number for cpu in picked))
    return tuple(found)


def _packed(use: dict[Cpu, int], threads: int) -> list[Cpu]:
    return sorted(use, key=lambda cpu: (use[cpu], cpu.socket, cpu.core, cpu.number))[:threads]


def _spread(use: dict[Cpu, int], threads: int) -> list[Cpu]:
    """Within one socket where that costs nobody a CPU of its own, on the socket that has the least to do."""
    everywhere = tuple(use)
    sockets = [own for own in grouped(use, lambda cpu: cpu.socket) if len(own) >= threads]
    choices = [(_least_used(own, use, threads), own) for own in [*sockets, everywhere]]

    def cost(choice: tuple[list[Cpu], tuple[Cpu, ...]]) -> tuple[float, ...]:
        picked, own = choice
        shared = max(use[cpu] for cpu in picked)
        cores = sum(use[cpu] for cpu in use if cpu.core in {one.core for one in picked})
        crosses = len({cpu.socket for cpu in picked}) > 1
        # Of a core's hardware threads we may have one only: sockets are compared by their cores.
        return shared, crosses, cores, sum(use[cpu] for cpu in own) / len({cpu.core for cpu in own})

    return min(choices, key=cost)[0]


def _least_used(own: Sequence[Cpu], use: dict[Cpu, int], threads: int) -> list[Cpu]:
    """One by one: of the CPUs that the fewest have one on the core with the least to do."""
    picked: list[Cpu] = []
    cores = {cpu.core: 0 for cpu in own}
    for cpu in use:
        if cpu.core in cores:
            cores[cpu.core] += use[cpu]
    for _ in range(min(threads, len(own))):
        rest = [cpu for cpu in own if cpu not in picked]
        best = min(rest, key=lambda cpu: (use[cpu], cores[cpu.core], cpu.number))
        picked.append(best)
        cores[best.core] += 1
    return picked


def _by_node(machine: Topology, workers: int) -> tuple[Pins, ...]:
    nodes = grouped(machine.cpus, lambda cpu: cpu.node)
    given = [0] * len(nodes)
    found = []
    for _ in range(workers):
        at = min(range(len(nodes)), key=lambda n: ((given[n] + 1) / len(nodes[n]), n))
        given[at] += 1
        found.append(frozenset(cpu.number for cpu in nodes[at]))
    return tuple(found)


def spelled(cpus: Iterable[int]) -> str:
    """Numbers of CPUs as the kernel lists them: `0-3,8`."""
    runs: list[list[int]] = []
    for number in sorted(cpus):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def listed(text: str) -> Pins:
    """What the kernel's list stands for; raises ValueError."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)
