"""`slo`: what users are promised (service level objective)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from capsexp.plugins import nearest
from capsexp.setting import of, setting


@dataclass
class SloConfig:
    """What users are promised: limits in seconds. A p95 limit may be exceeded by 1 request in 20. null: no limit.
    slo=dictation and slo=mixed set some."""

    name: str = setting("none", "which SLO")
    stop_to_text_p50_s: float | None = setting(None, "s from when a user stopped speaking to the text")
    stop_to_text_p90_s: float | None = setting(None, "likewise: 1 request in 10 may take longer")
    stop_to_text_p95_s: float | None = setting(None, "likewise: 1 request in 20 may take longer")
    stop_to_text_p99_s: float | None = setting(None, "likewise: 1 request in 100 may take longer")
    lag_p50_s: float | None = setting(
        None, "s by which partial texts trail the audio; the largest lag of each request counts"
    )
    lag_p90_s: float | None = setting(None, "likewise")
    lag_p95_s: float | None = setting(None, "likewise")
    lag_p99_s: float | None = setting(None, "likewise")
    turnaround_p50_s: float | None = setting(None, "s from when a request was due to the text")
    turnaround_p90_s: float | None = setting(None, "likewise")
    turnaround_p95_s: float | None = setting(None, "likewise")
    turnaround_p99_s: float | None = setting(None, "likewise")
    late_share: float | None = setting(
        None,
        "share of requests whose text may come later than one audio length after the audio, 0.05 = 5 %",
        above=True,
        high=0.99,
        hint="it is a share, such as 0.01 for 1 request in 100; 0 could never be shown",
    )
    classes: dict[str, dict[str, float | None]] = setting(
        {}, "the same limits by class of load=mixed: {mic: {stop_to_text_p95_s: 1.0}}"
    )

    def problems(self) -> Iterator[str]:
        known = {each.name: of(each.metadata) for each in fields(self) if each.name not in ("name", "classes")}
        for kind, limits in self.classes.items():
            for key, limit in limits.items():
                if key not in known:
                    yield f"slo.classes.{kind}.{key}: unknown limit{nearest(key, known)}"
                elif wrong := known[key].fault(limit):
                    yield f"slo.classes.{kind}.{key}: {wrong}"
