"""Sweeps as values, and the reports made of them: no file, no process."""

from collections.abc import Sequence
from typing import Any

from test_analysis import LIMITS, config, made_run

from capsexp.limits import ThresholdsConfig
from capsexp.report import build
from capsexp.report.exporters import markdown, text
from capsexp.report.load import RunFiles, SweepFiles

CONTROL = {
    "engine": "null", "threads": 1, "deterministic": True,
    "texts": {"s0": {"text": "so it is", "text_accu": "so it is"}},
    "runs": [{"processes": 1, "throughput_xrt": 10.0, "makespan_s": 10.0, "load_s": 0.1}],
}  # fmt: skip


_TREE = config()


def a_run(workers: int | None, makespan: float | None, mb: float = 100.0, **more: Any) -> RunFiles:
    """`texts`: what was heard of the one request; `settings`: of its configuration; `disturbed`: by swapping."""
    heard, settings, disturbed = (
        more.pop(k, d) for k, d in (("heard", "so it is"), ("settings", {}), ("disturbed", 0))
    )
    tree = {**_TREE, "workers": workers or 1}
    for key, value in settings.items():
        group, _, name = key.rpartition(".")
        if group:
            tree[group] = {**tree[group], name: value}
        else:
            tree[key] = value
    run = {
        **made_run(workers or 1, makespan, mb, config=tree), "num": 0, "twin": False, "warnings": [], "skipped": [],
        "machine_cpus": 4, "server": tree["server"]["name"], "language": "en",
        "window_s": {"start": 0.0, "end": makespan}, "samples": [{"name": "s0", "duration_s": 10.0, "sha256": "0"}],
        "engine": tree["engine"]["name"], "dispatch": tree["server"]["dispatch"], "threads": tree["threads"],
        "pool": tree["pool"]["name"], "workers": workers, "config": tree, **more,
    }  # fmt: skip
    if run["metrics"]:
        run["metrics"] = {**run["metrics"], "client_max_loop_lag_s": 0.0, "swap_in_mb": float(disturbed), "requests": 1,
                          "completed": int(makespan is not None)}  # fmt: skip
    request = {
        "request": 0, "task_id": "t0", "sample": "s0", "duration_s": 10.0, "start_s": 0.0, "sent_s": 1.0,
        "first_result_s": 2.0, "final_s": makespan, "results": 1, "finals": 1, "foreign": 0, "result_duration_s": 10.0,
        "status": "ok" if makespan else "failed", "error": None,
    }  # fmt: skip
    answer = {"request": 0, "task_id": "t0", "text": heard, "text_accu": heard, "duration": 10.0}
    return RunFiles(run, [request], {"s0": {"sample": "s0", "reference": None, "results": [answer]}}, [], [])


def a_sweep(
    runs: Sequence[RunFiles], missing: Sequence[tuple[str, int]] = (), interrupted: bool = False, **more: Any
) -> SweepFiles:
    for num, run in enumerate(runs):
        run.run["num"] = num
    planned = [(r.run["key"], r.run["trial"]) for r in runs] + list(missing)
    sweep = {
        "name": "sweep", "folder": "outputs/2026-01-01/10-00-00-sweep", "interrupted": interrupted, "argv": [],
        "planned": [{"num": n, "dir": f"{n}-{k}", "key": k, "trial": t} for n, (k, t) in enumerate(planned)],
        "thresholds": {**vars(ThresholdsConfig()), **LIMITS}, "validity": {"swap_in_mb": 16.0}, "report": {},
        "trials": 3, "trials_max": 10, **more,
    }  # fmt: skip
    left = [{"key": k, "trial": t, "dir": f"x-{k}"} for k, t in missing]
    return SweepFiles(sweep, {"cpu": "CPU", "cpus_usable": 4, "memory_mb": 8192}, list(runs), left, {"c": CONTROL})


def reported(*runs: RunFiles, **more: Any) -> tuple[dict[str, Any], str]:
    """report.json and report.txt; report.md is rendered as well."""
    report = build.assemble(a_sweep(runs, **more))
    markdown.render(report)
    return report, text.render(report)
