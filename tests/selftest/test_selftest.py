"""The self-test as a user starts it; and that it fails where the product is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capsexp.analysis import combine, correctness, figures, interference, latency, leak, neighbours
from capsexp.files import read_json
from capsexp.report.build import assemble
from capsexp.results.read import read_sweep
from capsexp.selftest.app import main
from capsexp.selftest.judge import Judged, judge
from capsexp.selftest.plant import Plant
from capsexp.selftest.plants import PLANTS, neighbour
from tests.support import PATIENCE
from tests.support.bench import Bench

LONG = 20 * PATIENCE  # s, for all of it beside other tests
BROKEN = """
import sys
from capsexp.analysis import correctness
from capsexp.cli import entry

correctness._difference = lambda *rest: None  # whatever was answered is right
sys.argv[0] = "capsexp"
entry()
"""


TRIES = 3  # other tests use the CPUs: what is off beside them has to be right once


def recovered(folder: Path) -> None:
    """Make self-tests until all figures were recovered; their sweeps stay in a folder for each plant."""
    wanted, wrong = [plant.name for plant in PLANTS if plant.lacks() is None], []
    for number in range(TRIES):
        made = folder / f"try{number}"
        said, code = self_test(made, wanted)
        assert [one["name"] for one in said["plants"]] == wanted
        assert all(one["findings"] for one in said["plants"])
        wrong = [(one["name"], f["what"], f["planted"], f["reported"], f["note"]) for one in said["plants"]
                 for f in one["findings"] if f["verdict"] != "within"]  # fmt: skip
        assert (code, said["proven"]) == ((1, False) if wrong else (0, True))
        wanted = list(dict.fromkeys(name for name, *_ in wrong))
        for one in said["plants"]:
            if one["name"] not in wanted:
                (made / one["name"]).rename(folder / one["name"])
        if not wanted:
            break
    assert not wrong


def self_test(folder: Path, names: list[str]) -> tuple[dict[str, Any], int]:
    """What it says, and its exit code."""
    line = [sys.executable, "-m", "capsexp.selftest", "--json", "--keep", str(folder), *names]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LONG)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def again(folder: Path, plant: Plant) -> Judged:
    """What a plant's files come to now."""
    account = folder / plant.name / "account.json"
    accounted = read_json(account) if account.is_file() else {}
    return judge(plant, assemble(read_sweep(folder / plant.name / "sweep")), accounted)


def as_if(true: Callable[..., Any], **wrong: Any) -> Callable[..., Any]:
    """What a function returns, with other values in it."""
    return lambda *given, **named: replace(true(*given, **named), **wrong)


def as_work(true: Callable[..., Any]) -> Callable[..., Any]:
    def durations(*given: Any) -> figures.Durations:
        found = true(*given)
        return replace(found, queue_wait_s=found.compute_s)

    return durations


def last_only(rows: list[Any], column: str, more: Any) -> dict[float, float]:
    """Of several processes the last one alone."""
    return {row["time_s"]: row[column] or 0.0 for row in rows}


