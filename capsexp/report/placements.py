"""What a report says about CPUs: their topology, which of them workers were pinned to, and the effect of pinning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from capsexp.counts import counted
from capsexp.report.tables import interval
from capsexp.results.report import Configuration, Report


def lines(report: Report) -> list[str]:
    """The machine, then each configuration with pinned workers."""
    found = [said] if (said := machine(report.environment)) else []
    return found + [line for c in report.configurations for line in _of(c)]


def machine(environment: Mapping[str, Any]) -> str | None:
    """Sockets, cores, siblings, quota, governor; None where nobody recorded them."""
    seen = _topology(environment)
    if not seen.get("cores"):
        return None
    siblings = seen.get("siblings") or 1
    smt = f"up to {siblings} of them hardware threads of one core" if siblings > 1 else "none of them siblings"
    quota, governors = seen.get("quota"), seen.get("governors") or ()
    return (
        f"{counted(seen.get('cpus') or 0, 'CPU')} on {counted(seen['cores'], 'core')} "
        f"({counted(seen.get('sockets') or 1, 'socket')}, {counted(seen.get('nodes') or 1, 'NUMA node')}), {smt}; "
        f"quota of a control group: {'none' if quota is None else f'{quota:g} CPUs'}; "
        f"governor: {', '.join(map(str, governors)) or 'not told'}"
    )


def shared_cores(environment: Mapping[str, Any]) -> str | None:
    """A warning where two CPUs are one core."""
    seen = _topology(environment)
    cpus, cores = seen.get("cpus"), seen.get("cores")
    if not isinstance(cpus, int) or not isinstance(cores, int) or cpus <= cores:
        return None
    return (
        f"the {cpus} CPUs are hardware threads of {counted(cores, 'core')}: two workers on one core are slower than on "
        "two; placement=none,no_smt,spread measures the difference"
    )


def _topology(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    found = environment.get("topology")
    return found if isinstance(found, Mapping) else {}


def _of(c: Configuration) -> Iterator[str]:
    if c.pinned:
        each = "; ".join(f"worker {n} on {cpus}" for n, cpus in enumerate(c.pinned))
        yield f"{c.key} (placement={c.placement}), CPUs: {each}"


def gains(report: Report) -> list[str]:
    """What pinning brought, a sentence for each configuration that was also made without."""
    return [f"{said}." for c in report.configurations if c.unpinned is not None and (said := _gain(c))]


def _gain(c: Configuration) -> str | None:
    gain = c.unpinned.speedup if c.unpinned else None
    if c.unpinned is None or gain is None or gain.value is None:
        return None
    said = f"{c.key} is {gain.value:.2f}x of {c.unpinned.key}"
    if gain.ci95 is None:
        return f"{said}; run more trials for an interval"
    low, high = gain.ci95
    brings = "it pays" if low > 1 else "it costs" if high < 1 else "no difference was found"
    return f"{said} (95 % interval {interval(gain.ci95)}): {brings}"
