"""`report`: what is reported, and in which forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.plugpoints import EXPORTERS
from capsexp.setting import setting

LANGUAGES = ("auto", "en", "zh")


@dataclass
class ReportConfig:
    """What is reported, and in which forms."""

    fail_on_gate: bool = setting(False, "exit code 3 when the verdict is NOT FEASIBLE, 4 when nothing is decided")
    formats: list[str] = setting(
        ["text", "markdown", "json", "html"],
        "also junit, csv, prometheus, mlflow, and what other packages add; text and json are always written",
    )
    lang: str = setting(
        "auto", "of report.html, until its reader chooses: auto (the browser's), en or zh", choices=LANGUAGES
    )
    tolerance: float = setting(0.05, "within this of the best throughput counts as equally fast", high=1)
    budget_s: float | None = setting(
        480.0, "s that trials=auto may take beyond the first trials, in each command; null: as long as it takes"
    )
    ci_width: float | None = setting(
        None, "trials=auto goes on until every gated ratio is known to +- this as well, 0.05 = 5 %", low=0.001
    )
    leak_min_s: float = setting(1800.0, "s of steady state, before a slope of memory is judged")
    checkpoint_s: float = setting(300.0, "s between reports of a run that is under way, with hours=", low=1)
    max_rows: int = setting(
        20_000,
        "of requests and of segments (ticks of the monitor: a quarter); longer runs are thinned out evenly",
        low=100,
    )
    reserve_mb: float = setting(2048.0, "left to everything else in the table of worker counts by memory size")

    def problems(self) -> Iterator[str]:
        yield from EXPORTERS.problems("report.formats", self.formats)
