"""Sweeps as values, and the reports made of them: no file, no process."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from capsexp.config import ThresholdsConfig
from capsexp.report import build
from capsexp.report.exporters import markdown, text
from capsexp.results.read import Missing, RunFiles, SweepFiles
from capsexp.results.report import Configuration, Report, TrialsAsked
from capsexp.results.run import Answer, ClientFacts, Run, SampleTexts
from capsexp.results.sweep import Sweep
from tests.support import values
from tests.support.values import LIMITS, REFERENCE, config

_TREE = config()


def a_run(workers: int | None, makespan: float | None, mb: float = 100.0, **more: Any) -> RunFiles:
    """One request for 10 s of audio on 4 CPUs, of whose time `cpu` was used. `heard`: of the request; `settings`: of
    its configuration; `disturbed`: MB of swapping."""
    heard, settings, disturbed, cpu = (
        more.pop(k, d) for k, d in (("heard", "so it is"), ("settings", {}), ("disturbed", 0), ("cpu", None))
    )
    tree = {**_TREE, "workers": workers or 1}
    for key, value in settings.items():
        group, _, name = key.rpartition(".")
        if group:
            tree[group] = {**tree[group], name: value}
        else:
            tree[key] = value
    run = values.a_run(
        **{
            "key": f"workers={workers or 1}", "workers": workers, "server": tree["server"]["name"], "language": "en",
            "window_s": {"start": 0.0, "end": makespan}, "engine": tree["engine"]["name"],
            "samples": [{"name": "s0", "duration_s": 10.0, "sha256": "0"}], "dispatch": tree["server"]["dispatch"],
            "threads": tree["threads"], "pool": tree["pool"]["name"], "config": tree, **more,
        }
    )  # fmt: skip
    request = {
        "request": 0, "task_id": "t0", "sample": "s0", "duration_s": 10.0, "start_s": 0.0, "sent_s": 1.0,
        "first_result_s": 2.0, "final_s": makespan, "results": 1, "finals": 1, "foreign": 0, "result_duration_s": 10.0,
        "status": "ok" if makespan else "failed", "error": None,
    }  # fmt: skip
    answer = Answer(task_id="t0", text=heard, text_accu=heard)
    texts = {"s0": SampleTexts(sample="s0", results=(answer,))}
    monitor = [row for at in range(9) for row in _tick(at * (makespan or 8.0) / 8, at, mb, makespan, disturbed, cpu)]
    return RunFiles(run, [request], texts, monitor=monitor, client=ClientFacts(max_loop_lag_s=0.0))


def _tick(
    time: float, at: int, mb: float, makespan: float | None, disturbed: float, cpu: float | None
) -> list[dict[str, Any]]:
    """The worker and the system; what is swapped in is so between the first tick and the last."""
    used = None if cpu is None else cpu * 4 * time
    worker = {"role": "worker", "pid": 2, "pss_mb": mb, "uss_mb": mb, "rss_mb": mb, "cpu_s": used, "major_faults": 0}
    system = {
        "role": "system", "pid": None, "pss_mb": None, "uss_mb": None, "rss_mb": None, "cpu_s": None,
        "major_faults": None, "cpu_percent": None, "available_mb": None, "swap_in_mb": disturbed * at / 8,
    }  # fmt: skip
    return [{"time_s": time, **worker}, {"time_s": time, **system}]


def changed(files: RunFiles, **facts: Any) -> RunFiles:
    """The same with other facts in its run.json."""
    from dataclasses import replace

    return replace(files, run=msgspec.convert({**msgspec.to_builtins(files.run), **facts}, Run))


def a_sweep(
    runs: Sequence[RunFiles], missing: Sequence[tuple[str, int]] = (), interrupted: bool = False, **more: Any
) -> SweepFiles:
    runs = [changed(run, num=num) for num, run in enumerate(runs)]
    planned = [(r.run.key, r.run.trial) for r in runs] + list(missing)
    sweep = {
        "name": "sweep", "folder": "outputs/2026-01-01/10-00-00-sweep", "interrupted": interrupted, "argv": [],
        "planned": [{"num": n, "dir": f"{n}-{k}", "key": k, "trial": t} for n, (k, t) in enumerate(planned)],
        "thresholds": {**vars(ThresholdsConfig()), **LIMITS}, "validity": {"swap_in_mb": 16.0}, "report": {},
        "trials": 3, "trials_max": 10, **more,
    }  # fmt: skip
    asked = msgspec.convert(sweep, Sweep)
    left = [Missing(one) for one in asked.planned[len(runs) :]]
    where = {"cpu": "CPU", "cpus_usable": 4, "memory_mb": 8192}
    return SweepFiles(asked, where, runs, left, {"c": REFERENCE})


def reported(*runs: RunFiles, **more: Any) -> tuple[Report, str]:
    """The report, and what it says: report.txt, then what report.md has beside that."""
    report = build.assemble(a_sweep(runs, **more))
    short = text.render(report)
    return report, short + in_full(report, set(short.splitlines()))


def in_full(report: Report, without: Collection[str] = ()) -> str:
    """The lines of report.md, as they are read."""
    said = markdown.render(report).replace("\\|", "|").replace("&lt;", "<").replace("\\\\", "\\")
    return "\n".join(line for line in said.splitlines() if line not in without) + "\n"


def of(*configurations: Configuration) -> Report:
    """A report of these and nothing else."""
    return Report(
        name="", verdict="", valid=True, interrupted=False, unfinished=False, trials=TrialsAsked(), warnings=(),
        environment={}, samples=(), thresholds={}, thresholds_changed=(), validity_limits={}, reference=(),
        configurations=configurations, diagnosis={}, scaling=(), recommendation=None, advice=(), decide=None,
    )  # fmt: skip
