"""What is shown of what is known, on values."""

from dataclasses import replace

import pytest

from capsexp.live.standing import Standing
from capsexp.live.state import Known, Look, Progress, RunSeen, Tick, phase, shown, time_left

RUNS = (
    RunSeen(0, "workers=1", 1, "ok", began=100.0, ended=130.0, load_s=24.0),
    RunSeen(1, "workers=2", 1, "ok", began=132.0, ended=150.0, load_s=12.0),
    RunSeen(2, "workers=1", 2, None, began=152.0),
    RunSeen(3, "workers=2", 2),
)
PROGRESS = Progress(start_s=4.0, at_s=16.0, done=3, heard_s=80.0, of=9, of_s=160.0)
UNDER_LOAD = Known(
    now=168.0, trials=2, runs=RUNS, at_work=2, files=frozenset({"job.json", ".pids", ".progress"}), progress=PROGRESS,
    cpus=2.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "making the reference"),
        (("job.json",), "starting"),
        (("job.json", ".pids"), "loading models"),
        (("job.json", ".pids", ".progress"), "load"),
        (("job.json", ".pids", ".progress", "client.json"), "collecting"),
        (("job.json", "client.json"), "collecting"),
    ],
)
def test_files_tell_the_phase(files: tuple[str, ...], said: str) -> None:
    assert phase(Known(0.0, runs=RUNS, at_work=2, files=frozenset(files))) == said


def test_a_checkpoint_of_hours_is_not_their_end() -> None:
    hours = Progress(start_s=1.0, at_s=37.0, done=500, heard_s=9e3, lasts_s=360.0)
    known = replace(UNDER_LOAD, progress=hours, files=UNDER_LOAD.files | {"client.json"})
    assert phase(known) == "load"
    assert shown(known).share == pytest.approx(0.1)
    assert shown(known).requests == "500 requests, 9000 s of audio"


def test_a_run_under_load() -> None:
    seen = shown(UNDER_LOAD)
    assert seen.where == "run 3 of 4: workers=1, trial 2"
    assert seen.share == 0.5
    assert seen.requests == "3 of 9 requests, 80 of 160 s of audio"
    assert seen.run_left_s == pytest.approx(12 + 2)  # of 24 s of load 12 are done, of 6 s beside it 4
    assert seen.sweep_left_s == pytest.approx(seen.run_left_s + 18 + 2)  # and from one run to the next


def test_between_two_runs_nothing_is_at_work() -> None:
    known = replace(UNDER_LOAD, at_work=None, progress=None)
    assert (phase(known), shown(known).where) == ("between two runs", "2 of 4 runs have ended")
    assert time_left(known).sweep_s == 30 + 18 + 2  # the first pause has passed
    assert phase(replace(known, runs=RUNS[3:])) == "getting ready"
    assert phase(replace(known, runs=RUNS[:2])) == "making the report"
    assert phase(replace(known, over=True)) == "over"
    assert time_left(replace(known, over=True)).sweep_s == 0


def test_what_references_took_is_not_expected_again() -> None:
    """A server is asked for its texts before the first run of each configuration: 100 s each time."""
    ran = (
        RunSeen(0, "workers=1", 1, "ok", began=100.0, ended=130.0, load_s=24.0),
        RunSeen(1, "workers=2", 1, "ok", began=230.0, ended=248.0, load_s=12.0),
        RunSeen(2, "workers=1", 2, "ok", began=251.0, ended=281.0, load_s=24.0),
    )
    known = Known(
        now=281.0, runs=(*ran, RunSeen(3, "workers=2", 2), RunSeen(4, "workers=3", 1)), expected={"workers=3": 8.0}
    )
    assert time_left(known).sweep_s == (3 + 18) + (100 + 6 + 8)


def test_more_runs_may_come_than_are_planned() -> None:
    disturbed = Standing("workers=1", 1, "-", "-", "-", "-", "disturbed: others", "bad", disturbed=True)
    assert shown(replace(UNDER_LOAD, standings=(disturbed,))).at_least
    assert not shown(UNDER_LOAD).at_least
    assert shown(replace(UNDER_LOAD, further_s=480.0)).further_s == 480.0


def test_others_that_use_the_cpus_are_told_when_they_are_seen() -> None:
    looks = (Look(0, {"make": 1.0}), Look(2, {"make": 2.0, "cc1": 9.0}), Look(4, {"make": 2.0, "cc1": 29.0}))
    # cc1 seems to have used 10 CPUs, of which there are 2
    assert shown(replace(UNDER_LOAD, others=looks)).disturbed == (
        "cc1 used 2.00 CPUs (now 2.00)", "make used 0.50 CPUs (now 0.00)",
    )  # fmt: skip
    assert shown(replace(UNDER_LOAD, others=(Look(0, {"cron": 1.0}), Look(2, {"cron": 1.02})))).disturbed == ()


def test_others_that_come_and_go_are_told_together() -> None:
    ticks = tuple(Tick(n, 90, 0.1, None, 0.0, others) for n, others in enumerate((None, 1.5, 1.9, 1.7)))
    assert shown(replace(UNDER_LOAD, ticks=ticks, ticked=168.0)).disturbed == ("others used 1.70 CPUs (now 1.70)",)
    few = tuple(replace(tick, others=0.1) for tick in ticks)
    assert shown(replace(UNDER_LOAD, ticks=few, ticked=168.0)).disturbed == ()


def test_what_the_host_takes_and_what_is_read_back_from_swap() -> None:
    ticks = (Tick(0, 90), Tick(1, 95, 1.5, 0.2, 0.0), Tick(2, 93, 1.2, 0.0, 4.0))
    seen = shown(replace(UNDER_LOAD, ticks=ticks, ticked=168.0))
    assert seen.disturbed == ("the host took 20 % (now 0 %)", "4 MB were read back from swap")
    assert (seen.memory, seen.memory_said) == ((90, 95, 93), "93 MB, at most 95")
    assert (seen.cpu, seen.cpu_said) == ((1.5, 1.2), "1.20 CPUs of 2")


def test_a_sweep_that_was_killed_gives_no_sign_of_life() -> None:
    assert shown(replace(UNDER_LOAD, ticked=120.0)).disturbed == ("no sign of life for 48 s",)
