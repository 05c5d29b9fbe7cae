"""The advice: what one more worker brings, what binds, what one worker with more threads would do."""

from typing import Any

import pytest
from test_analysis import config, made_run, report

from capsexp.analysis import recommend, scaling


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
