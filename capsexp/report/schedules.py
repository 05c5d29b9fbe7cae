"""The effect of server.schedule on mixed loads: how long speakers wait, and how much throughput the files keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from capsexp.results.report import Configuration, LoadPart, Report

KEY = "server.schedule"
USUAL = "fifo"


def gains(report: Report) -> list[str]:
    """A sentence for each schedule beside the usual one, of configurations that differ in nothing else and whose load
    has classes."""
    groups: dict[str, dict[str, Configuration]] = defaultdict(dict)
    for c in report.configurations:
        parts = c.key.split(",")
        said = [part for part in parts if part.startswith(f"{KEY}=")]
        if said and c.schedule and c.parts:
            groups[",".join(part for part in parts if part not in said)][c.schedule] = c
    found = []
    for name, by_schedule in groups.items():
        usual = by_schedule.get(USUAL)
        for schedule, one in by_schedule.items():
            if usual is not None and one is not usual:
                said = list(_against(_classes(one), _classes(usual)))
                where = f" ({name})" if name and len(groups) > 1 else ""
                found += [f"{KEY}={schedule}{where}, compared with {USUAL}: {'; '.join(said)}."] if said else []
    return found


def _classes(c: Configuration) -> dict[str, LoadPart]:
    return {part.kind: part for part in c.parts if part.kind is not None and part.step is None}


def _against(own: Mapping[str, LoadPart], usual: Mapping[str, LoadPart]) -> Iterator[str]:
    for kind in (kind for kind in own if kind in usual):  # in the load's order
        a, b = own[kind], usual[kind]
        for stat in ("p95", "p50"):
            new, old = getattr(a, f"stop_to_text_{stat}_s"), getattr(b, f"stop_to_text_{stat}_s")
            if new is not None and old:
                yield f"{kind} waits {new:.2f} s for its text instead of {old:.2f} s ({stat}: {new / old:.2f}x)"
                break
        else:
            if a.achieved_rtfx and b.achieved_rtfx:
                share = a.achieved_rtfx / b.achieved_rtfx
                yield f"{kind} keeps {100 * share:.0f} % of its throughput, with texts after {_longest(a)}"


def _longest(part: LoadPart) -> str:
    for stat in ("p95", "p50"):
        if (found := getattr(part, f"turnaround_{stat}_s")) is not None:
            return f"{found:.1f} s ({stat})"
    return "an unknown time (too few requests)"
