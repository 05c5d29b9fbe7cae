"""Hours of load: what is kept of them stays small, counts every request, and is reported on the way."""

import csv
import random
import signal
import time
from pathlib import Path
from statistics import median

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsexp.analysis.correctness import judge
from capsexp.analysis.figures import figures
from capsexp.client import soak
from capsexp.client.app import write_run
from capsexp.client.request import Request
from capsexp.compose import compose
from capsexp.config import Config, LoadConfig
from capsexp.csvfile import BoundedCsv
from capsexp.errors import ConfigError
from capsexp.files import bound_log, read_json
from capsexp.protocol import Result
from capsexp.results.run import ClientFacts, Reference, SampleFacts, SampleTexts, Text
from capsexp.results.tables import read_rows
from capsexp.samples import Sample, SampleSet
from tests.support import PATIENCE, noise
from tests.support.bench import Bench
from tests.support.values import a_run

SOAK = (
    "experiment=soak", "workers=2", "engine.rtf=0.002", "report.checkpoint_s=2", "report.max_rows=100",
    "monitor.interval=0.05", "validity=off", "load.concurrency=3",
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@example([(1, 0)] * 6, 3)  # the last one makes one too many
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 99)), max_size=400), st.integers(2, 20))
def test_a_table_that_is_thinned_out(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[int, int]], most: int
) -> None:
    path = tmp_path_factory.mktemp("bounded") / "a.csv"
    table = BoundedCsv(path, ["at", "row", "mb"], most, lambda rows: rows[0]["mb"])
    for at, (size, mb) in enumerate(groups):
        table.write([{"at": at, "row": row, "mb": mb} for row in range(size)])
        table.flush()
        assert len({row["at"] for row in read_rows(path)}) <= most
    table.close()
    rows = read_rows(path)
    found = list(dict.fromkeys(row["at"] for row in rows))
    assert found == sorted(found)
    assert len(found) <= most + 2
    assert [(r["at"], r["row"], r["mb"]) for r in rows] == [  # whole groups, unchanged
        (at, row, groups[at][1]) for at in found for row in range(groups[at][0])
    ]
    if groups:
        assert found[-1] == len(groups) - 1
        assert max(row["mb"] for row in rows) == max(mb for _, mb in groups)  # a peak stays
    for block in range(0, len(groups) - table.every, table.every):  # evenly: one of each so many
        assert any(block <= at < block + table.every for at in found)


def ended(number: int, sample: str, text: str, error: str | None = None) -> Request:
    at = float(number)
    request = Request(
        number, f"id-{number}", sample, noise(1, 0), at, at + 0.2, at + 0.4, at + 0.5, results=1, finals=1
    )
    request.result = Result(f"id-{number}", True, 1.0, 0, 0, 0, text, text, [text], [0.0])
    request.error = error
    return request


def test_a_record_counts_every_request_and_keeps_few(tmp_path: Path) -> None:
    rng, record = random.Random(1), soak.Record(50)
    wrong = 0
    for number in range(5000):
        bad = rng.random() < 0.01
        wrong += bad
        record.add(ended(number, rng.choice("ab"), "other" if bad else "right"))
    record.add(ended(5000, "a", "right", "the connection ended"))
    write_run(tmp_path, 0.0, record.snapshot(), SampleSet([Sample(n, noise(1, 0), "") for n in "ab"], []), Config())
    rows = read_rows(tmp_path / "requests.csv")
    assert len(rows) <= 50
    assert (tmp_path / "transcripts" / "a.json").stat().st_size < 10_000
    kept = {n: read_json(tmp_path / "transcripts" / f"{n}.json") for n in "ab"}
    transcripts = {n: msgspec.convert(one, SampleTexts) for n, one in kept.items()}
    right = {n: Text(text="right", text_accu="right") for n in "ab"}
    reference = Reference(engine="null", threads=1, texts=right, runs=())
    judged = judge(transcripts, rows, reference, [SampleFacts(name=n, duration_s=1.0) for n in "ab"])
    assert (judged.requests, judged.completed, judged.identical) == (5001, 5000, 5000 - wrong)
    assert judged.wrong_count == wrong + 1
    client = read_json(tmp_path / "client.json")
    assert (client["requests"], client["thinned"], client["start_s"], client["end_s"]) == (5001, True, 0.0, 5000.5)
    found = figures(a_run(), rows, [], [], msgspec.convert(client, ClientFacts))
    assert (found.requests, found.completed, found.audio_s) == (5001, 5000, 5000.0)
    assert found.makespan_s is None  # one failed
    assert median(found.durations.latency_s) == pytest.approx(0.3)


