"""Plots of the report: what a plot is, and those that are made of its typed figures.

A plot is a table and a Vega-Lite specification that draws it. The page shows both, and its script reads the rows from
the table that is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from capsexp.report.exporters.html.words import Words, say
from capsexp.results.report import Configuration, Report

Spec: TypeAlias = Mapping[str, Any]  # a part of a Vega-Lite specification, in its words
Cell: TypeAlias = "str | float | int | Words | None"

# Middle tones, which are told apart on white, on black, on grey paper and by people who do not see all colours.
COLOURS = ("#2f7fd1", "#d9730d", "#1b9a72", "#b35cc4", "#8a8a2a", "#d1495b", "#4b9fb3", "#8c6d5a")
GREY = "#808890"
INK = "currentColor"  # as the page's own text, light or dark
CONFIG: Spec = {
    "background": None, "aria": False, "font": "system-ui, sans-serif", "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "domainColor": GREY, "tickColor": GREY, "gridColor": GREY,
        "gridOpacity": 0.25, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 220,
        "labelFlush": False, "labelSeparation": 6,
    },
    "legend": {
        "labelColor": INK, "titleColor": INK, "orient": "bottom", "labelFontSize": 12, "labelLimit": 300, "columns": 2,
        "symbolStrokeWidth": 2,
    },
    "header": {"labelColor": INK, "titleColor": INK},
    "range": {"category": list(COLOURS)}, "mark": {"color": COLOURS[0]}, "text": {"color": INK},
}  # fmt: skip
DOT: Spec = {"type": "point", "filled": True, "size": 80, "opacity": 1}


@dataclass(frozen=True)
class Column:
    """`digits`: behind the point, of a number; None: text."""

    field: str
    title: Words
    digits: int | None = None


@dataclass(frozen=True)
class Plot:
    """`missing`: why there is nothing to be drawn. `note`: how it is read."""

    name: str
    title: Words
    note: Words | None = None
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    spec: Spec | None = None
    wide: bool = False  # as the page is
    missing: Words | None = None


def plot(
    name: str, title: Words, note: Words, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], spec: Spec,
    otherwise: Words,
) -> Plot:  # fmt: skip
    """Without rows only the sentence that says what is missing."""
    found = tuple(tuple(row) for row in rows)
    if not found:
        return Plot(name, title, missing=otherwise)
    return Plot(name, title, note, tuple(columns), found, {"width": "container", "height": 260, **spec})


def encoded(field: str, title: Words | None = None, kind: str = "quantitative", **more: Any) -> Spec:
    """A channel of a specification."""
    return {"field": field, "type": kind, "title": title.spec if title else None, **more}


def only(column: str, words: Words) -> Spec:
    """A filter on rows whose cell holds these words, in whichever language."""
    return {"filter": {"field": column, "oneOf": [words.en, words.zh]}}


CONFIGURATION = Column("configuration", say("configuration"))
_SERIES = Column("series", say("settings"))
_WORKERS = Column("workers", say("workers"), 0)


def series(c: Configuration) -> str:
    """What a configuration is beside its number of workers."""
    return beside_workers(c.key)


def beside_workers(key: str) -> str:
    return ", ".join(part for part in key.split(",") if not re.fullmatch(r"workers=[\w.]+", part))


def _across(what: Sequence[str]) -> Spec:
    """Colours, where there is more than one line."""
    return {"color": encoded("series", None, "nominal", sort=None)} if len(set(what)) > 1 else {}


def workers_axis(rows: Iterable[Sequence[Cell]], at: int) -> Spec:
    counts = sorted({row[at] for row in rows if isinstance(row[at], int)})  # type: ignore[type-var]
    axis = {"values": counts, "format": "d", "grid": False} if len(counts) <= 20 else {"format": "d"}
    return encoded("workers", say("workers"), axis=axis, scale={"nice": False, "zero": False, "padding": 20})


def speedup(report: Report) -> Plot:
    by_key = {c.key: c for c in report.configurations}
    rows: list[tuple[Cell, ...]] = []
    for c in report.configurations:
        one, base = c.metric("speedup"), by_key.get(c.baseline or "")
        if c.workers and (one.value is not None or base is c):
            low, high = one.ci95 or (None, None)
            ideal = c.workers / base.workers if base and base.workers else None
            rows.append((c.key, series(c), c.workers, 1.0 if base is c else one.value, low, high, ideal))
    several = len({row[2] for row in rows}) > 1
    axis = encoded("speedup", say("speedup (times the baseline)"), scale={"zero": True})
    x = {"x": workers_axis(rows, 2)}
    tip = tips(
        ("configuration", say("configuration")), ("speedup", say("speedup")), ("low", say("from")), ("high", say("to"))
    )
    spec = {
        "encoding": {**x, **_across([str(row[1]) for row in rows])},
        "layer": [
            {
                "mark": {"type": "line", "strokeDash": [5, 4], "color": GREY},
                "encoding": {"y": {**axis, "field": "ideal", "aggregate": "max"}, "color": {"value": GREY}},
            },
            *spread(rows, axis),
            {"mark": {"type": "line"}, "encoding": {"y": axis}},
            {"mark": DOT, "encoding": {"y": axis, **tip}},
        ],
    }  # fmt: skip
    columns = (
        CONFIGURATION, _SERIES, _WORKERS, Column("speedup", say("speedup"), 2), Column("low", say("from"), 2),
        Column("high", say("to"), 2), Column("ideal", say("ideal"), 2),
    )  # fmt: skip
    return plot(
        "speedup", say("Speedup"),
        say("How many times as fast as the baseline. Bars: 95 % intervals. Dashed: each adds as much as the first."),
        columns, rows if several else (), spec,
        say("Speedup is not drawn: it takes two numbers of workers whose runs count."),
    )  # fmt: skip


def spread(rows: Iterable[Sequence[Cell]], axis: Spec) -> list[Spec]:
    """The intervals, if there are any: of `low` and `high`, the fifth column and the sixth, or those after."""
    if not any(isinstance(row[5], float) for row in rows):
        return []
    y = {"y": {**axis, "field": "low"}, "y2": {"field": "high"}}
    return [
        {"transform": [{"filter": "datum.low !== null"}], "mark": {"type": "rule", "strokeWidth": 2}, "encoding": y}
    ]


def _where(column: str, words: Words, rows: Iterable[Sequence[Cell]], mark: Spec, encoding: Spec) -> list[Spec]:
    """A layer of the rows that hold these words, where there are any: of none a plot has no scale."""
    if not any(words in row for row in rows):
        return []
    return [{"transform": [only(column, words)], "mark": mark, "encoding": encoding}]


def tips(*fields: tuple[str, Words]) -> Spec:
    return {"tooltip": [encoded(name, words, "nominal") for name, words in fields]}


MEASURED, PREDICTED = say("measured"), say("predicted")


def throughput(report: Report) -> Plot:
    rows: list[tuple[Cell, ...]] = []
    for c in report.configurations:
        one = c.metric("throughput_rtfx")
        if c.workers and one.value is not None:
            rows.append((c.key, series(c), c.workers, MEASURED, one.value, *(one.ci95 or (None, None))))
    measured = {c.key: series(c) for c in report.configurations}
    for s in report.scaling:
        line = measured.get(s.keys[0], "") if s.keys else ""
        for row in s.predicted:
            ci95 = row.throughput_ci95 or (None, None)
            rows.append((f"workers={row.workers}", line, row.workers, PREDICTED, row.throughput_rtfx, *ci95))
    y = encoded("rtfx", say("seconds of audio per second"), scale={"zero": True})
    tip = tips(
        ("configuration", say("configuration")),
        ("kind", say("kind")),
        ("rtfx", say("RTFx")),
        ("low", say("from")),
        ("high", say("to")),
    )
    spec = {
        "encoding": {"x": workers_axis(rows, 2), **_across([str(row[1]) for row in rows])},
        "layer": [
            *spread(rows, y),
            *_where("kind", MEASURED, rows, {"type": "line"}, {"y": y}),
            *_where("kind", MEASURED, rows, DOT, {"y": y, **tip}),
            *_where("kind", PREDICTED, rows, {"type": "line", "strokeDash": [2, 4]}, {"y": y}),
            *_where("kind", PREDICTED, rows, {"type": "point", "size": 70, "opacity": 1}, {"y": y, **tip}),
        ],
    }
    columns = (
        CONFIGURATION, _SERIES, _WORKERS, Column("kind", say("kind")), Column("rtfx", say("RTFx"), 2),
        Column("low", say("from"), 2), Column("high", say("to"), 2),
    )  # fmt: skip
    return plot(
        "throughput", say("Throughput (RTFx)"),
        say("Seconds of audio recognized per second. Filled: measured, with 95 % intervals. Hollow: predicted."),
        columns, rows, spec, say("Throughput is not drawn: no configuration completed all of its requests."),
    )  # fmt: skip


LOADING, STEADY = say("while models load"), say("under load")
_PHASES = (("load_peak_memory_mb", LOADING), ("steady_memory_mb", STEADY))


def memory(report: Report) -> Plot:
    rows: list[tuple[Cell, ...]] = [
        (c.key, series(c), c.workers, phase, c.value(tag))
        for c in report.configurations
        for tag, phase in _PHASES
        if c.workers and c.value(tag) is not None
    ]
    y = encoded("mb", say("MB, summed over the server's processes"), scale={"zero": True})
    tip = tips(("configuration", say("configuration")), ("phase", say("phase")), ("mb", say("MB")))
    phase = encoded("phase", None, "nominal", scale={"domain": [LOADING.spec, STEADY.spec], "range": [[3, 3], [1, 0]]})
    spec = {
        "encoding": {"x": workers_axis(rows, 2), "y": y, **_across([str(row[1]) for row in rows])},
        "layer": [
            {"mark": {"type": "line"}, "encoding": {"strokeDash": phase}},
            {"mark": DOT, "encoding": tip},
        ],
    }
    columns = (CONFIGURATION, _SERIES, _WORKERS, Column("phase", say("phase")), Column("mb", say("MB"), 0))
    return plot(
        "memory", say("Memory"), say("The most that the server held, of all trials; dashed: while its models loaded."),
        columns, rows, spec, say("Memory is not drawn: it was not measured."),
    )  # fmt: skip


ADVISED = say("recommended")


def pareto(report: Report) -> Plot:
    chosen = {one.recommendation.key for one in report.advice if one.recommendation and one.recommendation.decided}
    rows: list[tuple[Cell, ...]] = []
    for c in report.configurations:
        mb, rtfx = c.value("peak_memory_mb"), c.value("throughput_rtfx")
        if mb is not None and rtfx is not None:
            rows.append((c.key, series(c), c.workers, mb, rtfx, ADVISED if c.key in chosen else ""))
    axes = {
        "x": encoded("mb", say("MB at the highest"), scale={"zero": True}),
        "y": encoded("rtfx", say("RTFx"), scale={"zero": True}),
    }
    tip = tips(("configuration", say("configuration")), ("rtfx", say("RTFx")), ("mb", say("MB")))
    ring = {"type": "point", "size": 420, "strokeWidth": 2, "color": COLOURS[2], "opacity": 1}
    layers: list[Spec] = [
        *_where("mark", ADVISED, rows, ring, {}),
        {"mark": DOT, "encoding": {**tip, **_across([str(row[1]) for row in rows])}},
    ]  # fmt: skip
    if len(rows) <= 24:
        beside = {"type": "text", "align": "right", "dx": -8, "dy": -8, "fontSize": 12}
        layers.append({"mark": beside, "encoding": {"text": {"field": "workers", "type": "nominal"}}})
    columns = (
        CONFIGURATION, _SERIES, _WORKERS, Column("mb", say("peak MB"), 0), Column("rtfx", say("RTFx"), 2),
        Column("mark", say("advice")),
    )  # fmt: skip
    return plot(
        "pareto",
        say("Speed against memory"),
        say("Higher is faster, further left is smaller. Numbers: workers. Ringed: recommended."),
        columns, rows, {"encoding": axes, "layer": layers},
        say("Speed against memory is not drawn: no configuration has both."),
    )  # fmt: skip


# Those that need nothing but the report.
OF_REPORT: tuple[Callable[[Report], Plot], ...] = (speedup, throughput, memory, pareto)
