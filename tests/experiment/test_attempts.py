"""A run that is made elsewhere: each attempt in a folder of its own, of which one counts."""

import contextlib
import json
import threading
import time
from pathlib import Path

import pytest

from capsexp.experiment import heartbeat
from capsexp.experiment.attempts import Attempt, adopt, node_before, owned
from capsexp.experiment.heartbeat import Listener, exclusive
from capsexp.results.attempts import folders, number, place
from capsexp.results.forms import typed
from capsexp.results.handover import Job
from capsexp.waiting import wait_until
from tests.support import PATIENCE


def a_run(folder: Path) -> Path:
    run_dir = folder / "0-workers=1"
    run_dir.mkdir()
    (run_dir / "replay.yaml").write_text("workers: 1\n")
    said = {"num": 0, "key": "workers=1", "trials": 1, "load": {"repeats": 1, "concurrency": None}}
    (run_dir / "job.json").write_text(json.dumps(said))
    return run_dir


def make(attempt: Path, status: str, text: str = "") -> None:
    (attempt / "transcripts").mkdir()
    (attempt / "transcripts" / "a.json").write_text(text)
    (attempt / "server.log").write_text(text)
    (attempt / "run.json").write_text(json.dumps({"status": status}))


def test_an_attempt_that_is_complete_becomes_the_run(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    attempt = Attempt(run_dir)
    assert (attempt.dir / "replay.yaml").read_text() == "workers: 1\n"
    sweep = attempt.dir / json.loads((attempt.dir / "job.json").read_text())["sweep"]
    assert sweep.resolve() == tmp_path  # where the reference is
    assert place(run_dir) == attempt.dir  # for who looks on
    assert not attempt.complete()
    make(attempt.dir, "ok", "heard")
    assert attempt.complete()
    attempt.keep()
    attempt.note("slurm", "7", "node1", "COMPLETED", {"constraint": "big"})
    assert place(run_dir) == run_dir
    assert (run_dir / "transcripts" / "a.json").read_text() == "heard"
    assert sorted(path.name for path in run_dir.iterdir()) == [
        "attempts.json", "job.json", "replay.yaml", "run.json", "server.log", "transcripts"
    ]  # fmt: skip
    assert node_before(tmp_path, {"constraint": "big"}) == "node1"
    assert node_before(tmp_path, {"constraint": "small"}) is None  # which node1 may not be
    assert node_before(tmp_path, {}) is None


def test_what_was_given_up_leaves_its_logs_alone_and_its_job_writes_nowhere(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    lost = Attempt(run_dir)
    make(lost.dir, "ok", "of the lost one")
    lost.give_up()
    lost.note("slurm", "7", "node1", "NODE_FAIL", {})
    assert not (run_dir / "run.json").exists()
    assert (run_dir / "server.log").read_text() == "of the lost one"
    with pytest.raises(FileNotFoundError):
        (lost.dir / "run.json").write_text("later")
    again = Attempt(run_dir)
    assert again.number == 2  # no name is given twice
    make(again.dir, "ok", "of the other")
    again.keep()
    assert (run_dir / "server.log").read_text() == "of the other"


def test_two_attempts_never_share_a_folder(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(Attempt(run_dir).dir)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20
    assert sorted(map(number, folders(run_dir))) == list(range(1, 21))


def test_of_a_sweep_that_was_killed_the_newest_complete_attempt_counts(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    for text, status in (("first", "ok"), ("second", "ok"), ("cut short", "interrupted")):
        make(Attempt(run_dir).dir, status, text)
    adopt(run_dir)
    assert (run_dir / "server.log").read_text() == "second"
    before = (run_dir / "run.json").read_bytes()
    make(Attempt(run_dir).dir, "ok", "a job that was thought to be gone")
    adopt(run_dir)
    assert (run_dir / "run.json").read_bytes() == before
    assert (run_dir / "server.log").read_text() == "second"


def test_an_owner_says_who_it_is_and_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.02)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURMD_NODENAME", "node2")
    attempt = Attempt(a_run(tmp_path))
    assert attempt.owner() is None
    with owned(attempt.dir):
        owner = attempt.owner()
        assert owner is not None
        assert (owner["job"], owner["node"]) == ("7", "node2")
        said = set[str]()

        def heard() -> bool:
            with contextlib.suppress(FileNotFoundError):
                said.add((attempt.dir / ".alive").read_text())
            return len(said) > 3

        assert wait_until(heard, PATIENCE, 0.01)
    attempt.silent_s()  # the last one
    time.sleep(0.25)
    assert attempt.silent_s() > 0.2


def test_a_lock_is_one_machines_at_a_time_and_expires_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.02)
    monkeypatch.setattr(heartbeat, "EXPIRES_S", PATIENCE)
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with exclusive(tmp_path / "a" / "lock", lambda: None):
            inside += 1
            most = max(most, inside)
            time.sleep(0.05)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == 1
    (tmp_path / "lock").write_text("of somebody who died")
    monkeypatch.setattr(heartbeat, "EXPIRES_S", 1.0)
    began = time.monotonic()
    with exclusive(tmp_path / "lock", lambda: None):
        assert time.monotonic() - began >= 1.0
    assert not (tmp_path / "lock").exists()


def test_an_owner_that_stood_still_leaves_its_lock_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.02)
    path = tmp_path / "lock"
    with exclusive(path, lambda: None):
        assert wait_until(lambda: len(path.read_text().split()) == 2, PATIENCE, 0.01)
        path.write_text("another 0")  # who found it expired, and took it
        time.sleep(0.2)
        assert path.read_text() == "another 0"
    assert path.read_text() == "another 0"


def test_a_lock_that_was_taken_a_moment_ago_is_not_expired(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("next 0")
    heartbeat._expire(path, "dead 7", "mine")
    assert path.read_text() == "next 0"
    heartbeat._expire(path, "next 0", "mine")
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_can_be_interrupted(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    (tmp_path / "lock").write_text("of another")
    with pytest.raises(KeyboardInterrupt), exclusive(tmp_path / "lock", interrupted):
        pytest.fail("has the lock of another")


def test_nobody_is_heard_where_nothing_is_said(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "none")
    time.sleep(0.1)
    assert listener.silent_s() >= 0.1


def test_a_job_leads_to_no_folder_but_its_sweeps() -> None:
    said = {"num": 0, "key": "workers=1", "trials": 1, "load": {"repeats": 1, "concurrency": None}}
    assert typed({**said, "sweep": "../.."}, Job).sweep == "../.."
    for bad in ("/etc", "../../../..", ".", "../x"):
        with pytest.raises(ValueError, match="no folder above"):
            typed({**said, "sweep": bad}, Job)
