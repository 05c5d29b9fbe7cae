"""The rows and sentences that the readable forms of a report share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from capsexp.analysis import metrics
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.metrics.metric import Metric, Place
from capsexp.analysis.texts import EXPLAINED
from capsexp.counts import apart, counted
from capsexp.results.report import Configuration, Report, SloResult
from capsexp.results.verdicts import Reading, Status
from capsexp.targets.base import IGNORABLE

MACHINES = "Workers for machines of other sizes with cores like these, by throughput and memory alone (predicted)"
GATE_HEADERS = ("configuration", "what", "value", "limit", "verdict", "tier", "why")
SLO_HEADERS = ("configuration", "what was promised", "value", "limit", "verdict", "why")
FAULT_HEADERS = (
    "configuration", "faults", "lost", "told", "doubled", "wrong", "again", "recovery\nmedian s", "recovery\nmax s",
    "RTFx\nmeanwhile", "slow-\ndown",
)  # fmt: skip
FAULTS_EXPLAINED = (
    "lost: requests without a final result (told: those with an error from the server); doubled: requests with several "
    "final results, or another's; again: segments recognized again; recovery: until every affected worker was ready."
)
PREDICTED_HEADERS = ("configuration", "RTFx", "95 % interval", "peak MB", "95 % interval", "")


def number(value: float | None, digits: int = 2) -> str:
    """With so many decimals; a dash for what is not known."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share (0 to 1) in %, without the sign."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def interval(ci95: Any, digits: int = 2) -> str:
    """`low to high`."""
    return "-" if ci95 is None else f"{ci95[0]:.{digits}f} to {ci95[1]:.{digits}f}"


def spelled(verdict: str) -> str:
    return verdict.replace("_", " ")


@dataclass(frozen=True)
class Column:
    """Of a table with a row for each configuration."""

    header: str
    cell: Callable[[Configuration], str]


def columns() -> list[Column]:
    """Of the main table: what metrics have a place there, between what a configuration is and what it came to."""
    found = [Column("configuration", marked), Column("trials", trials)]
    for metric in metrics.at(Place.TABLE):
        found.append(_column(metric))
        if Place.INTERVAL in metric.places:
            found.append(_interval_column(metric))
    return [*found, Column("verdict", came_to)]


def _column(metric: Metric) -> Column:
    return Column("\n".join(metric.header.rsplit(" ", 1)), lambda c: cell(c, metric))


def _interval_column(metric: Metric) -> Column:
    return Column("95 %\ninterval", lambda c: interval(c.metric(metric.tag).ci95, metric.digits))


def headers() -> list[str]:
    """Of the table with a row for each configuration."""
    return [column.header for column in columns()]


def rows(report: Report) -> list[list[str]]:
    """A row per configuration, baselines marked."""
    return [[column.cell(c) for column in columns()] for c in report.configurations]


def shown(tag: str, value: float | None, beside: float | None = None) -> str:
    """A metric's value as sentences show it; with more digits where it takes them to tell it from one `beside` it."""
    metric = BY_TAG[tag]
    digits, scale = (min(metric.digits, 1), 100) if metric.percent else (metric.digits, 1)
    if value is not None and beside is not None:
        digits = apart(scale * value, scale * beside, digits)
    return number(value and scale * value, digits)


def measured(tag: str, value: float | None, beside: float | None = None) -> str:
    """The same with its unit."""
    metric = BY_TAG[tag]
    unit = "%" if metric.percent else metric.unit
    return "-" if value is None else f"{shown(tag, value, beside)}{'' if unit in ('', 'x') else ' '}{unit}"


def cell(c: Configuration, metric: Metric) -> str:
    """A metric of a configuration as tables show it."""
    one = c.metric(metric.tag)
    if metric.counted and one.value is not None:
        return f"{round(one.value * one.n)}/{one.n}"
    return shown(metric.tag, one.value)


def marked(c: Configuration) -> str:
    """Its key, with what it is beside that: the baseline, the recommended one."""
    return f"{c.key} ({c.role})" if c.role else c.key


def came_to(c: Configuration) -> str:
    """Its verdict or, as it has none, how it ended."""
    if c.dropped is not None and c.dropped.by is not None and c.status == Status.OK:
        return "dropped"
    return spelled(c.verdict) if c.status == Status.OK else c.status.upper()


def trials(c: Configuration) -> str:
    """Those that the figures are made of and, where some have none, of how many. One that was run several times is one
    trial."""
    made = len({run.trial for run in c.validity.runs})
    return str(c.trials) if c.trials == made or not made else f"{c.trials} of {made}"


def counted_lines(report: Report) -> list[str]:
    """Where counts in a row are not of the same runs."""
    if not any(c.validity.valid and c.validity.invalid for c in report.configurations):
        return []
    return ['Figures use the valid runs only; "correct" counts the requests of all runs.']


def explained_lines(report: Report) -> list[str]:
    """What memory and errors are counted on."""
    metrics, found = {c.memory_metric for c in report.configurations if c.memory_metric}, []
    if metrics:
        name = "/".join(sorted(metrics)).upper()
        found.append(
            f"Memory is {name} summed over the server's processes; speedup is relative to the sweep's own baseline."
        )
    if any(c.value("wer") is not None for c in report.configurations):
        found.append(EXPLAINED)
    for ignored in dict.fromkeys(c.ignored for c in report.configurations if c.ignored):
        targets = ", ".join(dict.fromkeys(str(c.target) for c in report.configurations if c.ignored == ignored))
        what = ", ".join(IGNORABLE.get(name, name) for name in ignored)
        found.append(f"target={targets}: texts may differ in {what} (target.ignore).")
    return found