# Each a fault that a product could have, and the plant that has to show it.
FAULTS: dict[str, tuple[str, Any, str, Callable[[Any], Any]]] = {
    "speedups are upside down": ("serial", combine, "speedups", lambda true: lambda own, other: true(other, own)),
    "a gain is cut": ("pace", combine, "speedups", lambda true: lambda own, other: [0.9 * s for s in true(own, other)]),
    "waiting is work": ("pace", figures, "durations", as_work),
    "latency is from the first byte": (
        "speech", figures, "durations",
        lambda true: lambda requests, segments: true([{**r, "sent_s": r["start_s"]} for r in requests], segments),
    ),
    "speech ends when it begins": (
        "speech", latency, "_part",
        lambda true: lambda rows, *rest: true([{**r, "stop_s": r["due_s"]} for r in rows], *rest),
    ),
    "one process's memory": ("memory", figures, "_sum_by_tick", lambda true: last_only),
    "the load peak is forgotten": (
        "texts", figures, "memory", lambda true: lambda monitor, window: replace(
            found := true(monitor, window), peak_mb=found.steady_peak_mb, load_peak_mb=found.steady_peak_mb
        ),
    ),
    "memory never grows": ("memory", combine, "_steady", lambda true: lambda one: dict.fromkeys(one.trials, 50.0)),
    "texts are not compared": ("naive", correctness, "_difference", lambda true: lambda *given: None),
    "a second result is none": (
        "texts", correctness, "_fault",
        lambda true: lambda request, *rest: true({**request, "finals": min(1, request["finals"])}, *rest),
    ),
    "what is lost is not counted": (
        "texts", correctness, "_fault",
        lambda true: lambda request, *rest: None if request["status"] != "ok" else true(request, *rest),
    ),
    "an hour has a minute": ("leak", leak, "HOUR", lambda true: 60.0),
    "CPU time of one tick": ("leak", figures, "cpu_seconds", lambda true: lambda *given: 0.5 * true(*given)),
    "nobody is in the way": (
        "neighbour", interference, "measure", lambda true: as_if(true, slower=0.0, lost_s=0.0, spells=())
    ),
    "spells are somewhere else": (
        "neighbour", interference, "measure",
        lambda true: lambda *given: replace(found := true(*given), spells=tuple(
            replace(one, start_s=one.start_s + 100, end_s=one.end_s + 100) for one in found.spells
        )),
    ),
    "nobody has a name": ("neighbour", neighbours, "took", lambda true: lambda *given: []),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(LONG)
def test_everything_that_is_planted_is_recovered_and_a_product_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    """One test, as all of it is about the same sweeps, which take minutes."""
    recovered(tmp_path)
    for plant in PLANTS:
        if plant.lacks() is None:
            found = again(tmp_path, plant)
            assert found.recovered, [f for f in found.findings if f.verdict != "within"]
    missed = []
    for fault, (name, module, attribute, wrong) in FAULTS.items():
        plant = next(plant for plant in PLANTS if plant.name == name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, attribute, wrong(getattr(module, attribute)))
            if plant.lacks() is None and again(tmp_path, plant).recovered:
                missed.append(fault)
    assert not missed


@pytest.mark.slow
def test_it_fails_and_says_what_that_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(BROKEN)
    assert main(["naive"], [sys.executable, str(broken)]) == 1
    said = capsys.readouterr().out
    assert "Do not rely on\n  - correctness: text that is lost" in said
    assert "NO" in said


@pytest.mark.slow
def test_a_product_that_does_not_start_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["naive"], [sys.executable, "-c", "raise SystemExit('it is broken')"]) == 1
    assert "exit code 1: it is broken" in capsys.readouterr().out


@pytest.fixture
def begun(bench: Bench, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """One whose sweep is under load, with a neighbour beside it."""
    if why := neighbour.lacks():
        pytest.skip(why)
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "capsexp.selftest", "neighbour"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "CAPSEXP_TEST_MARK": bench.mark, "TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    until = time.monotonic() + 5 * PATIENCE
    while not list((tmp_path / "tmp").glob("*/neighbour/began")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


def test_an_interrupt_leaves_nothing(begun: "subprocess.Popen[str]", bench: Bench, tmp_path: Path) -> None:
    begun.send_signal(signal.SIGINT)
    said = begun.communicate(timeout=5 * PATIENCE)[1]
    assert begun.returncode == 130
    assert "interrupted; 0 of 1 plant were looked at" in said
    assert not bench.left()
    assert not list((tmp_path / "tmp").iterdir())


def test_whoever_is_killed_takes_all_with_them(begun: "subprocess.Popen[str]", bench: Bench) -> None:
    begun.kill()
    begun.wait(PATIENCE)
    until = time.monotonic() + PATIENCE
    while bench.left() and time.monotonic() < until:
        time.sleep(0.1)
    assert not bench.left()
