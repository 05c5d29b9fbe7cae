"""Which configuration to run, what one worker more would bring, what binds, and what to tell the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.analysis import gates, pools

Configuration = dict[str, Any]


def recommend(
    found: list[Configuration], tolerance: float, scalings: Sequence[dict[str, Any]] = (), cpus: int | None = None
) -> dict[str, Any] | None:
    """The fewest workers among those whose throughput is within `tolerance` of the best that passes its gates; a
    baseline when nothing does. None when no configuration is right and within its memory. Figures taken while faults
    were injected recommend nothing."""
    found = [c for c in found if c["fault"]["kind"] == "none"]
    sound = [
        c
        for c in found
        if c["throughput_xrt"] is not None and c["status"] == "ok" and not _fails(c, "correctness", "peak_memory_mb")
    ]
    if not sound:
        return None
    passing = [c for c in sound if c["verdict"] in (gates.FEASIBLE, gates.CAVEATS) and c["adds_workers"]]
    candidates = passing or [c for c in sound if c["key"] == c["baseline"]] or sound
    best = max(c["throughput_xrt"] for c in candidates)
    enough = [c for c in candidates if c["throughput_xrt"] >= (1 - tolerance) * best]
    chosen = min(enough, key=lambda c: (c["workers"] or 1, c["memory"]["peak_mb"] or 0.0))
    scaling = next((s for s in scalings if chosen["key"] in s["keys"]), None)
    following = _following(chosen, found, scaling)
    return {
        "workers": chosen["workers"], "threads": chosen["threads"], "pool": chosen["pool"], "key": chosen["key"],
        "reason": " ".join(filter(None, (_why(chosen, best, sound, bool(passing)), pools.sentence(chosen, found)))),
        "saved": pools.saved(chosen, found),
        "next": following,
        "next_sentence": _next_sentence(chosen, following),
        "binds": binds(chosen, following, scaling, cpus),
        "server": snippet(chosen),
    }  # fmt: skip


def _fails(c: Configuration, *names: str) -> bool:
    return any(gate["name"] in names and gate["verdict"] == gates.FAIL for gate in c["gates"])


def _speedup(c: Configuration) -> float:
    return float(c["speedup"]["median"])


def _why(chosen: Configuration, best: float, sound: list[Configuration], passing: bool) -> str:
    speed, peak = f"{chosen['throughput_xrt']:.1f} x real time", chosen["memory"]["peak_mb"]
    memory = f" in {peak:.0f} MB" if peak is not None else ""
    if not passing:
        others = [c for c in sound if c["key"] != chosen["key"] and c["speedup"]["median"] is not None]
        if not others:
            return f"{speed}{memory}; there was nothing to compare it with."
        fastest = max(others, key=_speedup)
        failed = ", ".join(g["name"] for g in fastest["gates"] if g["verdict"] == gates.FAIL) or "not decided"
        return (
            f"{speed}{memory}; more workers did not pass: {fastest['key']} reached {_speedup(fastest):.2f}x ({failed})."
        )
    gain = f"{_speedup(chosen):.2f}x of {chosen['baseline']}" if chosen["speedup"]["median"] else "as fast as any"
    faster = chosen["throughput_xrt"] < best
    less = f"; the fastest reaches {best:.1f} with more workers, which is no more than the tolerance" if faster else ""
    return f"{speed}{memory}, {gain}{less}."


def _following(
    chosen: Configuration, found: list[Configuration], scaling: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The next larger number of workers: measured where it was, else predicted."""
    measured = [
        c for c in found
        if scaling and c["key"] in scaling["keys"] and c["workers"] > chosen["workers"] and c["throughput_xrt"]
    ]  # fmt: skip
    if measured:
        one = min(measured, key=lambda c: c["workers"])
        return _step(chosen, one["workers"], one["throughput_xrt"], one["memory"]["peak_mb"], False)
    for row in scaling["predicted"] if scaling else []:
        return _step(chosen, row["workers"], row["throughput_xrt"], row["peak_mb"], True)
    return None


