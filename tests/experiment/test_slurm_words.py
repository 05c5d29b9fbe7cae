"""What Slurm is told, and what it says, as values."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.compose import compose
from capsexp.errors import ConfigError, HarnessError
from capsexp.experiment.attempts import Attempt
from capsexp.experiment.executors import JobEnd, _slurm, slurm
from capsexp.experiment.executors._slurm import Job


def line(*overrides: str, node: str | None = None, within_s: float = 90.0, binds: bool = False) -> list[str]:
    options = compose(["engine=null", "executor=slurm", *overrides]).executor.told()
    return _slurm.launch(options, "capsexp-1", node, within_s, binds, ["python", "-m", "capsexp.run", "/x"])


def test_a_job_has_its_node_for_itself() -> None:
    assert line() == [
        "srun", "--job-name=capsexp-1", "--nodes=1", "--ntasks=1", "--exclusive", "--mem=0", "--unbuffered",
        "--time=3", "python", "-m", "capsexp.run", "/x",
    ]  # fmt: skip
    assert "--cpu-bind=none" in line(binds=True)  # else one task of one CPU is pinned to it


def test_settings_become_options() -> None:
    said = line(
        "executor.partition=fast", "executor.constraint=big", "executor.time_limit_min=7",
        "executor.arguments=--account=us --qos=low", node="node1",
    )  # fmt: skip
    assert said[7:13] == ["--time=7", "--partition=fast", "--constraint=big", "--nodelist=node1",
                          "--account=us", "--qos=low"]  # fmt: skip
    assert "--nodelist=node2" in line("executor.node=node2", node="node1")  # what is asked for comes first
    assert not [word for word in line(within_s=float("inf")) if word.startswith("--time")]


def test_a_sweep_finds_its_own_jobs_and_no_others() -> None:
    assert _slurm.name(Path("/a/b")) == _slurm.name(Path("/a/b"))
    assert len({_slurm.name(Path(name)) for name in ("/a/b", "/a/c", "/a")}) == 3


def test_a_runner_within_a_job_starts_jobs_of_their_own() -> None:
    env = {"SLURM_JOB_ID": "1", "SLURM_CONF": "/etc/slurm.conf", "SLURM_NTASKS": "4", "PATH": "/bin", "SLURMX": "1"}
    assert _slurm.without_job(env) == ["SLURM_JOB_ID", "SLURM_NTASKS"]


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        ("TIMEOUT", "job 7 was lost: Slurm says TIMEOUT; raise executor.time_limit_min"),
        ("NODE_FAIL", "says NODE_FAIL; the node failed; its run is made again by resume=FOLDER, on another with"),
        ("CANCELLED", "says CANCELLED; its run is made again by resume=FOLDER"),
        (None, "says nothing about it any more; its run is made again"),
    ],
)
def test_a_job_that_was_lost_is_told_with_what_helps(ended: str | None, says: str) -> None:
    assert says in _slurm.lost("job 7", ended)


UNSEEN = "node2 does not see /scratch; share it with the nodes"


@pytest.mark.parametrize(
    ("remembered", "said", "says"),
    [
        # Of an earlier run of the sweep, and the one that ended before anybody looked.
        ("7|COMPLETED|None|node1\n8|FAILED|NonZeroExitCode|node2\n", UNSEEN, f"^job 8 on node2 .* code 2: {UNSEEN}$"),
        ("8|FAILED|NonZeroExitCode|node2\n", "no output", r"^job 8 on node2 .* code 2: does that node see .* and .*\?"),
        ("7|COMPLETED|None|node1\n", UNSEEN, rf"started no job, or one that ended at once \({UNSEEN}\); see srun"),
        ("", "no output", "started no job, or one that ended at once; see srun's own message"),
    ],
)
def test_a_job_that_ended_at_once_is_told_with_its_node_and_what_that_does_not_see(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, remembered: str, said: str, says: str
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(*words: str) -> str | None:
        asked.append(words)
        return remembered

    monkeypatch.setattr(slurm, "_ask", ask)
    run_dir = tmp_path / "0-workers=1"
    run_dir.mkdir()
    (run_dir / "replay.yaml").write_text("")
    (run_dir / "job.json").write_text(
        '{"num": 0, "key": "workers=1", "trials": 1, "load": {"repeats": 1, "concurrency": null}}'
    )
    attempt = Attempt(run_dir)
    watch = slurm._Watch("capsexp-1", {"7"}, attempt, 90.0, {}, lambda: None)
    watch.seen()
    assert "--states=all" in asked[0]
    with pytest.raises(HarnessError, match=says):
        slurm._outcome(attempt, watch, "FAILED", {}, JobEnd(2, said))
    assert not attempt.dir.exists()


def answering(*answers: str | None) -> Iterator[str | None]:
    """Of squeue, one after the other; the last again and again."""
    yield from answers
    while True:
        yield answers[-1]


@pytest.mark.parametrize(
    ("answers", "sure", "cancelled"),
    [
        ([""], True, []),
        ([None, ""], True, []),  # no answer is not an empty queue
        ([None], False, []),
        (["12|RUNNING|None|node1\n", None, "12|COMPLETING|None|node1\n", ""], True, ["12"]),
        (["12|RUNNING|None|node1\n"], False, ["12"]),
    ],
)
def test_jobs_are_gone_when_slurm_says_so(
    monkeypatch: pytest.MonkeyPatch, answers: list[str | None], sure: bool, cancelled: list[str]
) -> None:
    said, asked = answering(*answers), []

    def ask(*words: str) -> str | None:
        if words[0] == "squeue":
            return next(said)
        asked.append(words)
        return ""

    monkeypatch.setattr(slurm, "_ask", ask)
    monkeypatch.setattr(slurm, "GONE_S", 1.5)
    assert slurm._cancel("capsexp-1") == sure
    assert [word for words in asked for word in words[1:]] == cancelled


def test_the_queue_is_read() -> None:
    said = "12|PENDING|Resources|\n13|RUNNING|None|node2\nslurm_load_jobs error\n"
    assert _slurm.queued(said) == [Job("12", "PENDING", "Resources"), Job("13", "RUNNING", "None", "node2")]
    assert _slurm.queued("") == []


SHOWN = (
    "JobId=2 JobName=capsexp-abc UserId=root(0) Priority=1 JobState=NODE_FAIL Reason=NodeDown Dependency=(null) "
    "Requeue=1 ExitCode=0:1 ReqNodeList=node9 ExcNodeList=(null) NodeList=node2 BatchHost=node2"
)


def test_a_job_is_read() -> None:
    assert _slurm.described(SHOWN) == Job("2", "NODE_FAIL", "NodeDown", "node2")
    assert _slurm.described("slurm_load_jobs error: Invalid job id specified") is None
    waiting = _slurm.described("JobId=3 JobState=PENDING Reason=BadConstraints NodeList=(null)")
    assert waiting == Job("3", "PENDING", "BadConstraints", "")
    assert waiting is not None
    assert _slurm.hopeless(waiting) == (
        "job 3 will not begin (BadConstraints): no node has what executor.constraint asks for"
    )
    assert _slurm.hopeless(Job("3", "PENDING", "Priority")) is None
    assert _slurm.hopeless(Job("3", "RUNNING", "BadConstraints")) is None


@given(st.text())
def test_whatever_slurm_says_is_no_error(said: str) -> None:
    _slurm.queued(said)
    _slurm.described(said)


def test_where_there_is_no_slurm_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="executor=slurm: no srun here"):
        slurm.ready({})
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(slurm, "_ask", lambda *words: None)
    with pytest.raises(ConfigError, match="sinfo gets no answer from the cluster"):
        slurm.ready({})
