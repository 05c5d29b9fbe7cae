"""Two sweeps side by side."""

from typing import Any

import pytest

from capsexp.analysis import differences
from capsexp.analysis.figures import Figures, Memory
from capsexp.compare import side_by_side
from capsexp.keys import SWEEP_KEYS
from capsexp.report.build import observe
from capsexp.results.read import SweepFiles
from capsexp.sweeps import Swept
from tests.support.reports import a_run, a_sweep


def figures(speed: float) -> Figures:
    return Figures(throughput_rtfx=speed, memory=Memory("pss", peak_mb=100.0))


def test_ratios_have_intervals_and_words() -> None:
    old = {"a": [figures(s) for s in (10.0, 10.1, 9.9)], "b": [figures(1.0)], "c": []}
    new = {"a": [figures(s) for s in (12.0, 12.1, 11.9)], "b": [figures(1.0)], "d": []}
    found = {(f.key, f.metric): f for f in differences.ratios(old, new)}
    assert found["a", "throughput_rtfx"].different is True
    assert found["a", "peak_memory_mb"].different is False
    assert found["b", "throughput_rtfx"].different is None
    assert ("a", "steady_memory_mb") not in found


def test_what_was_different_to_begin_with() -> None:
    old, new = (
        {"trial": 1, "engine": {"rtf": 0.1, "name": "null"}},
        {"trial": 2, "engine": {"rtf": 0.2, "name": "null"}},
    )
    assert differences.changes(old, new) == [("engine.rtf", 0.1, 0.2)]
    assert differences.changes({"a": 1}, {}) == [("a", 1, None)]
    assert differences.changes({"a": {"b": 1}}, {}) == [("a.b", 1, None)]
    assert differences.changes({}, {"a": {"b": 1}}) == [("a.b", None, 1)]
    assert not differences.changes(dict.fromkeys(SWEEP_KEYS, "old"), dict.fromkeys(SWEEP_KEYS, "new"))


def test_model_files_that_differ_are_told_in_words() -> None:
    """Hashes tell nobody anything: which file, and whether it is there, another one, or another of its size."""
    mb = 2**20
    old = {"x": {"m/a": {"bytes": 3 * mb, "sha256": "1"}, "m/b": {"bytes": mb, "sha256": "2"}}, "y": "odd"}
    new = {"x": {"m/a": {"bytes": 4 * mb, "sha256": "3"}, "m/b": {"bytes": mb, "sha256": "9"}, "m/c": {"sha256": "4"}}}
    assert differences.models(old, new) == [
        "x: m/a is another file (3.0 MB before, 4.0 MB after)",
        "x: m/b is another file (of the same size, 1.0 MB)",
        "x: m/c is there after only (size unknown)",
    ]
    assert differences.models(new, old)[2] == "x: m/c is there before only (size unknown)"
    assert differences.models(old, old) == differences.models(None, "odd") == []


def test_what_only_one_environment_tells_is_told_value_by_value() -> None:
    one, two = swept(10.0), swept(5.0)
    one.environment.update(models={"x": {"m/a": {"bytes": 2**20, "sha256": "1f2e"}}}, cpu_flags=["avx", "fma"])
    two.environment.update(models={"x": {"m/a": {"bytes": 2**20, "sha256": "3c4d"}}}, engines={"x": {"threads": 2}})
    said = side_by_side(called("a", one), called("b", two))
    assert "Models:\n  x: m/a is another file (of the same size, 1.0 MB)" in said
    assert "  engines.x.threads: nothing -> 2" in said and "  cpu_flags: avx, fma -> nothing" in said
    assert "{" not in said and "1f2e" not in said


def called(name: str, files: SweepFiles) -> Swept:
    return Swept(name, files, observe(files))


def swept(*speeds: float, **more: Any) -> Any:
    return a_sweep([a_run(1, s, trial=n, **more) for n, s in enumerate(speeds, start=1)])


