"""Servers that do well alone and wrong under load, or wrong at all: the report calls each what it is.

With reference=server, which asks them alone first: nothing of ours knows what they should say."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import SLOW, misbehaving
from tests.support.bench import Bench

SILENT_S = 5.0 * SLOW  # of load.timeout


def measured(bench: Bench, how: str, *more: str) -> dict[str, Any]:
    """The one configuration of a sweep over such a server, and all that its report says in words."""
    line = f'"{sys.executable} {misbehaving.__file__} {how} {{port}}"'
    common = ("server=command", "target=sherpa", "reference=server", "load.repeats=2", "archive.enabled=false")
    bench.run(*common, f"server.cmd={line}", *more)
    report = bench.report()
    (found,) = report["configurations"]
    return {**found, "said": "\n".join(report["warnings"])}


def test_one_that_does_nothing_wrong_is_right(bench: Bench) -> None:
    found = measured(bench, "sound")
    assert found["requests"]["identical"] == found["requests"]["total"] == 8
    assert "target=sherpa workers=1 threads=1), one request at a time" in (bench.out / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("how", "wrong"),
    [
        ("half", "text is cut short: 5 of the 10 words of what the server answered alone, then '"),
        ("other", ": the answer to another request"),
        ("closing", "the connection ended (code 1000) before the final result"),
    ],
)
def test_what_is_wrong_under_load_is_called_what_it_is(bench: Bench, how: str, wrong: str) -> None:
    found = measured(bench, how)
    assert found["verdict"] == "NOT_FEASIBLE" and found["requests"]["identical"] < 8
    assert wrong in found["wrong"][0]["reason"] and wrong in found["said"]
    html = (bench.out / "report.html").read_text("utf-8")
    assert "n0.wav" in html and (how != "half" or "<del" in html)  # what is lost, beside what should be there


def test_one_that_never_answers_is_not_called_slow_alone(bench: Bench) -> None:
    found = measured(bench, "endless", f"load.timeout={SILENT_S}")
    assert found["verdict"] == "NOT_FEASIBLE" and found["requests"]["completed"] < 8
    said = f"not finished within load.timeout = {SILENT_S:g} s: all audio was sent, but no answer came"
    assert found["wrong"][0]["reason"] == said
    count = 8 - found["requests"]["completed"]
    assert f"for {count} all audio was sent, but no answer came, see server.log" in found["said"]


def test_one_that_crashes_on_a_request_is_caught_before_the_load_and_during_it(bench: Bench) -> None:
    found = measured(bench, "third")
    assert found["status"] == "failed"
    for words in (
        "reference=server: before the load, the request for n0.wav failed, after 2 answered requests: ",
        "; the server ended with code 7: it was the third request",
    ):
        assert words in found["errors"][0] and words in found["said"]
    bench.out = bench.out.with_name("without")
    found = measured(bench, "third", "reference=off")
    assert (found["status"], found["requests"]["completed"], found["verdict"]) == ("ok", 0, "NOT_FEASIBLE")
    said = "the server ended with code 7 during the load, when 0 of 8 requests were answered: it was the third request"
    assert said in found["said"]


def test_one_that_crashes_on_the_first_request_is_told_by_its_own_words_first(bench: Bench) -> None:
    found = measured(bench, "first", "reference=off")
    assert found["status"] == "failed"
    error = found["errors"][0]
    assert error.startswith("the server ended with code 7: it was the first request; its client saw: target=sherpa: ")


@pytest.mark.parametrize("how", ["background", "opened"])
def test_one_that_goes_into_the_background_is_told_to_stay(bench: Bench, how: str) -> None:
    found = measured(bench, how, "reference=off")
    assert found["status"] == "failed"
    assert "server.cmd must stay in the foreground: leave out `&`, --daemon and the like" in found["errors"][0]


def test_a_server_with_wrong_texts_alone_in_its_sweep_fails_it(bench: Bench) -> None:
    line = f'"{sys.executable} {misbehaving.__file__} half {{port}}"'
    common = ("server=command", "target=sherpa", "reference=server", "load.repeats=2", "archive.enabled=false")
    assert bench.run(*common, f"server.cmd={line}", "report.fail_on_gate=true") == 3
    assert bench.report()["verdict"] == "NOT_FEASIBLE"


def test_what_differs_alone_is_not_blamed_on_the_load(bench: Bench) -> None:
    found = measured(bench, "moody")
    assert (found["requests"]["identical"], found["requests"]["unsure"], found["wrong"]) == (0, 8, [])
    gate = next(gate for gate in found["gates"] if gate["metric"] == "correctness")
    assert gate["verdict"] == "NOT_JUDGED" and "the same twice" in gate["reason"]
    assert "it gave two different texts for 4 samples (the first: n0.wav)" in found["said"]


def test_what_it_answered_alone_is_asked_once_for_each_setting_and_kept(bench: Bench) -> None:
    """Trials and resumed sweeps share it; another number of workers is another setting."""

    def references() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in bench.out.glob("reference/*/reference.json")}

    line = f'"{sys.executable} {misbehaving.__file__} sound {{port}} {{workers}}"'
    asked = ("server=command", "target=sherpa", "reference=server", f"server.cmd={line}", "workers=1,2")
    assert bench.run(*asked, "trials=2", "trials_max=2", "-m") == 0
    before = references()
    assert len(before) == 2 and all(not json.loads(p.read_text())["again"] for p in before)
    for path in before:  # and of the asking nothing else is left
        assert {left.name for left in path.parent.iterdir()} <= {"reference.json", "server.log", "client.log"}
    runs = [json.loads(path.read_text()) for path in bench.out.glob("*/run.json")]
    assert {(run["reference"], run["workers"]) for run in runs} == {
        (path.parent.name, json.loads(path.read_text())["workers"]) for path in before
    }
    assert bench.finish(bench.start(f"resume={bench.out}", "trials=3", "trials_max=3", bare=True)) == 0
    assert references() == before
    archived = bench.out.with_suffix(".zip")
    assert archived.is_file()
