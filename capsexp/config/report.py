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

    fail_on_gate: bool = setting(
        False, "exit code 3 if the verdict is NOT FEASIBLE, 4 if it is INCONCLUSIVE or INVALID"
    )
    formats: list[str] = setting(
        ["text", "markdown", "json", "html"],
        "also junit, csv, prometheus, mlflow, and those of other packages; text and json are always written",
    )
    lang: str = setting(
        "auto", "language of report.html until its reader chooses; auto: the browser's", choices=LANGUAGES
    )
    tolerance: float = setting(
        0.05, "share of the best throughput within which configurations count as equally fast", high=0.9
    )
    budget_s: float | None = setting(
        480.0, "s that trials=auto may take beyond the first trials, for each command; null: no limit"
    )
    ci_width: float | None = setting(
        None,
        "trials=auto also continues until every gated ratio is known to +- this share, 0.05 = 5 %; and no run may have "
        "lost more to other programs",
        low=0.001,
    )
    leak_min_s: float = setting(1800.0, "s of steady state needed to judge the slope of memory")
    checkpoint_s: float = setting(300.0, "s between reports during a run with hours=", low=1)
    max_rows: int = setting(
        20_000,
        "most rows for requests and for segments (monitor: a quarter); longer tables are thinned out evenly",
        low=100,
    )
    reserve_mb: float = setting(2048.0, "MB left for everything else in the table of workers by memory size")

    def problems(self) -> Iterator[str]:
        yield from EXPORTERS.problems("report.formats", self.formats)