def test_two_measurements_of_a_server_that_runs_already() -> None:
    external = {"key": "external", "settings": {"server.name": "external", "server.url": "ws://127.0.0.1:1"}}
    one, two = (swept(s, 1.01 * s, 0.99 * s, **external) for s in (10.0, 5.0))
    said = side_by_side(called("with-1", one), called("with-2", two))
    assert "external         throughput_rtfx" in said
    assert "different" in said
    assert "Unlike" not in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": {"engine.beam": 1e-9}}, "other settings of engine"),
        ({"settings": {"load.concurrency": 3}}, "other settings of load"),
        ({"samples": [{"name": "s0", "duration_s": 10.0, "sha256": "1"}]}, "the samples"),
        ({"key": "other"}, "no configuration is in both"),
    ],
)
def test_what_is_not_alike_is_named(change: dict[str, Any], named: str) -> None:
    said = side_by_side(called("a", swept(10.0)), called("b", swept(5.0, **change)))
    assert named in said.partition("Not the same work, so the ratios do not compare like with like: ")[2]


def test_a_load_that_auto_came_to_is_the_one_that_a_replay_asks_for() -> None:
    settled = {"repeats": 2, "concurrency": 8}
    asked = swept(5.0, settings={"load.repeats": 2, "load.concurrency": 8}, **settled)
    assert "Unlike" not in side_by_side(called("a", swept(10.0, **settled)), called("b", asked))
    assert "other settings of load" in side_by_side(
        called("a", swept(10.0, repeats=1, concurrency=8)), called("b", asked)
    )


def sending(partials: int, *speeds: float) -> Any:
    files = swept(*speeds)
    told = {"due_s": 0.0, "begun_s": 0.0, "stop_s": None, "class": None, "step": None, "partials": partials}
    for run in files.runs:
        run.requests[0].update(told)
    return files


def test_times_are_compared_only_where_as_many_texts_came_before_the_last() -> None:
    old, few, many = sending(20, 10.0, 10.1), sending(5, 8.0, 8.1), sending(22, 8.0, 8.1)
    said = side_by_side(called("a", old), called("b", few))
    assert f"{differences.UNEQUAL} workers=1: 2 and 0.5 texts per second of audio." in said
    reads = {line.split()[1]: line for line in said.splitlines() if line.startswith("workers=1 ")}
    assert "not as many texts" in reads["latency_p50_s"]
    assert "texts" not in reads["throughput_rtfx"]
    alike = side_by_side(called("a", old), called("b", many))
    assert differences.UNEQUAL not in alike and "not as many texts" not in alike
    counting = differences.counting(observe(old))
    assert differences.texts(counting, {}) == differences.texts({"workers=1": []}, counting) == {}


def test_what_others_wrote_is_escaped() -> None:
    nasty = "\x1b[2Jverified"
    old, new = swept(10.0, key=nasty), swept(5.0, key=nasty, settings={"engine.model_dir": nasty})
    assert "\x1b" not in side_by_side(called(nasty, old), called(nasty, new))


def test_memory_that_was_counted_otherwise_is_not_compared() -> None:
    from dataclasses import replace

    old, new = (observe(swept(10.0)) for _ in range(2))
    one = new[0]
    assert one.figures
    uss = [replace(one, figures=replace(one.figures, memory=Memory("uss", 1.0)))]
    assert differences.unlike(old, uss) == ["memory as PSS and USS"]
    assert differences.unlike(old, [replace(one, figures=None)]) == []
    assert differences.machines({"cpu": "a"}, {"cpu": "b"}) == ["cpu a and b"]


def by_table(path: str, held: str) -> list[Any]:
    load = {"load.name": "schedule", "load.csv": path}
    run = a_run(1, 10.0, settings=load, fingerprint={"configuration": "c", "schedule": held})
    return observe(a_sweep([run]))


def test_the_table_of_a_load_is_what_it_holds_and_not_where_it_is() -> None:
    old = by_table("/then/day.csv", "1a")
    assert differences.unlike(old, by_table("/now/schedules/x.csv", "1a")) == []
    assert differences.configurations(old, by_table("/now/schedules/x.csv", "1a")) == []
    assert differences.unlike(old, by_table("/then/day.csv", "2b")) == ["the table of the load"]  # edited in its place
    assert "other settings of load" in differences.unlike(old, by_table("/now/other.csv", "2b"))
