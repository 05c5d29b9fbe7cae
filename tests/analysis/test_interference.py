"""What a run lost to others is recovered from the counters of a machine that is made up."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import interference, validity
from capsexp.analysis.interference import measure
from tests.support.runs import DEFAULT, QUIET, run

CPUS = 2.0
WINDOW = (0.0, 10.0)


def ticks(hog: Callable[[float], float], threads: int = 2, busy: float = 1.0, steal: float = 0.0) -> list[Any]:
    """Every half second: `threads` processes of ours that want `busy` of a CPU each, on two CPUs that are shared out
    fairly, beside a neighbour that wants `hog(time)` CPUs; the host takes `steal` of each CPU."""
    rows: list[Any] = []
    used, waited, all_, stolen, idle = 0.0, 0.0, 0.0, 0.0, 0.0
    for tick in range(21):
        at = tick / 2
        system = {"time_s": at, "role": "system", "pid": None, "busy_s": all_, "idle_s": idle, "steal_s": stolen}
        mine = [
            {"time_s": at, "role": "worker", "pid": n, "cpu_s": used / threads, "runqueue_s": waited / threads}
            for n in range(threads)
        ]
        rows += [system, *mine]
        room, wanted, others = CPUS * (1 - steal), threads * busy, hog(at)
        got = min(wanted, max(room - others, room * wanted / (wanted + others or 1)))
        taken = min(others, room - got)
        used, waited, all_ = used + got / 2, waited + (wanted - got) / 2, all_ + (got + taken) / 2
        stolen, idle = stolen + CPUS * steal / 2, idle + (room - got - taken) / 2
    return rows


def spell(start: float, end: float, cpus: float = 1.0) -> Callable[[float], float]:
    return lambda at: cpus if start <= at < end else 0.0


def test_a_spell_is_found_with_its_time() -> None:
    found = measure(ticks(spell(3.0, 6.0)), WINDOW, CPUS, 2)
    assert found is not None
    # Of two CPUs three threads get two thirds each: ours 4 / 3 of 2.
    assert found.lost_s == pytest.approx(3 * 2 / 3)
    assert found.slower == pytest.approx(2 / (20 - 2))
    assert [(s.start_s, s.end_s) for s in found.spells] == [(3.0, 6.0)]
    several = measure(ticks(lambda at: spell(1.0, 2.0)(at) + spell(4.0, 6.0)(at)), WINDOW, CPUS, 2)
    assert several and [(s.start_s, s.end_s) for s in several.spells] == [(4.0, 6.0), (1.0, 2.0)]


def test_a_small_steady_loss_is_no_spell_and_has_no_time() -> None:
    rows = ticks(spell(0, 10, 0.035), threads=2)
    (reason,) = validity.reasons(run(workers=2), QUIET, [], rows, {"interference": 0.01})
    assert reason.reason.endswith("slower (limit 1 %); spread over the whole run")


def test_a_spell_is_one_by_what_the_run_uses_and_not_by_all_cpus() -> None:
    """A tenth of the one CPU that a run uses of sixteen."""
    rows: list[Any] = []
    for tick in range(21):
        at = tick / 2
        system = {"time_s": at, "role": "system", "pid": None, "busy_s": at, "idle_s": 15 * at, "steal_s": 0.0}
        rows += [system, {"time_s": at, "role": "worker", "pid": 1, "cpu_s": 0.9 * at, "runqueue_s": 0.1 * at}]
    found = measure(rows, WINDOW, 16.0, 1)
    assert found and found.slower == pytest.approx(1 / 9) and [(s.start_s, s.end_s) for s in found.spells] == [(0, 10)]
    # Three more workers that have nothing to do do not make it less.
    idle = measure(rows, WINDOW, 16.0, 4)
    assert idle and idle.slower == pytest.approx(found.slower)


def test_pinned_workers_wait_for_each_other_though_other_cpus_are_free() -> None:
    """Four workers on two of eight CPUs, and a neighbour on others."""
    rows: list[Any] = []
    for tick in range(21):
        at = tick / 2
        rows.append({"time_s": at, "role": "system", "pid": None, "busy_s": 3 * at, "idle_s": 5 * at, "steal_s": 0.0})
        rows += [{"time_s": at, "role": "worker", "pid": n, "cpu_s": at / 2, "runqueue_s": at / 2} for n in range(1, 5)]
    free, pinned = measure(rows, WINDOW, 8.0, 4), measure(rows, WINDOW, 8.0, 4, pinned=2)
    assert free and pinned and free.lost_s == pytest.approx(10.0) and pinned.lost_s == 0
    one = run(workers=4, pinned=("0", "0", "1", "1"), cpu_count=8)
    assert validity.reasons(one, QUIET, [], rows, {"interference": 0.03}) == ()


def test_more_threads_than_cpus_wait_for_each_other() -> None:
    quiet = measure(ticks(spell(0, 0), threads=4), WINDOW, CPUS, 4)
    assert quiet == interference.Interference(0.0, 0.0, ())
    beside = measure(ticks(spell(3.0, 6.0), threads=4), WINDOW, CPUS, 4)
    assert beside and beside.lost_s == pytest.approx(3 * 2 / 5)  # what the neighbour got, and not all that was waited


def test_a_neighbour_on_a_cpu_that_nobody_wanted_takes_nothing() -> None:
    found = measure(ticks(spell(0, 10), threads=1), WINDOW, CPUS, 1)
    assert found and found.slower == 0


def test_what_the_host_takes_is_lost_as_well() -> None:
    found = measure(ticks(spell(0, 0), steal=0.25), WINDOW, CPUS, 2)
    assert found and found.lost_s == pytest.approx(5.0)
    idle = measure(ticks(spell(0, 0), busy=0.0, steal=0.25), WINDOW, CPUS, None)
    assert idle and idle.lost_s == 0


def test_nothing_is_said_where_nothing_is_told() -> None:
    rows = ticks(spell(0, 10))
    untold = [{**row, "runqueue_s": None} for row in rows]
    assert measure(untold, WINDOW, CPUS, 2) is None
    assert measure(rows, (4.0, 5.0), CPUS, 2) is None  # two ticks
    assert measure([row for row in rows if row["role"] == "system"], WINDOW, CPUS, 2) is None
    assert measure([row for row in rows if row["role"] != "system"], WINDOW, CPUS, 2) is None


def test_a_process_that_comes_or_goes() -> None:
    def alive(row: Mapping[str, Any]) -> bool:
        return row["role"] == "system" or (row["time_s"] < 5) == (row["pid"] == 0)

    found = measure([row for row in ticks(spell(0, 0)) if alive(row)], WINDOW, CPUS, None)
    assert found and found.slower == 0


def test_the_reason_names_the_spells() -> None:
    rows = ticks(lambda at: 1.0 if at % 3 < 1 else 0.0)
    (reason,) = validity.reasons(run(workers=2), QUIET, [], rows, {"interference": 0.05})
    assert reason.code == validity.LOST_CPU
    assert reason.reason == (
        "other processes held a CPU for 2.7 s while the run waited for one, which made it 15 % slower (limit 5 %); "
        "0.0 to 1.0 s, 3.0 to 4.0 s, 6.0 to 7.0 s after its start, and more"
    )
    assert validity.reasons(run(workers=2), QUIET, [], rows, {"interference": None}) == ()
    assert validity.reasons(run(workers=None), QUIET, [], ticks(spell(0, 0)), {**DEFAULT, "min_s": None}) == ()


@given(st.integers(1, 6), st.floats(0.5, 9), st.floats(0.5, 9), st.floats(0, 2))
def test_no_more_is_laid_to_others_than_they_used(threads: int, start: float, long: float, cpus: float) -> None:
    rows = ticks(spell(start, start + long, cpus), threads)
    found = measure(rows, WINDOW, CPUS, threads)
    last = rows[-1 - threads]
    ours = sum(row["cpu_s"] for row in rows[-threads:])
    assert found and 0 <= found.lost_s <= last["busy_s"] - ours + 1e-6
    assert all(start - 0.5 <= s.start_s < s.end_s <= start + long + 0.5 for s in found.spells)
