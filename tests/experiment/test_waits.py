"""Every wait has a deadline, and says which was missed."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from capsexp import tool
from capsexp.compose import compose
from capsexp.config import Config, literal, resolve, to_dict
from capsexp.engines import _folders as folders
from capsexp.engines.null import NullConfig
from capsexp.engines.paraformer import ParaformerConfig
from capsexp.errors import EngineError, HarnessError, LastingError
from capsexp.experiment import deadlines, plain_processes, readiness, reference
from capsexp.experiment.child import Child
from capsexp.experiment.executors import local
from capsexp.experiment.record import RunRecord
from capsexp.experiment.run import attempt
from capsexp.protocol import RATE
from capsexp.segments import Cut, cut_all
from capsexp.server.messages import SegmentJob
from capsexp.waiting import wait_until
from tests.support import SLOW


def quick(*overrides: str) -> Config:
    return compose(["engine=null", "server.stuck_s=0.2", "server.stuck_rtf=0.1", *overrides])


def test_a_reference_that_hangs_ends_with_what_it_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_processes, "SEGMENT_S", 0.0)
    config = quick("engine.rtf=3", "server.stuck_s=0.1", "server.stuck_rtf=0")
    [segment] = cut_all(np.zeros(5 * RATE, np.float32), Cut.of(15.0, 2.0))
    job = SegmentJob(0, segment.audio, segment.start, segment.shared)
    with pytest.raises(EngineError, match="a segment was not recognized within 0 s"):
        plain_processes.PlainProcesses(config, 1, lambda: None).work([job])


def test_a_worker_that_soon_counts_as_stuck_is_no_hurry_for_the_reference() -> None:
    config = quick("server.stuck_s=0.1", "server.stuck_rtf=0")
    assert plain_processes.patience(config) == plain_processes.SEGMENT_S
    assert plain_processes.patience(quick("server.stuck_rtf=100")) > 1900


def test_a_reference_that_does_not_load_ends_in_time() -> None:
    ours, _theirs = multiprocessing.Pipe()
    with pytest.raises(EngineError, match=r"said nothing within 0\.2 s"):
        plain_processes.ready(ours, time.monotonic() + 0.2, "0.2 s")


def test_a_server_that_is_given_a_second_gives_the_reference_no_less_than_it_needs() -> None:
    assert plain_processes.loading(quick("server.ready_timeout=1")) == plain_processes.LOAD_S
    assert plain_processes.loading(quick("server.ready_timeout=900")) == 900


def test_a_reference_that_stands_still_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds it: its own deadlines may not come."""
    monkeypatch.setattr(plain_processes, "LOOK_S", 0.1)
    monkeypatch.setattr(plain_processes, "LOAD_S", 0.0)
    monkeypatch.setattr(plain_processes, "SEGMENT_S", 0.0)
    child = Child([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "reference.log")
    try:
        began = time.monotonic()
        with pytest.raises(HarnessError, match="the reference made no progress for"):
            reference._wait(child, tmp_path / ".beat", quick("server.ready_timeout=0.5"))
        assert 0.5 < time.monotonic() - began < 30 * SLOW
    finally:
        child.stop(0.1)


def test_a_reference_that_goes_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_processes, "LOOK_S", 0.1)
    monkeypatch.setattr(plain_processes, "LOAD_S", 0.0)
    monkeypatch.setattr(plain_processes, "SEGMENT_S", 0.0)
    beat = tmp_path / ".beat"
    steps = f"import pathlib, time\nfor _ in range(12): pathlib.Path({str(beat)!r}).touch(); time.sleep(0.4)"
    child = Child([sys.executable, "-c", steps], tmp_path / "reference.log")
    try:
        reference._wait(child, beat, quick(f"server.ready_timeout={2 * SLOW}"))  # raises nothing
    finally:
        child.stop(0.1)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's modelscope; returns the file of the function that fetches."""
    place = tmp_path / "modelscope" / "hub"
    place.mkdir(parents=True)
    for folder in (place.parent, place):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return place / "snapshot_download.py"


