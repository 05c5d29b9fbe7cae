"""The capacity of each configuration as the readable forms show it: sentences, and the rows of three tables."""

from __future__ import annotations

from collections.abc import Iterator

from capsexp.analysis.capacity_search import DEAD
from capsexp.counts import counted
from capsexp.report.tables import number, percent
from capsexp.results.report import Capacity, CapacityProbe, Report

HEADERS = (
    "configuration", "SLO", "most that kept it", "least that broke it", "broken first", "per worker", "MB each",
)  # fmt: skip
MEANING_HEADERS = ("what real time means", "configuration", "most that kept it", "least that broke it", "known")
PROBE_HEADERS = ("configuration", "load", "runs", "requests", "too late", "wrong", "verdict")
EXPLAINED = (
    "Meanings of real time, from the same runs. In each but the last, 1 text in 20 may be later. Lag does not grow: "
    "the most users for whom the server keeps up in the long run if nobody waits (calculated from its throughput while "
    "it was busy). Known=no: the runs were made to find another band, and do not narrow this one."
)


def lines(report: Report) -> list[str]:
    """A sentence for each configuration, and for a search that was given up the reason."""
    return [f"Capacity: {line}" for one in report.capacity for line in of(one)]


def of(one: Capacity) -> Iterator[str]:
    """What is known of one configuration, and why a search that was given up was."""
    what = f"{one.key} can serve"
    if one.feasible_max:
        each = ""
        if one.per_worker is not None and (one.workers or 0) > 1:
            each = f", {one.per_worker:.3g} for each worker"
        memory = f", {megabytes(one):.3g} MB for each" if one.peak_memory_mb else ""
        said = f"{what} {load(one.over, one.feasible_max)}{_in_spite(one)}{each}{memory}"
    else:
        said = f"{what} none of the loads tried" if one.infeasible_min else f"unknown for {one.key}"
    if one.infeasible_min is not None:
        said += f"; {load(one.over, one.infeasible_min)} {'is' if one.infeasible_min == 1 else 'are'} too many"
        said += f" ({one.binding})" if one.binding else ""
    elif one.feasible_max:
        said += "; no load tried was too much"
    if one.infeasible_min is not None and not one.resolved:
        said += "; in between is undecided"
    yield f"{said}."
    if one.stopped:
        yield f"the search for {one.key} stopped: {one.stopped}."


def _in_spite(one: Capacity) -> str:
    if one.fault == DEAD:
        return " with one of its workers dead, which is what can be promised"
    return "" if one.fault == "none" else f" with fault={one.fault}"


def load(over: str, size: float) -> str:
    """A load with its unit."""
    if over.endswith("users"):
        return counted(size, "user")
    return f"{size:g} requests per second" if over.endswith("rate") else f"{size:g}"


def megabytes(one: Capacity) -> float:
    """Of the server at its highest, for each user."""
    return (one.peak_memory_mb or 0.0) / one.feasible_max if one.feasible_max else 0.0


def rows(report: Report) -> list[list[str]]:
    """A row for each band: the most that kept the SLO, the least that did not, and what broke first."""
    return [
        [one.key, "; ".join(f"{name} {limit}" for name, limit in one.slo.items()), _size(one.feasible_max),
         _size(one.infeasible_min), one.binding or "-", number(one.per_worker),
         number(megabytes(one) or None, 0)]
        for one in report.capacity
    ]  # fmt: skip


def meaning_rows(report: Report) -> list[list[str]]:
    """A row for each meaning of real time and configuration, the configurations of one meaning together."""
    names = dict.fromkeys(meaning.name for one in report.capacity for meaning in one.meanings)
    return [
        [name, one.key, _size(said.feasible_max), _size(said.infeasible_min), "yes" if said.resolved else "no"]
        for name in names
        for one in report.capacity
        for said in one.meanings
        if said.name == name
    ]


def probe_rows(report: Report) -> list[list[str]]:
    """A row for each load that was tried; where there are several limits, requests and late ones of each, in their
    order."""
    return [
        [one.key, _size(probe.load), str(probe.runs), ", ".join(map(str, probe.requests.values())),
         ", ".join(_late(probe, name) for name in probe.late), str(probe.wrong), probe.verdict]
        for one in report.capacity
        for probe in one.probes
    ]  # fmt: skip


def _late(probe: CapacityProbe, name: str) -> str:
    late, of = probe.late[name], probe.requests[name]
    return f"{late} ({percent(late / of)} %)" if of else "-"


def _size(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