def test_a_server_that_never_says_the_same_twice_does_not_fill_the_memory() -> None:
    record = soak.Record(50)
    for number in range(soak.MOST_KINDS + 500):
        record.add(ended(number, "a", f"text {number}"))
    assert len(record.kinds) <= soak.MOST_KINDS + 1
    assert record.failed == 500
    assert sum(kind.count for kind in record.kinds.values()) == record.total == soak.MOST_KINDS + 500


def test_every_cycle_has_each_sample_once_and_an_order_of_its_own() -> None:
    samples = [Sample(f"s{n}", noise(0.01, n), "") for n in range(6)]
    requests = soak.cycles(samples, LoadConfig(seed=1), 1)
    turns = [[next(requests) for _ in samples] for _ in range(5)]
    assert all({r.sample for r in turn} == {s.name for s in samples} for turn in turns)
    assert len({tuple(r.sample for r in turn) for turn in turns}) > 1
    assert [r.number for turn in turns for r in turn] == list(range(30))
    assert len({r.task_id for turn in turns for r in turn}) == 30


def test_a_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("a") as out:
        for number in range(100):
            print(f"{number:050}", file=out, flush=True)
            bound_log(log, 1000)
            assert log.stat().st_size <= 1051
    assert (tmp_path / "server.log.1").read_text().endswith("\n")
    assert f"{99:050}\n" in (tmp_path / "server.log.1").read_text() + log.read_text()


def test_a_soak_from_its_first_request_to_its_report(bench: Bench) -> None:
    assert bench.run(*SOAK, "hours=0.0015") == 0, bench.stderr
    assert "a checkpoint is in" in bench.stderr
    (one,) = bench.report()["configurations"]
    folder = bench.out / "0-workers=2"
    client = read_json(folder / "client.json")
    assert one["requests"]["total"] == one["requests"]["identical"] == client["requests"] > 100
    assert 5.4 - 0.5 <= one["metrics"]["makespan_s"]["value"] < 5.4 + PATIENCE / 6
    for name, most in (("requests", 101), ("segments", 102)):
        assert len(read_rows(folder / f"{name}.csv")) <= most
    with (folder / "monitor.csv").open() as file:
        assert len({row["time_s"] for row in csv.DictReader(file)}) <= 27
    # All segments were counted, though not all were kept: 1 + the (seconds - 1) // 2 further ones of each file.
    counts = read_json(folder / "segments.json")
    rows = [
        int(r["count"] or 1) * (1 + max(0, int((r["duration_s"] - 1) // 2))) for r in read_rows(folder / "requests.csv")
    ]
    assert counts["ok"] == sum(rows)
    assert one["metrics"]["steady_memory_mb"]["value"] > 0
    assert one["leak"]["steady_s"] is not None


def test_a_soak_that_is_interrupted_reports_what_it_had(bench: Bench) -> None:
    process = bench.start(*SOAK, "hours=1", "reference=off")
    until = time.monotonic() + PATIENCE
    while not (bench.out / "report.json").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    (one,) = bench.report()["configurations"]
    assert one["status"] == "running"
    assert "a checkpoint" in one["errors"][0]
    process.send_signal(signal.SIGINT)
    assert bench.finish(process) == 130
    (one,) = bench.report()["configurations"]
    assert one["status"] == "interrupted"
    assert one["requests"]["completed"] > 0
    assert one["metrics"]["throughput_rtfx"]["value"] > 0


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "soon"])
def test_no_time_at_all(hours: str) -> None:
    with pytest.raises(ConfigError, match="hours"):
        compose([f"hours={hours}"])
