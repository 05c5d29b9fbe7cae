"""`report`: what is reported, and in which forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from capsexp.bounds import number
from capsexp.plugpoints import EXPORTERS

LANGUAGES = ("auto", "en", "zh")


@dataclass
class ReportConfig:
    fail_on_gate: bool = False
    formats: list[str] = field(
        default_factory=lambda: ["text", "markdown", "json", "html"]
    )  # what is written: see exporters/
    lang: str = "auto"  # of the page, until its reader chooses: auto (the browser's), en or zh
    tolerance: float = number(0.05, high=1)  # within this of the best throughput counts as equally fast
    ci_width: float | None = number(None, low=0.001)  # trials=auto goes on until every gated ratio is known to +- this
    budget_s: float | None = number(480.0)  # that trials=auto may take beyond the first trials; None: any time
    leak_min_s: float = 1800.0  # of steady state, before a slope of memory is judged
    checkpoint_s: float = number(300.0, low=1)  # between reports of a run that is under way, with hours=
    max_rows: int = number(20_000, low=100)  # of requests and of segments; a quarter as many ticks of the monitor
    reserve_mb: float = 2048.0  # left to everything else in the table of worker counts by memory size

    def problems(self) -> Iterator[str]:
        if self.lang not in LANGUAGES:
            yield f"report.lang: {self.lang!r} is not one of {', '.join(LANGUAGES)}"
        for name in self.formats:
            EXPORTERS.check("report.formats", name)