def _step(chosen: Configuration, workers: int, speed: float, peak: float | None, predicted: bool) -> dict[str, Any]:
    mine = chosen["memory"]["peak_mb"]
    return {
        "workers": workers,
        "gain": speed / chosen["throughput_xrt"] - 1,
        "more_mb": peak - mine if peak is not None and mine is not None else None,
        "predicted": predicted,
    }


_NAMES = {2: "a second", 3: "a third", 4: "a fourth", 5: "a fifth", 6: "a sixth"}


def _next_sentence(chosen: Configuration, following: dict[str, Any] | None) -> str | None:
    if following is None:
        return None
    more = following["workers"] - chosen["workers"]
    name = _NAMES.get(following["workers"], "one more") if more == 1 else f"{more} more"
    mb = following["more_mb"]
    cost = "" if mb is None else f" for {mb / 1024:+.1f} GB" if abs(mb) >= 1000 else f" for {mb:+.0f} MB"
    said = f"Run {chosen['workers']}; {name} add{'s' if more == 1 else ''} {100 * following['gain']:+.0f} %{cost}"
    return f"{said} (predicted, not measured)." if following["predicted"] else f"{said}."


def binds(
    chosen: Configuration, following: dict[str, Any] | None, scaling: dict[str, Any] | None, cpus: int | None
) -> str:
    """What keeps more workers from bringing more, with its figure."""
    used, timeline = chosen["cpu"]["utilisation"], chosen["timeline"] or {}
    limit = next((g["limit"] for g in chosen["gates"] if g["name"] == "peak_memory_mb"), None)
    peak, more = chosen["memory"]["peak_mb"], following and following["more_mb"]
    if limit and peak and more and peak + more > limit:
        return f"Memory binds: {peak + more:.0f} MB with {following['workers']} workers, of {limit:.0f}."  # type: ignore[index]
    threads, needs = chosen["workers"] * chosen["threads"], not scaling or scaling["uses_cpu"] is not False
    if cpus and needs and threads >= cpus:
        share = f", {100 * used:.0f} % used" if used is not None else ""
        return f"Cores bind: {threads} thread{'s' if threads > 1 else ''} on {cpus} CPUs{share}."
    if (timeline.get("front_busy") or 0.0) > 0.8:
        return f"The server's front binds: it was busy {100 * timeline['front_busy']:.0f} % of the time."
    client, makespan = chosen["cpu"]["client_s"], chosen["makespan_s"]["median"]
    if client and makespan and client / makespan > 0.8:
        return f"The client binds: it used {100 * client / makespan:.0f} % of a CPU."
    empty = timeline.get("queue_empty")
    if empty is not None and empty > 0.5:
        return f"Requests bind: no segment waited during {100 * empty:.0f} % of the time; load.repeats=3 brings more."
    counts = sorted(scaling["counts"]) if scaling else [chosen["workers"]]
    full = [n for n in counts if cpus and needs and n * chosen["threads"] >= cpus]
    if full:
        return f"Cores bind from {full[0]} workers on: {full[0] * chosen['threads']} threads on {cpus} CPUs."
    larger = counts[-1]
    return f"Nothing was seen to bind up to {larger} workers; workers={2 * larger} would show what does."


def snippet(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The recommended configuration for our own server: as a command, and as a file for --config-dir."""
    workers, threads, pool, engine = (chosen[name] for name in ("workers", "threads", "pool", "engine"))
    quoted = "'null'" if engine == "null" else engine
    return {
        "command": f"python -m capsexp.server workers={workers} threads={threads} pool={pool} engine={engine}",
        "yaml": (
            f"defaults: [config, override engine: {quoted}, override pool: {pool}]\n"
            f"workers: {workers}\nthreads: {threads}\nserver: {{dispatch: {chosen['dispatch']}}}\n"
        ),
    }
