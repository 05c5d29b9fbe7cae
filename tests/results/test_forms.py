"""Files that processes write for each other are written by the structs that read them, and their forms are checked."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsexp import run as one_run
from capsexp.compose import compose
from capsexp.config import to_yaml
from capsexp.errors import ArchiveError, ConfigError
from capsexp.experiment.repeats import Pace
from capsexp.results import handover
from capsexp.results import run as facts
from capsexp.results.forms import known, typed
from capsexp.results.read import read_client, read_reference, read_sweep
from capsexp.results.sweep import PlannedRun, Repeats, Sweep, read_marked, read_plan, write_plan
from capsexp.results.write import write
from capsexp.runfiles import CLIENT

SWEEP = {
    "schema": 1, "name": "sweep", "argv": [], "planned": [], "interrupted": False, "thresholds": {}, "report": {},
}  # fmt: skip
REFERENCE = {"schema": 1, "engine": "null", "threads": 1, "texts": {}, "runs": []}


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("schema", [0, 2, 99, "1", [], None])
def test_a_sweep_of_an_unknown_form_is_refused_in_a_line(tmp_path: Path, schema: Any) -> None:
    put(tmp_path / "sweep.json", SWEEP)
    assert read_plan(tmp_path).name == "sweep"
    put(tmp_path / "sweep.json", {**SWEEP, "schema": schema})
    for read in (read_plan, read_sweep):
        with pytest.raises(ArchiveError, match=r"sweep\.json has schema .*, which this version of capsexp does not"):
            read(tmp_path)


def test_a_reference_of_an_unknown_form_costs_itself(tmp_path: Path) -> None:
    put(tmp_path / "sweep.json", SWEEP)
    for name, schema in (("aaaaaa", 1), ("bbbbbb", 7)):
        put(tmp_path / "reference" / name / "reference.json", {**REFERENCE, "schema": schema})
    found = read_sweep(tmp_path)
    assert list(found.references) == ["aaaaaa"]
    [note] = found.notes
    assert "reference bbbbbb" in note and "reference.json has schema 7" in note


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"schema": 9, "num": 0, "key": "x", "trials": 1, "load": {"repeats": 1, "concurrency": 1}}, "has schema 9"),
        ({"schema": 1, "num": "no", "key": "x", "trials": 1, "load": {"repeats": 1, "concurrency": 1}}, "Expected int"),
        ([], "is not a JSON object"),
    ],
)
def test_a_job_that_cannot_be_read_is_one_line(tmp_path: Path, job: Any, said: str) -> None:
    (tmp_path / "replay.yaml").write_text(to_yaml(compose(["engine=null"])))
    put(tmp_path / "job.json", job)
    with pytest.raises(ConfigError, match=rf"job\.json cannot be read: .*{said}"):
        one_run.main([str(tmp_path)])
    assert not (tmp_path / "run.json").exists()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    load = handover.JobLoad(repeats="auto", concurrency=None)
    job = handover.Job(num=1, key="workers=2", trials="auto", load=load)
    write(tmp_path / "job.json", job)
    assert typed(known(tmp_path / "job.json"), handover.Job) == job
    reference = facts.Reference(
        hash="aaaaaa", engine="null", threads=1, settings={"rtf": 0.5}, texts={"a.wav": facts.Text(text="so it is")},
        runs=(facts.ReferenceProcesses(processes=1, audio_s=10.0, makespan_s=2.0, load_s=0.1, cpu_s=1.9),),
    )  # fmt: skip
    write(tmp_path / "reference.json", reference)
    assert read_reference(tmp_path / "reference.json") == reference
    ready = handover.ServerReady(
        port=1, pid=2, ready_s=0.5, workers=(handover.ReadyWorker(worker=0, pid=None, load_s=None),), engine={"a": 1}
    )
    write(tmp_path / "server.json", ready)
    assert typed(known(tmp_path / "server.json"), handover.ServerReady) == ready
    client = facts.ClientFacts(start_s=1.0, end_s=3.0, requests=4, warnings=("slow",), order_seed=7)
    assert read_client(tmp_path) is None
    write(tmp_path / CLIENT, client)
    assert read_client(tmp_path) == client
    assert (client.lasted_s, facts.ClientFacts().lasted_s) == (2.0, None)


@pytest.mark.parametrize("mine", [True, False])
def test_a_sweep_is_read_as_it_was_written_and_known_by_its_mark(tmp_path: Path, mine: bool) -> None:
    (tmp_path / "conf").mkdir()
    run = PlannedRun(num=0, dir="0-a", key="a", trial=1, overrides=("x=a b",), given=("x='a b'",))
    sweep = msgspec.structs.replace(
        typed(SWEEP, Sweep), argv=("x='a b'", "-m"), planned=(run,), told=("x",), expected_load_s={"a": 1.5},
        repeats={"k": Repeats(repeats=3, concurrency=0)}, stopped="budget_s", thresholds={"speedup": 1.5},
    )  # fmt: skip
    write_plan(tmp_path, sweep, mine)
    assert read_marked(tmp_path) == (sweep, mine)
    assert read_plan(tmp_path) == sweep
    assert run.words == ("x='a b'",)
    assert msgspec.structs.replace(run, given=()).words == ("x=a b",)  # of an earlier version


@pytest.mark.parametrize(
    ("runs", "pace"),
    [
        ([{"processes": 1, "makespan_s": 4.0, "audio_s": 40.0, "cpu_s": 3.0}], Pace(4.0, 3.0, 2, 1, 40.0)),
        ([{"processes": 1, "makespan_s": 4.0, "audio_s": 40.0}], None),
        ([{"processes": 1, "makespan_s": 4.0, "throughput_xrt": 10.0, "cpu_s": 3.0}], None),
        ([{"processes": 2, "makespan_s": 4.0, "audio_s": 40.0, "cpu_s": 3.0}], None),
        ([], None),
    ],
)
def test_a_reference_tells_the_pace_or_says_that_it_does_not(tmp_path: Path, runs: Any, pace: Pace | None) -> None:
    put(tmp_path / "reference.json", {"threads": 2, "texts": {"a": {"text": "", "unknown": 1}}, "runs": runs})
    assert Pace.of(read_reference(tmp_path / "reference.json")) == pace


def test_files_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    """Which had fewer keys, and no number of their form."""
    put(tmp_path / "client.json", {"start_s": 0.0, "end_s": 1.0, "cpu_s": 0.1, "unknown": 1})
    assert read_client(tmp_path) == facts.ClientFacts(start_s=0.0, end_s=1.0, cpu_s=0.1)
    put(tmp_path / "sweep.json", {key: value for key, value in SWEEP.items() if key != "schema"})
    assert read_plan(tmp_path).argv == ()
    assert {field.name for field in msgspec.structs.fields(facts.Run) if field.required} == {
        "num", "key", "trial", "status", "workers", "threads", "pool", "engine", "dispatch", "config", "phases_s",
        "window_s", "samples", "skipped", "cpu_count", "warnings",
    }  # fmt: skip


def test_the_speed_of_a_reference_is_computed_and_that_of_an_earlier_version_read() -> None:
    def of(run: dict[str, Any]) -> float:
        [one] = typed({**REFERENCE, "runs": [{"processes": 1, "makespan_s": 4.0, **run}]}, facts.Reference).runs
        return one.throughput_rtfx

    assert of({"audio_s": 100.0, "load_s": 0.1, "cpu_s": 3.9}) == 25.0
    assert of({"audio_s": 100.0, "throughput_rtfx": 7.0}) == 25.0
    assert of({"throughput_rtfx": 7.0}) == 7.0
    with pytest.raises(ValueError, match="neither audio_s nor throughput_rtfx"):
        of({})