def gate_rows(report: Report) -> list[list[str]]:
    """A row per gate of each configuration that ran; those that could not be judged for the same reason share one."""
    found = []
    for c in report.configurations:
        unjudged: dict[str, list[str]] = {}
        for gate in c.gates:
            if gate.verdict == Reading.NOT_JUDGED:
                unjudged.setdefault(gate.reason or "", []).append(gate.metric)
                continue
            limit = f"{'<=' if BY_TAG[gate.metric].at_most else '>='} {measured(gate.metric, gate.limit)}"
            value = measured(gate.metric, gate.value, gate.limit)
            name, verdict = BY_TAG[gate.metric].name, spelled(gate.verdict)
            found.append([c.key, name, value, limit, verdict, gate.tier or "", gate.reason or ""])
        for reason, names in unjudged.items():
            found.append([c.key, ", ".join(BY_TAG[tag].name for tag in names), "-", "-", "NOT JUDGED", "", reason])
    return found


def slo_rows(report: Report) -> list[list[str]]:
    """A row for each limit of the SLO, of each configuration that ran."""
    return [
        [c.key, one.name, _promised(one, one.value), f"<= {_promised(one, one.limit)}", spelled(one.verdict),
         one.reason or ""]
        for c in report.configurations
        for one in c.slo
    ]  # fmt: skip


def _promised(one: SloResult, value: float | None) -> str:
    """In percent of requests, or in seconds."""
    share = not one.metric.endswith("_s")
    return "-" if value is None else f"{percent(value)} %" if share else f"{number(value)} s"


def fault_rows(report: Report) -> list[list[str]]:
    """A row per configuration, in a sweep that injected faults."""
    known = [c for c in report.configurations if c.trials]
    if all(c.fault.kind == "none" for c in known):
        return []
    return [
        [
            c.key, *map(_count_or, (f.injected, f.lost, f.told, f.duplicated, f.wrong, f.again)),
            number(f.recovery_s.median),
            number(f.recovery_s.max) + (f" ({f.unrecovered} not)" if f.unrecovered else ""),
            number(f.throughput_rtfx), number(f.slowdown),
        ]
        for c in known
        for f in [c.fault]
    ]  # fmt: skip


def _count_or(count: int | None) -> str:
    return "-" if count is None else str(count)


def predicted_rows(report: Report) -> list[list[str]]:
    """Rows of what was not measured: never among those that were."""
    found = []
    for scaling in report.scaling:
        others = f", threads={scaling.threads}, pool={scaling.pool}" if len(report.scaling) > 1 else ""
        for row in scaling.predicted:
            found.append(
                [
                    f"workers={row.workers}{others}",
                    number(row.throughput_rtfx), interval(row.throughput_ci95),
                    number(row.peak_memory_mb, 0), interval(row.peak_ci95, 0),
                    "predicted, uncertain" if scaling.guess else "predicted",
                ]
            )  # fmt: skip
    return found


def scaling_lines(report: Report) -> list[str]:
    """What the predictions are made of."""
    found = []
    for s in report.scaling:
        law, memory = s.law, s.memory
        counts = ", ".join(str(n) for n in s.counts)
        line = f"threads={s.threads}, pool={s.pool}, from {counts} workers"
        if not s.enough:
            found.append(f"{line}: no prediction, which needs three numbers of workers")
            continue
        if law:
            line += f": {law.rate:.2f} x real time each, sigma {law.sigma:.3f}, kappa {law.kappa:.5f}"
        if s.cap_workers:
            line += f"; no gain beyond {s.cap_workers} (cores)"
        if memory:
            line += f"; {memory.base_mb:.0f} MB + {memory.per_worker_mb:.0f} MB per worker"
            if memory.largest_within_limit is not None and memory.limit_mb is not None:
                line += f": {memory.largest_within_limit} fit in {memory.limit_mb:.0f} MB (predicted)"
        guess = f"; uncertain, as fitted to only {counted(s.fitted, 'number')} of workers" if s.guess else ""
        found.append(line + guess)
    return found


def machine_table(report: Report) -> tuple[list[str], list[list[str]]] | None:
    """Workers by memory and cores, from the recommended configuration's group, for machines that were not measured."""
    advice = report.recommendation
    scaling = next((s for s in report.scaling if advice and advice.key in s.keys), None)
    if scaling is None or not scaling.by_machine:
        return None
    here = report.environment.get("cpus_usable")
    cells = {(m.memory_gb, m.cpus): m.workers for m in scaling.by_machine if m.cpus != here}
    sizes, cpus = sorted({gb for gb, _ in cells}), sorted({n for _, n in cells})
    return ["memory", *(f"{n} cores" for n in cpus)], [[f"{gb} GB", *(str(cells[gb, n]) for n in cpus)] for gb in sizes]


def headline(report: Report) -> str:
    """Machine and load in one line."""
    where, samples = report.environment, report.samples
    seconds = sum(s.duration_s for s in samples)
    cpus, memory = where.get("cpus_usable", "?"), where.get("memory_mb", 0) / 1024
    machine = f"{where.get('cpu', 'unknown CPU')}, {cpus} CPUs usable, {memory:.0f} GB"
    return f"{machine}; {counted(len(samples), 'sample')}, {seconds:.0f} s of audio"
