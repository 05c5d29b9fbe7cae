"""`slo`: what users are promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from capsexp.plugins import nearest
from capsexp.setting import of, setting


@dataclass
class SloConfig:
    """What users are promised: limits in seconds. A p95 limit may be exceeded by 1 request in 20. null: no limit.
    slo=dictation and slo=mixed have some."""

    name: str = setting("none", "which promises")
    stop_to_text_p50_s: float | None = setting(None, "s from the moment a user stopped speaking to the text")
    stop_to_text_p90_s: float | None = setting(None, "likewise: 1 request in 10 may take longer")
    stop_to_text_p95_s: float | None = setting(None, "likewise: 1 request in 20 may take longer")
    stop_to_text_p99_s: float | None = setting(None, "likewise: 1 request in 100 may take longer")
    lag_p50_s: float | None = setting(
        None, "s by which partial texts trail the audio; each request counts with its longest"
    )
    lag_p90_s: float | None = setting(None, "likewise")
    lag_p95_s: float | None = setting(None, "likewise")
    lag_p99_s: float | None = setting(None, "likewise")
    turnaround_p50_s: float | None = setting(None, "s from the moment a request was due to the text")
    turnaround_p90_s: float | None = setting(None, "likewise")
    turnaround_p95_s: float | None = setting(None, "likewise")
    turnaround_p99_s: float | None = setting(None, "likewise")
    late_share: float | None = setting(
        None,
        "share of requests that may wait longer for their text than their audio lasts, 0.05 = 5 %",
        above=True,
        high=0.99,
        hint="it is a share, as 0.01 for 1 request in 100: no number of requests can show that none is late",
    )
    classes: dict[str, dict[str, float | None]] = setting(
        {}, "the same by class of load=mixed: {mic: {stop_to_text_p95_s: 1.0}}"
    )

    def problems(self) -> Iterator[str]:
        known = {each.name: of(each.metadata) for each in fields(self) if each.name not in ("name", "classes")}
        for kind, limits in self.classes.items():
            for key, limit in limits.items():
                if key not in known:
                    yield f"slo.classes.{kind}.{key}: unknown limit{nearest(key, known)}"
                elif wrong := known[key].fault(limit):
                    yield f"slo.classes.{kind}.{key}: {wrong}"
