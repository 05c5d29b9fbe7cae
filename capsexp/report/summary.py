"""A report in about a dozen lines and a narrow table: for a screen. Everything else is in report.md and report.html."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from capsexp import escape
from capsexp.analysis import metrics
from capsexp.analysis.metrics.metric import Metric, Place
from capsexp.counts import counted
from capsexp.report import capacities, glance, schedules, sentences, tables
from capsexp.results.report import Configuration, Report

WIDTH = 100  # of a file, and of what is no terminal
_NARROWEST = 13  # of the first column, however narrow the terminal is
_VERDICT = 12  # characters in a line of the last one
MOST = 3  # of what may be many: groups with an advice of their own, what is not decided, warnings


def lines(report: Report) -> Iterator[str]:
    """Question, answer, why, what to do, what is not decided and what would decide it, what to beware of."""
    yield f"Question: {glance.question(report)}"
    yield sentences.verdict_line(report)
    if because := _because(report):
        yield because
    yield from sentences.changed_lines(report)
    yield from capacities.lines(report)
    yield from _first(schedules.gains(report), "schedule")
    if not report.capacity:
        yield from _first(sentences.slo_lines(report), "configuration", "with an SLO")
    for advice in report.advice[:MOST]:
        first, *open_ = sentences.advised(advice)
        yield first
        yield from _first(open_, "sentence", "of what is not decided")
    if (more := len(report.advice) - MOST) > 0:
        yield f"Of {counted(more, 'group')} more: see report.md."
    yield from sentences.decide_lines(report)
    yield from _first(sentences.start_lines(report), "way", "to start it")
    yield from _first([f"Warning: {line}" for line in report.warnings], "warning")


def _first(found: list[str], noun: str, what: str = "") -> Iterator[str]:
    yield from found[:MOST]
    if (more := len(found) - MOST) > 0:
        yield f"And {counted(more, f'more {noun}')}{f' {what}' if what else ''}: see report.md."


def _because(report: Report) -> str | None:
    """The limits and what they read, in one line."""
    for c in [] if report.capacity else glance.subjects(report)[-1:]:
        judged = [f"{i.name} {i.value} ({i.limit}: {tables.spelled(i.reading)})" for i in glance.items(c) if i.judged]
        if judged:
            return f"Why: {c.key}: {', '.join(judged)}."
    return None


def table(report: Report, width: int = WIDTH) -> str:
    """The few figures that matter most, within so many characters."""
    if report.capacity:
        return _carried(report)
    shown = metrics.at(Place.TEXT) + _felt(report.configurations)
    headers = ["configuration", "trials", *(_header(metric) for metric in shown), "verdict"]
    rows = [_row(c, shown) for c in report.configurations]
    widths = [max(map(_widest, cells)) for cells in zip(headers, *rows, strict=True)]
    room = max(_NARROWEST, width - sum(2 + wide for wide in widths[1:]))
    for row in rows:
        row[0] = _folded(row[0], room)
    widths[0] = max(_widest(cells[0]) for cells in (headers, *rows))
    sides = ("left", *("right",) * (len(headers) - 2), "left")
    # Headers as a row like others: tabulate makes room beside its own, which is not there.
    lines = [headers, ["-" * wide for wide in widths], *rows]
    return tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=sides)


def _carried(report: Report) -> str:
    """Of a search for a capacity: each meaning of real time, with the band of each configuration."""
    found: dict[str, dict[str, str]] = {}
    for name, key, most, least, _ in capacities.meaning_rows(report):
        found.setdefault(name, {})[key] = f"{most} to {least}" if least != "-" else f"from {most}"
    keys = [one.key for one in report.capacity]
    rows = [[name, *(bands.get(key, "-") for key in keys)] for name, bands in found.items()]
    own = "what was promised"
    bands = [f"{one.feasible_max or 0:g} to {one.infeasible_min:g}" if one.infeasible_min is not None
             else f"from {one.feasible_max or 0:g}" for one in report.capacity]  # fmt: skip
    headers = ["capacity, from the most that kept the SLO to the least that did not", *keys]
    return tabulate([[own, *bands], *rows], headers, "simple", disable_numparse=True)


def _widest(cell: str) -> int:
    return max(map(len, cell.split("\n")), default=0)


def _felt(configurations: Sequence[Configuration]) -> list[Metric]:
    """What users waited for, where requests had a time at which they were due: of a load that is sent at once it only
    says where in the queue a request stood."""
    if not any(c.value("offered_rtfx") is not None for c in configurations):
        return []
    known = [m for m in metrics.at(Place.FELT) if any(c.value(m.tag) is not None for c in configurations)]
    return known[-1:]


def _header(metric: Metric) -> str:
    """Its last two words below the others."""
    words = metric.header.split()
    return " ".join(words) if len(words) < 3 else "\n".join((" ".join(words[:-2]), " ".join(words[-2:])))


def _row(c: Configuration, shown: Sequence[Metric]) -> list[str]:
    return [
        escape.one_line(tables.marked(c)),
        tables.trials(c),
        *(_cell(c, metric) for metric in shown),
        "\n".join(textwrap.wrap(escape.one_line(tables.came_to(c)), _VERDICT)),
    ]


def _cell(c: Configuration, metric: Metric) -> str:
    ci95 = c.metric(metric.tag).ci95 if Place.INTERVAL in metric.places else None
    below = f"\n{ci95[0]:.{metric.digits}f}-{ci95[1]:.{metric.digits}f}" if ci95 else ""
    return tables.cell(c, metric) + below


def _folded(key: str, width: int) -> str:
    """A key in several lines, broken behind its commas where that is possible."""
    found, line = [], ""
    for part in key.replace(",", ",\0").replace(" (", " \0(").split("\0"):
        if line and len(line) + len(part) > width:
            found.append(line.rstrip())
            line = ""
        line += part
        while len(line) > width:
            found.append(line[:width])
            line = line[width:]
    return "\n".join([*found, line])
