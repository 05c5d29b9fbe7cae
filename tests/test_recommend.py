"""The advice: what one more worker brings, what binds, what one worker with more threads would do."""

from typing import Any

import pytest
from test_analysis import CONTROLS, LIMITS, RIGHT, config, made_run, report, trials

from capsexp.analysis import aggregate, recommend, scaling, settle


def advice(*runs: dict[str, Any], cpus: int = 4, **change: Any) -> dict[str, Any]:
    found = report(*runs)
    for one in found:
        one["cpu"]["utilisation"] = 0.9 * one["workers"] * one["threads"] / cpus
        one |= change
    fit = scaling.extrapolate(found, cpus, 6144.0)
    chosen = recommend.recommend(found, 0.05, [fit] if fit else [], cpus)
    assert chosen is not None
    return chosen


def test_the_next_worker_as_it_was_measured() -> None:
    found = advice(made_run(1, 10.0, 900.0), made_run(2, 5.0, 1600.0), made_run(3, 4.95, 3400.0), cpus=2)
    assert found["next"] == {
        "workers": 3, "gain": pytest.approx(0.0101, abs=1e-4), "more_mb": 1800, "predicted": False,
        "but": "does not pass (memory_growth)",
    }  # fmt: skip
    assert found["next_sentence"] == "Run 2; a third adds +1 % for +1.8 GB, but does not pass (memory_growth)."
    assert found["binds"] == "Cores bind: 2 threads on 2 CPUs, 90 % used."


def test_cores_that_bind_only_the_counts_that_did_not_pass() -> None:
    found = advice(made_run(1, 10.0), made_run(2, 8.0), made_run(3, 8.0), cpus=2)
    assert (found["workers"], found["binds"]) == (1, "Cores bind from 2 workers on: 2 threads on 2 CPUs, 90 % used.")


def test_the_next_worker_as_it_is_predicted() -> None:
    found = advice(made_run(1, 10.0, 100.0), made_run(2, 5.0, 180.0), made_run(3, 10 / 3, 240.0))
    assert (found["next"]["workers"], found["next"]["predicted"]) == (4, True)
    assert found["next_sentence"].startswith("Run 3; a fourth adds +33 % for +")
    assert found["next_sentence"].endswith(" MB (predicted, not measured).")
    assert advice(made_run(1, 10.0, 100.0), made_run(2, 5.0, 180.0))["next"] is None  # of two counts
    several = advice(made_run(1, 10.0), made_run(2, 5.0), made_run(4, 5.0))
    assert several["next_sentence"].startswith("Run 2; 2 more add ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "Nothing was seen to bind up to 2 workers; workers=4 would show what does."),
        ({"timeline": {"front_busy": 0.95}}, "The server's front binds: it was busy 95 % of the time."),
        ({"timeline": {"queue_empty": 0.7}}, "Requests bind: no segment waited during 70 % of the time"),
        ({"client_s": 4.5}, "The client binds: it used 90 % of a CPU."),
        ({"limit": 300.0}, "Memory binds: 340 MB with 4 workers, of 300."),
    ],
)
def test_what_binds(change: dict[str, Any], said: str) -> None:
    two = report(made_run(1, 10.0), made_run(2, 5.0, 180.0))[1]
    two["timeline"] = change.get("timeline")
    two["cpu"] = {"utilisation": 0.2, "client_s": change.get("client_s")}
    for gate in two["gates"]:
        if gate["name"] == "peak_memory_mb":
            gate["limit"] = change.get("limit", 6144.0)
    following = {"workers": 4, "gain": 0.1, "more_mb": 160.0, "predicted": False}
    assert recommend.binds(two, [two], following, 16, {}, 0.05).startswith(said)


def test_one_worker_alone_is_told_in_the_singular() -> None:
    found = advice(made_run(1, 10.0), cpus=16, timeline=None)
    assert found["binds"] == "Nothing was seen to bind with 1 worker; workers=2 would show what does."
    assert found["reason"].endswith("; nothing with more workers was measured to compare it with.")


