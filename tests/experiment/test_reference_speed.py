"""Plain processes, timed: as fast as they are, whatever the end of the load."""

from dataclasses import replace
from pathlib import Path

import pytest

from capsexp.compose import compose
from capsexp.config import Config
from capsexp.errors import EngineError
from capsexp.experiment import reference
from capsexp.results.read import read_reference
from tests.support import SLOW
from tests.support.bench import Bench

RTF = 0.05


def config(bench: Bench, *more: str) -> Config:
    return compose(["engine=null", f"engine.rtf={RTF}", "samples=dir", f"samples.dir={bench.audio}", *more])


def test_processes_that_sleep_are_as_fast_as_they_sleep(bench: Bench, tmp_path: Path) -> None:
    """Three of them have one segment more than the others at the end, which is no loss of theirs."""
    settings = config(bench)
    name = reference.ensure(settings, tmp_path)
    texts = read_reference(tmp_path / "reference" / name / "reference.json")
    assert [run.processes for run in texts.runs] == [1]
    each = [second for own in texts.segments_s.values() for second in own]
    assert sum(each) == pytest.approx(texts.runs[0].makespan_s, rel=0.2 * SLOW)
    run_dir = tmp_path / "0-workers=1"
    run_dir.mkdir()
    one, three = reference.time_counts(settings, run_dir, [1, 3])
    assert (one.processes, three.processes) == (1, 3)
    assert one.throughput_rtfx == pytest.approx(1 / RTF, rel=0.1 * SLOW)
    assert three.throughput_rtfx == pytest.approx(3 / RTF, rel=0.1 * SLOW)
    assert one.deterministic
    assert [path.name for path in run_dir.iterdir()] == ["reference.log"]  # the rest is in what was returned


def test_a_set_that_takes_long_is_timed_by_a_part_of_it(bench: Bench, tmp_path: Path) -> None:
    settings = config(bench, "engine.rtf=1", "load.seg_duration=2", "load.seg_overlap=0.5")
    name = reference.ensure(settings, tmp_path)
    texts = read_reference(tmp_path / "reference" / name / "reference.json")
    run_dir = tmp_path / "0-workers=1"
    run_dir.mkdir()
    [one] = reference.time_counts(settings, run_dir, [1])
    assert one.makespan_s < 0.7 * texts.runs[0].makespan_s
    assert one.throughput_rtfx == pytest.approx(texts.runs[0].throughput_rtfx, rel=0.1 * SLOW)


def test_what_cannot_be_timed_says_why(bench: Bench, tmp_path: Path) -> None:
    settings = config(bench)
    reference.ensure(settings, tmp_path)
    run_dir = tmp_path / "0-workers=1"
    run_dir.mkdir()
    lost = replace(settings, load=replace(settings.load, seg_duration=3.0))  # whose texts the sweep does not have
    with pytest.raises(EngineError, match="the reference ended with code 1"):
        reference.time_counts(lost, run_dir, [1])
