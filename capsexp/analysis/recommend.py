"""Which configuration to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capsexp.analysis import gates, pools


def recommend(found: list[dict[str, Any]], tolerance: float) -> dict[str, Any] | None:
    """The fewest workers among those whose throughput is within `tolerance` of the best that passes its gates; a
    baseline when nothing does. None when no configuration is right and within its memory."""
    sound = [
        c
        for c in found
        if c["throughput_xrt"] is not None and c["status"] == "ok" and not _fails(c, "correctness", "peak_memory_mb")
    ]
    if not sound:
        return None
    passing = [c for c in sound if c["verdict"] in (gates.FEASIBLE, gates.CAVEATS) and c["key"] != c["baseline"]]
    candidates = passing or [c for c in sound if c["key"] == c["baseline"]] or sound
    best = max(c["throughput_xrt"] for c in candidates)
    enough = [c for c in candidates if c["throughput_xrt"] >= (1 - tolerance) * best]
    chosen = min(enough, key=lambda c: (c["workers"] or 1, c["memory"]["peak_mb"] or 0.0))
    return {
        "workers": chosen["workers"], "threads": chosen["threads"], "pool": chosen["pool"], "key": chosen["key"],
        "reason": " ".join(filter(None, (_why(chosen, best, sound, bool(passing)), pools.sentence(chosen, found)))),
        "saved": pools.saved(chosen, found),
    }  # fmt: skip


def _fails(c: dict[str, Any], *names: str) -> bool:
    return any(gate["name"] in names and gate["verdict"] == gates.FAIL for gate in c["gates"])


def _why(chosen: dict[str, Any], best: float, sound: list[dict[str, Any]], passing: bool) -> str:
    speed, peak = f"{chosen['throughput_xrt']:.1f} x real time", chosen["memory"]["peak_mb"]
    memory = f" in {peak:.0f} MB" if peak is not None else ""
    if not passing:
        others = [c for c in sound if c["key"] != chosen["key"] and c["speedup"]["median"] is not None]
        if not others:
            return f"{speed}{memory}; there was nothing to compare it with."
        fastest: dict[str, Any] = max(others, key=_speedup)
        failed = ", ".join(g["name"] for g in fastest["gates"] if g["verdict"] == gates.FAIL) or "not decided"
        return (
            f"{speed}{memory}; more workers did not pass: {fastest['key']} reached {_speedup(fastest):.2f}x ({failed})."
        )
    gain = (
        f"{chosen['speedup']['median']:.2f}x of {chosen['baseline']}"
        if chosen["speedup"]["median"]
        else "as fast as any"
    )
    less = (
        ""
        if chosen["throughput_xrt"] >= best
        else f"; the fastest reaches {best:.1f} with more workers, which is no more than the tolerance"
    )
    return f"{speed}{memory}, {gain}{less}."


_speedup: Callable[[dict[str, Any]], float] = lambda c: float(c["speedup"]["median"])  # noqa: E731