def test_what_binds_is_said_from_use_and_not_from_counts() -> None:
    two = report(made_run(1, 10.0), made_run(2, 5.0, 180.0))[1]
    two |= {"threads": 64, "cpu": {"utilisation": 0.07, "client_s": 0.1}}
    two["timeline"] = {"workers_busy": [0.97, 0.96], "queue_empty": 0.1, "client_waiting": 0.9}
    said = recommend.binds(two, [two], None, 2, {}, 0.05)
    assert "Cores" not in said  # 128 threads on 2 CPUs, of which 7 % are used
    two["timeline"] = {"workers_busy": [0.5, 0.5], "queue_empty": 0.7, "client_waiting": 0.9}
    assert "load.repeats" in recommend.binds(two, [two], None, 2, {}, 0.05)
    bounded = recommend.binds(two, [two], None, 2, {"workers=2": 4}, 0.05)
    assert "load.concurrency=4" in bounded
    assert "load.repeats" not in bounded  # as short clips under bounded load: more of them change nothing
    two["timeline"] = {"workers_busy": [0.95, 0.95], "queue_empty": 0.7, "client_waiting": 0.9}
    assert "Requests" not in recommend.binds(two, [two], None, 2, {}, 0.05)  # nobody is idle


def test_a_single_worker_with_as_many_threads_is_compared() -> None:
    def run(workers: int, threads: int, makespan: float, key: str) -> dict[str, Any]:
        made = config(workers=workers, threads=threads, engine={"name": "paraformer"})
        return made_run(workers, makespan, key=key, threads=threads, engine="paraformer", config=made)

    narrow, wide, two = run(1, 1, 10.0, "narrow"), run(1, 2, 6.0, "wide"), run(2, 1, 5.0, "two")
    found = {c["key"]: c for c in report(narrow, wide, two)}
    assert found["wide"]["role"] == "equal-core baseline"
    assert found["two"]["equal_core"]["baseline"] == "wide"
    assert found["two"]["equal_core"]["speedup"]["median"] == pytest.approx(1.2)
    found = {c["key"]: c for c in report(narrow, two)}
    assert "threads=1,2 would add one" in found["two"]["equal_core"]["reason"]
    assert found["two"]["equal_core"]["baseline"] is None


def test_samples_bring_their_own_interval_of_wer() -> None:
    errors = {f"s{n}": {"wer": (n % 2, 20), "cer": (n % 2, 80)} for n in range(9)}
    judged = {"requests": 9, "completed": 9, "identical": 9, "ratio": 1.0, "wer": 0.02, "cer": 0.005, "wrong": []}
    only = report(made_run(1, 10.0), judged={**judged, "errors": errors}, limits={"wer": 0.021, "cer": 0.5})[0]
    low, high = only["correctness"]["wer_ci95"]
    assert low < 4 / 180 < high
    assert {g["name"]: g["verdict"] for g in only["gates"]} == {"wer": "INCONCLUSIVE", "cer": "PASS"}
    assert "more samples would settle it" in next(g["reason"] for g in only["gates"] if g["name"] == "wer")


def why_nothing(*runs: dict[str, Any]) -> str | None:
    found = report(*runs)
    (only,) = recommend.advise(found, {run["key"]: run["config"] for run in runs}, 0.05)
    assert only["recommendation"] is None
    return only["reason"]


def test_why_nothing_is_recommended() -> None:
    assert why_nothing() == "no run was made"
    struck = [made_run(w, 10.0 / w, config=config(workers=w, fault={"name": "kill_worker"})) for w in (1, 2)]
    assert why_nothing(*struck) == "faults were injected in every run"
    assert why_nothing(made_run(1, None)) == "no configuration completed its requests"
    disturbed = [[{"code": "OTHER_CPU", "reason": "so"}]]
    too_large = aggregate.configurations([made_run(1, 10.0, 9000.0)], [RIGHT], CONTROLS, LIMITS, disturbed)
    (nothing,) = recommend.advise(too_large, {"workers=1": config(workers=1)}, 0.05)
    assert nothing["reason"] == "nothing that was measured keeps within its limits, as far as the runs tell"


