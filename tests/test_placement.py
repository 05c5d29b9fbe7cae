"""Which CPUs a worker is pinned to: on made-up machines as values and as trees of files, and on this one."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from capsexp import topology
from capsexp.placement import Cpu, Topology, assign, impossible, listed, spelled


@st.composite
def machines(draw: st.DrawFn) -> Topology:
    """One or two sockets, with or without siblings, some CPUs offline or not ours, numbered as Linux does: first all
    first hardware threads, then the others."""
    sockets, cores, smt = draw(st.integers(1, 2)), draw(st.integers(1, 6)), draw(st.integers(1, 2))
    split = draw(st.integers(1, 2))  # nodes of a socket
    every = [
        Cpu(number=(thread * sockets + socket) * cores + core, core=socket * cores + core, socket=socket,
            node=socket * split + core * split // cores)
        for thread in range(smt) for socket in range(sockets) for core in range(cores)
    ]  # fmt: skip
    ours = draw(st.lists(st.sampled_from(every), min_size=1, unique=True)) if draw(st.booleans()) else every
    return Topology(tuple(sorted(ours, key=lambda cpu: cpu.number)), draw(st.none() | st.floats(0.5, 8)))


KINDS = st.sampled_from(["spread", "pack", "no_smt", "numa"])


@given(machines(), st.integers(1, 12), st.integers(1, 5), KINDS)
def test_every_worker_gets_cpus_of_ours_whoever_comes_after_it(
    machine: Topology, workers: int, threads: int, kind: str
) -> None:
    ours = {cpu.number for cpu in machine.cpus}
    pins = assign(machine, workers, threads, kind)
    assert pins is not None and len(pins) == workers
    assert all(own and own <= ours for own in pins)
    assert assign(machine, workers + 3, threads, kind)[:workers] == pins  # type: ignore[index]
    assert assign(machine, workers, threads, "none") is None


@given(machines(), st.integers(1, 12), st.integers(1, 5), st.sampled_from(["spread", "pack"]))
def test_each_has_as_many_cpus_as_threads_and_they_are_shared_evenly(
    machine: Topology, workers: int, threads: int, kind: str
) -> None:
    pins = assign(machine, workers, threads, kind)
    assert pins is not None
    size = min(threads, len(machine.cpus))
    assert {len(own) for own in pins} == {size}
    use = Counter(cpu for own in pins for cpu in own)
    if workers * size <= len(machine.cpus) and (kind == "pack" or threads == 1):
        assert set(use.values()) == {1}  # a CPU of its own for every thread
    if kind == "pack" or threads == 1:
        assert max(use.values()) - min(use[cpu.number] for cpu in machine.cpus) <= 1


_HALF_WITH_SIBLINGS = Topology(
    tuple(Cpu(number=n, core=n % 8, socket=n % 8 // 4, node=n % 8 // 4) for n in range(12))  # of the first socket only
)


@given(machines(), st.integers(1, 12))
@example(_HALF_WITH_SIBLINGS, 4)
def test_spread_takes_whole_cores_first_and_sockets_in_turn(machine: Topology, workers: int) -> None:
    assume(workers <= machine.cores)
    pins = assign(machine, workers, 1, "spread")
    assert pins is not None
    by_number = {cpu.number: cpu for cpu in machine.cpus}
    used = [by_number[number] for own in pins for number in own]
    assert len({cpu.core for cpu in used}) == workers
    if {Counter(cpu.socket for cpu in machine.one_each).get(s) for s in range(2)} == {machine.cores / 2}:
        at = Counter(cpu.socket for cpu in used)
        assert abs(at[0] - at[1]) <= 1


@given(machines(), st.integers(1, 6), st.integers(1, 3))
def test_pack_fills_cores_and_sockets_one_after_the_other(machine: Topology, workers: int, threads: int) -> None:
    assume(workers * threads <= len(machine.cpus))
    pins = assign(machine, workers, threads, "pack")
    assert pins is not None
    used, free = set().union(*pins), {cpu.number for cpu in machine.cpus}.difference(*pins)
    cpus = {cpu.number: cpu for cpu in machine.cpus}
    begun = {cpus[number].core for number in used} & {cpus[number].core for number in free}
    assert len(begun) <= 1
    touched = {cpus[number].socket for number in used}
    assert len(touched) == 1 or not any(cpus[number].socket == min(touched) for number in free)


@given(machines(), st.integers(1, 6), st.integers(1, 3))
def test_no_smt_is_one_hardware_thread_of_each_core(machine: Topology, workers: int, threads: int) -> None:
    pins = assign(machine, workers, threads, "no_smt")
    assert pins is not None and len(set(pins)) == 1
    assert Counter(cpu.core for cpu in machine.cpus if cpu.number in pins[0]) == dict.fromkeys(
        {cpu.core for cpu in machine.cpus}, 1
    )


@given(machines(), st.integers(1, 12))
def test_numa_keeps_each_worker_within_a_node_and_the_nodes_even(machine: Topology, workers: int) -> None:
    pins = assign(machine, workers, 1, "numa")
    assert pins is not None
    node = {cpu.number: cpu.node for cpu in machine.cpus}
    assert all(len({node[number] for number in own}) == 1 for own in pins)
    size, given_ = Counter(node.values()), Counter(node[min(own)] for own in pins)
    for one in size:
        assert given_[one] <= -(-workers * size[one] // len(machine.cpus)) + 1


@given(machines(), KINDS)
def test_what_would_be_what_none_is_cannot_be_had(machine: Topology, kind: str) -> None:
    pins = assign(machine, 2, 1, kind)
    assert pins is not None
    if kind in ("no_smt", "numa"):
        everything = set(pins) == {frozenset(cpu.number for cpu in machine.cpus)}
        assert bool(impossible(machine, kind)) == everything
    else:
        assert impossible(machine, kind) is None
    assert impossible(machine, "none") is None


def test_a_machine_that_tells_nothing() -> None:
    assert impossible(Topology((), told=False), "pack") == (
        "placement=pack: this system does not report its CPUs; leave placement out"
    )
    assert Topology((), told=False).siblings == 1


@given(st.sets(st.integers(0, 200)))
def test_lists_are_the_kernels(numbers: set[int]) -> None:
    assert listed(spelled(numbers)) == numbers
    assert spelled([3, 0, 1, 2, 8]) == "0-3,8"


def machine_of(root: Path, siblings: dict[int, str], sockets: dict[int, int], nodes: dict[int, str]) -> None:
    for cpu, together in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / "cpufreq").mkdir()
        (folder / "topology/thread_siblings_list").write_text(together + "\n")
        (folder / "topology/physical_package_id").write_text(f"{sockets.get(cpu, -1)}\n")
        (folder / "cpufreq/scaling_governor").write_text("powersave\n")
    for node, cpus in nodes.items():
        folder = root / f"sys/devices/system/node/node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(cpus + "\n")


def test_a_machine_is_read_from_its_files(tmp_path: Path) -> None:
    machine_of(
        tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0: 0, 2: 0, 1: 1, 3: 1}, {0: "0,2", 1: "1,3", 2: ""}
    )
    seen = topology.read(tmp_path, allowed={0, 1, 3})
    assert seen.cpus == (Cpu(0, 0, 0, 0), Cpu(1, 1, 1, 1), Cpu(3, 1, 1, 1))
    assert (seen.cores, seen.sockets, seen.nodes, seen.siblings) == (2, 2, 2, 2)
    assert seen.governors == {"powersave"} and seen.told and seen.quota is None
    assert [cpu.number for cpu in seen.one_each] == [0, 1]


def test_a_quota_is_read_and_changes_no_place(tmp_path: Path) -> None:
    machine_of(tmp_path, {0: "0", 1: "1"}, {}, {})
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("150000 100000\n")
    seen = topology.read(tmp_path, allowed={0, 1})
    assert seen.quota == 1.5 and seen.sockets == 1 and seen.nodes == 1
    assert assign(seen, 2, 1, "spread") == (frozenset({0}), frozenset({1}))


def test_files_that_are_not_there_or_hold_nonsense(tmp_path: Path) -> None:
    machine_of(tmp_path, {0: "zero"}, {}, {})
    seen = topology.read(tmp_path, allowed={0, 7})
    assert seen.cpus == (Cpu(0, 0), Cpu(7, 7)) and not seen.told
    assert impossible(seen, "no_smt") == "placement=no_smt: this system does not report its CPUs; leave placement out"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins on Linux")
def test_this_machine_and_a_thread_of_it() -> None:
    import threading

    seen, pinned = topology.read(), list[object]()
    assert {cpu.number for cpu in seen.cpus} == os.sched_getaffinity(0)
    first = seen.cpus[0].number
    thread = threading.Thread(target=lambda: pinned.append(topology.pin([first])))
    thread.start()
    thread.join()
    assert pinned == [(first,)]
    assert os.sched_getaffinity(0) == {cpu.number for cpu in seen.cpus}  # of that thread alone
    with pytest.raises(OSError, match="Invalid argument"):
        topology.pin([100_000])
