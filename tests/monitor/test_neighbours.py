"""Who else took the CPUs while a run was measured, by name: what is counted, and that nobody is counted twice."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis.neighbours import took
from capsexp.monitor.probes.neighbours import COLUMNS, LEAST_S, MOST_NAMES, OURS, REST, Neighbours, Seen, everybody
from capsexp.results.tables import read_rows
from tests.support import PATIENCE
from tests.support.bench import Bench


def total(rows: list[dict[str, float]]) -> float:
    return sum(row["cpu_s"] for row in rows)


def by_name(rows: list[dict[str, float]]) -> dict[object, float]:
    return {row["name"]: row["cpu_s"] for row in rows}


def test_what_was_used_before_the_first_look_is_nobody_s() -> None:
    around = Neighbours()
    assert around.look([Seen(1, 0, 0, "init", 100.0)], set()) == []
    assert around.look([Seen(1, 0, 0, "init", 100.0)], set()) == []
    assert by_name(around.look([Seen(1, 0, 0, "init", 101.5)], set())) == {"init": 1.5}


def test_watched_processes_and_our_runner_s_children_are_no_neighbours() -> None:
    around = Neighbours()
    before = [Seen(1, 0, 0, "init", 0), Seen(5, 1, 0, "python3", 0), Seen(6, 5, 0, "python3", 0), Seen(7, 5, 0, "x", 0)]
    after = [Seen(p.pid, p.parent, p.born, p.name, p.own_s + 2.0) for p in before]
    around.look(before, {6}, own=5)
    assert by_name(around.look(after, {6}, own=5)) == {"init": 2.0, OURS: 4.0}


def test_a_pid_that_is_used_again_is_somebody_else() -> None:
    around = Neighbours()
    around.look([Seen(9, 1, "early", "old", 50.0)], set())
    assert by_name(around.look([Seen(9, 1, "late", "new", 3.0)], set())) == {"new": 3.0}


def test_a_child_that_lived_between_two_looks_counts_for_its_parent() -> None:
    around = Neighbours()
    around.look([Seen(4, 1, 0, "make", 1.0)], set())
    assert by_name(around.look([Seen(4, 1, 0, "make", 1.0, ended_s=7.0)], set())) == {"make": 7.0}


def test_a_child_that_was_seen_is_not_counted_again_when_it_has_ended() -> None:
    around = Neighbours()
    around.look([Seen(4, 1, 0, "make", 1.0)], set())
    around.look([Seen(4, 1, 0, "make", 1.0), Seen(8, 4, 0, "cc1plus", 5.0)], set())
    assert by_name(around.look([Seen(4, 1, 0, "make", 1.0, ended_s=6.0)], set())) == {"cc1plus": 5.0, "make": 1.0}


@given(st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), min_size=1, max_size=8), st.data())
def test_what_the_looks_add_up_to_is_what_was_used(steps: list[list[float]], data: st.DataObject) -> None:
    """A parent with children that come, work and end: all that was used after the first look is counted, once."""
    around, parent, ended = Neighbours(), 0.0, 0.0
    children: dict[int, float] = {}
    around.look([Seen(1, 0, 0, "parent", 0.0)], set())
    used, rows, number = 0.0, [], 10
    for own, theirs, short in steps:
        if data.draw(st.booleans()):
            children[number], number = 0.0, number + 1
        parent, used = parent + own, used + own
        for pid in children:
            children[pid] += theirs
            used += theirs
        if children and data.draw(st.booleans()):
            ended += children.pop(next(iter(children)))
        ended, used = ended + short, used + short  # of one that nobody saw
        now = [Seen(1, 0, 0, "parent", parent, ended), *(Seen(p, 1, 0, "child", s) for p, s in children.items())]
        rows = around.look(now, set())
    assert total(rows) == pytest.approx(used, abs=2 * LEAST_S)


def test_many_names_are_bounded_and_the_rest_is_one_row() -> None:
    around, names = Neighbours(), [f"p{n}" for n in range(3 * MOST_NAMES)]
    around.look([Seen(n, 1, 0, name, 0.0) for n, name in enumerate(names)], set())
    rows = around.look([Seen(n, 1, 0, name, 1.0) for n, name in enumerate(names)], set())
    assert len(rows) == MOST_NAMES + 1
    assert by_name(rows)[REST] == 2 * MOST_NAMES


def test_names_are_one_line_that_can_be_shown() -> None:
    around = Neighbours()
    around.look([Seen(1, 0, 0, "a\n\x1b[2J,b", 0.0)], set())
    (row,) = around.look([Seen(1, 0, 0, "a\n\x1b[2J,b", 1.0)], set())
    assert row["name"].isprintable()


def test_over_a_window_it_is_the_difference_of_the_looks_around_it() -> None:
    looks = [(0.0, {}), (2.0, {"a": 1.0}), (4.0, {"a": 1.5, "b": 4.0}), (6.0, {"a": 2.0, "b": 4.0})]
    rows = [{"time_s": at, "name": n, "cpu_s": s} for at, names in looks for n, s in names.items()]
    assert took(rows, 2.5, 3.5) == [("b", 4.0), ("a", 0.5)]
    assert took(rows, 4.0, 9.0) == [("a", 0.5)]
    assert took([], 0.0, 1.0) == []


def test_everybody_is_seen_with_name_parent_and_cpu() -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        (before,) = (p for p in everybody() if p.pid == hog.pid)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            (after,) = (p for p in everybody() if p.pid == hog.pid)
            if after.own_s - before.own_s > 0.2:
                break
        assert after.own_s - before.own_s > 0.2
        assert (after.parent, after.born, after.name) == (os.getpid(), before.born, psutil.Process(hog.pid).name()[:15])
    finally:
        hog.kill()
        hog.wait()


def test_a_run_says_who_took_the_cpu_and_no_command_line(bench: Bench) -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass  # s3cret"])
    try:
        name = psutil.Process(hog.pid).name()[:15]
        assert bench.run("workers=1", "engine.rtf=0.2", "load.repeats=2", "reference=off") == 0, bench.stderr
    finally:
        with contextlib.suppress(OSError):
            hog.kill()
        hog.wait()
    (path,) = bench.out.glob("*/neighbours.csv")
    assert path.read_text().splitlines()[0] == ",".join(["time_s", *(column.name for column in COLUMNS)])
    assert "s3cret" not in path.read_text()
    used = dict(took(read_rows(path), 0.0, 1e9))
    assert used[name] > 0.1  # it may have had to share


def test_a_sweep_is_ours_up_to_its_first_process(tmp_path: Path) -> None:
    """The monitor's parent is the run, whose parent is the sweep; who started that is somebody else."""
    each = tmp_path / "each.py"
    each.write_text(
        "import os, subprocess, sys\n"
        "from capsexp.monitor.probes import neighbours\n"
        "own, *below = sys.argv[1:]\n"
        "print(own, os.getpid(), neighbours._first_of_ours(), flush=True)\n"
        "if below: subprocess.run([sys.executable, __file__, *below])\n"
    )
    command = [sys.executable, str(each), "shell", "capsexp", "capsexp.run", "capsexp.monitor"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    pids, first = {}, {}
    for line in done.stdout.splitlines():
        name, pid, found = line.split()
        pids[name], first[name] = pid, found
    assert first["capsexp.monitor"] == first["capsexp.run"] == pids["capsexp"]
