"""Sweeps whose runs are jobs of a cluster: what their folders say."""

import json
from typing import Any

from tests.support.bench import Bench


def facts(bench: Bench, run: str = "0-workers=1") -> dict[str, Any]:
    return dict(json.loads((bench.out / run / "run.json").read_text()))


def attempts(bench: Bench, run: str = "0-workers=1") -> list[dict[str, Any]]:
    return list(json.loads((bench.out / run / "attempts.json").read_text()))


def measured(report: dict[str, Any]) -> list[Any]:
    """Of each configuration what is the same wherever its runs were made."""
    keys = ("key", "baseline", "workers", "status", "requests", "role")
    return [[c[key] for key in keys] for c in report["configurations"]]


def resumed(bench: Bench) -> None:
    """A sweep of one run, which had not ended, is made whole, and nothing of what was tried is left."""
    assert bench.finish(bench.start(f"resume={bench.out}", bare=True)) == 0, bench.stderr
    (one,) = bench.report()["configurations"]
    assert (one["status"], one["requests"]["completed"], one["requests"]["total"]) == ("ok", 4, 4)
    assert not [path.name for path in bench.out.rglob(".*")]