def test_what_there_is_no_baseline_for_is_said_as_it_is() -> None:
    two, _ = found = report(made_run(2, 10.0), made_run(4, 5.0))
    assert {g["reason"] for g in found[1]["gates"] if g["name"] == "speedup"} == {
        "no baseline: workers=1 was not measured, the fewest were 2"
    }
    _, two = report(made_run(1, None), made_run(2, 5.0))
    assert next(g["reason"] for g in two["gates"] if g["name"] == "speedup") == (
        "no baseline: workers=1 did not complete its requests"
    )
    heavy = made_run(1, 10.0, 7000.0)
    assert why_nothing(heavy) == "no configuration passes its gates (peak_memory_mb)"


def test_a_configuration_of_which_no_run_was_made_is_no_group_of_its_own() -> None:
    found = [*report(made_run(1, 10.0)), aggregate.empty("workers=9", "missing", "not run")]
    assert [one["group"] for one in recommend.advise(found, {"workers=1": config()}, 0.05)] == [""]


def open_sweep(*trial: tuple[float, float]) -> list[dict[str, Any]]:
    """One and two workers' makespans, trial by trial."""
    return report(*trials(1, *(one for one, _ in trial)), *trials(2, *(two for _, two in trial)))


def test_trials_that_would_decide_are_asked_for_only_where_a_sweep_may_have_as_many() -> None:
    found = open_sweep((10.0, 6.6), (10.1, 6.8), (9.9, 6.5))
    (needed,) = (gate["trials"] for gate in found[1]["gates"] if gate["verdict"] == "INCONCLUSIVE")
    said = settle.settle(found, 3, False, most=2 * needed)
    assert (said or {})["overrides"] == [f"trials={needed}"]
    said = settle.settle(found, 3, False, most=2 * needed - 1)
    assert (said or {})["overrides"] is None
    said = settle.settle(found, 3, True)
    assert said == {"overrides": [], "note": "makes the runs that are missing or were cut short"}
    decided = open_sweep((10.0, 5.0), (10.0, 5.0), (10.0, 5.0))
    assert settle.settle(decided, 3, False) is None


@pytest.mark.parametrize(
    ("codes", "overrides"),
    [(["TOO_SHORT"], None), (["OTHER_CPU"], ["trials_max=5"]), (["TOO_SHORT", "OTHER_CPU"], None)],
)
def test_a_run_that_is_too_short_is_too_short_again(codes: list[str], overrides: list[str] | None) -> None:
    why = [{"code": code, "reason": "so"} for code in codes]
    runs = [*trials(1, 10.0, 10.0), *trials(2, 5.0, 5.0)]
    found = aggregate.configurations(runs, [RIGHT] * 4, CONTROLS, LIMITS, [[], [], why, why])
    assert found[1]["verdict"] == "INVALID"
    said = settle.settle(found, 3, False)
    assert said is not None
    assert said["overrides"] == overrides
    assert ("longer runs" in said["note"]) == (overrides is None)


@pytest.mark.parametrize(
    ("worse", "but"),
    [
        ({"status": "failed", "throughput_xrt": None}, "ended as failed"),
        ({"throughput_xrt": None}, "did not complete all requests"),
    ],
)
def test_the_next_worker_of_which_there_is_no_figure(worse: dict[str, Any], but: str) -> None:
    found = report(made_run(1, 10.0), made_run(2, 5.0), made_run(3, 4.0))
    found[2] |= {"verdict": "NOT_FEASIBLE", **worse}
    advised = recommend.recommend(found, 0.05)
    assert advised is not None
    assert (advised["next"]["workers"], advised["next"]["gain"], advised["next"]["but"]) == (3, None, but)
    assert advised["next_sentence"] == f"Run 2; a third {but}."
    assert advised["binds"] == "Nothing was seen to bind up to 2 workers; with 3 there is no figure."