def test_a_model_is_not_fetched_for_ever(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.write_text("import time\ndef snapshot_download(name): time.sleep(600)")
    monkeypatch.setattr(folders, "FETCH_S", 0.5)
    with pytest.raises(EngineError, match=r"engine\.model_id=a/b: was not fetched within 0 s; download that model"):
        ParaformerConfig(model_id="a/b").prepare(print)


def test_why_a_model_cannot_be_fetched(hub: Path) -> None:
    hub.write_text("def snapshot_download(name): print('looking'); raise OSError(f'no {name} there\\nat all')")
    with pytest.raises(EngineError, match=r"engine\.model_id=a/b: cannot be fetched \(no a/b there\); check the name"):
        ParaformerConfig(model_id="a/b").prepare(print)


def test_a_model_that_is_fetched_is_there(hub: Path, tmp_path: Path) -> None:
    at = tmp_path / "cache"
    hub.write_text(
        "import pathlib\n"
        "def snapshot_download(name, local_files_only=False):\n"
        f"    local_files_only or pathlib.Path({str(at)!r}).mkdir(); return {str(at)!r}"
    )
    ParaformerConfig(model_id="a/b").prepare(print)
    assert folders._fetched("a/b") == at and at.is_dir()


def test_a_wait_ends_when_it_is_over() -> None:
    looked: list[int] = []
    began = time.monotonic()
    assert not wait_until(lambda: bool(looked.append(1)), 0.2, 0.05, lambda: None)
    assert time.monotonic() - began >= 0.2
    assert len(looked) >= 2  # the last time when it is over
    assert wait_until(lambda: True, 0.0, 1.0)


def test_a_client_that_is_stopped_does_not_hang_its_run(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "client.log")
    try:
        with pytest.raises(HarnessError, match=r"client was not ready within 0\.3 s"):
            readiness.of_first_requests(tmp_path / ".warm", child, None, 0.3, lambda: None)
    finally:
        child.kill(1.0)


@pytest.mark.parametrize(("code", "failure"), [(1, "harness"), (2, "settings")])
def test_a_client_that_was_asked_for_what_cannot_be_done_fails_its_run_for_good(
    code: int, failure: str, tmp_path: Path
) -> None:
    child = Child([sys.executable, "-c", f"print('load.csv: no'); raise SystemExit({code})"], tmp_path / "client.log")
    config = quick()
    record = RunRecord(0, "workers=1", config, config.load, tmp_path)
    try:
        status = attempt(record, lambda: readiness.of_tool(tmp_path / "none", child, 60.0 * SLOW, lambda: None))
    finally:
        child.kill(1.0)
    assert (status, record.failure) == ("failed", failure)
    assert record.error == f"client ended with code {code}: load.csv: no"
    assert issubclass(LastingError, HarnessError)  # whoever catches the one is told of the other


def test_a_run_may_take_as_long_as_all_its_waits() -> None:
    config = quick("server.ready_timeout=7", "server.grace=1", "load.timeout=100", "hours=2")
    assert deadlines.load(config) == 7200 + 100 + deadlines.SPARE_S
    assert deadlines.first_requests(config) > config.target.probe_timeout
    parts = deadlines.load(config) + deadlines.first_requests(config)
    assert deadlines.run(config) >= parts + 4 * 7 + 4 * 3 * 1


@pytest.mark.skipif(sys.platform == "win32", reason="of process groups")
def test_what_a_run_leaves_behind_does_not_hold_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has its stdout still, in a session of its own."""
    pid = tmp_path / "pid"
    left = "import time; time.sleep(600)"
    code = (
        "import subprocess, sys, pathlib; "
        f"child = subprocess.Popen([sys.executable, '-c', {left!r}], start_new_session=True); "
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid)); print('ok: all of it')"
    )
    monkeypatch.setattr(local, "python", lambda *_: [sys.executable, "-c", code])
    try:
        ended = local.execute(tmp_path, {}, 60.0 * SLOW, {}, lambda: None)
        assert (ended.code, ended.said) == (0, "ok: all of it")
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_twin_is_not_made_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "BUILD_S", 0.01)
    with pytest.raises(EngineError, match=r"engine\.twin=tiny: was not made within"):
        folders._build(ParaformerConfig(twin="tiny"), tmp_path / "twins" / "tiny")


@pytest.mark.slow
@given(st.text(alphabet="\\${}:a?'\"n .[],", max_size=9))
def test_a_text_is_resolved_once(text: str) -> None:
    """What a setting came to is its value, whatever it looks like."""
    tree: dict[str, Any] = to_dict(Config(engine=NullConfig()))
    tree["name"] = literal(text)
    tree["server"]["token"] = "${name}" if text else None
    config = resolve(tree)
    assert (config.name, config.server.token) == (text, text or None)


@pytest.mark.parametrize("token", ["s3${cret}", "${name}", "\\${x}", "${oc.env:HOME}"])
def test_a_token_of_any_text_reaches_the_children(token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tool.TOKEN, token)
    path = tmp_path / ".config.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(literal(to_dict(Config(engine=NullConfig()))))))
    call = tool.parse(["--config", str(path)], "x", "x", {})
    assert call.config.server.token == token
