"""Runs as values: what the analysis is asked about, without a process or a file."""

from typing import Any

import msgspec

from capsexp.analysis.figures import Figures
from capsexp.config import ValidityConfig
from capsexp.results.report import Configuration
from capsexp.results.run import Answer, Reference, Run, SampleFacts
from tests.support.values import TEXTS, a_run, cpu, figures, with_value


def request(number: int, start: float, final: float | None, **more: Any) -> dict[str, Any]:
    return {
        "request": number, "task_id": f"t{number}", "sample": f"s{number}", "duration_s": 10.0, "start_s": start,
        "sent_s": start + 0.5, "first_result_s": final, "final_s": final, "results": 1, "finals": 1, "foreign": 0,
        "result_duration_s": 10.0, "status": "failed" if final is None else "ok", "error": None, **more,
    }  # fmt: skip


def answer(number: int, text: str = "so it is", **more: Any) -> Answer:
    return Answer(**{"task_id": f"t{number}", "text": text, "text_accu": text, **more})


REFERENCE = Reference(engine="null", threads=1, texts=TEXTS, runs=())


SAMPLES = [SampleFacts(name=f"s{n}", duration_s=10.0) for n in range(4)]


WELL = {"worker_busy": (0.95, 0.95), "client_max_loop_lag_s": 0.0, "major_faults": 0.0, "swap_in_mb": 0.0}


CPU = cpu(client_s=0.1, gateway_s=0.1, workers_s=15.0, utilisation=0.4, system_percent=40.0)


def disappointing(two: Configuration, **change: Any) -> tuple[Configuration, Figures]:
    """A configuration and its typical run, which does well but for `change`."""
    settings = {key: change.pop(key) for key in ("dispatch", "threads") if key in change}
    values = {key: change.pop(key) for key in ("compute_p50_s",) if key in change}
    run = figures(9.0, **{**WELL, "cpu": CPU, **change})
    return with_value(msgspec.structs.replace(two, **settings), **values), run


DEFAULT = vars(ValidityConfig())


QUIET = Figures(
    cpu=cpu(client_s=0.5, gateway_s=1.0, workers_s=9.0),
    client_max_loop_lag_s=0.01,
    major_faults=0,
    swap_in_mb=0.0,
    worker_busy=(0.9,),
)


def run(settings: Any = None, **more: Any) -> Run:
    given = {"monitor": {"interval": 0.5}, **(settings or {})}
    return a_run(
        **{"window_s": {"start": 0.0, "end": 10.0}, "cpu_count": 2, "machine_cpus": 2, "config": given, **more}
    )
