"""Plots of single runs, made of their tables: who recognized what when, memory and CPUs over time, latencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from capsexp.analysis.figures import durations
from capsexp.report import glance
from capsexp.report.exporters.html.overtime import NAMES, series
from capsexp.report.exporters.html.plots import (
    COLOURS,
    CONFIGURATION,
    GREY,
    INK,
    Cell,
    Column,
    Plot,
    Spec,
    encoded,
    only,
    plot,
    tips,
)
from capsexp.report.exporters.html.words import Words, say
from capsexp.results.read import RunFiles, SweepFiles
from capsexp.results.report import Report
from capsexp.results.verdicts import Status

RUNS = 3  # that are shown one by one
SEGMENTS = 250  # of a run that are drawn
QUANTILES = 60  # points of a distribution
LINES = 12  # configurations in one plot


def shown(report: Report, files: SweepFiles) -> list[RunFiles]:
    """The runs that are shown one by one: of the configurations that the answer is about, of their baseline, of the one
    with the most workers, and of those that were harmed or wrong; of each the one of middle length."""
    keys = [key for c in glance.subjects(report) for key in (c.baseline, c.key)]
    keys += [c.key for c in sorted(report.configurations, key=lambda c: -(c.workers or 0)) if c.status == Status.OK][:1]
    keys += [c.key for c in report.configurations if c.wrong or c.fault.kind != "none"]
    found = [_typical(report, files, key) for key in dict.fromkeys(keys) if key]
    return [run for run in found if run is not None][:RUNS]


def _typical(report: Report, files: SweepFiles, key: str) -> RunFiles | None:
    own = [one for one in files.runs if one.run.key == key and one.run.window_s.span]
    valid = {num for c in report.configurations if c.key == key for num in c.validity.nums}
    own = [one for one in own if one.run.num in valid] or own
    own.sort(key=lambda one: ((one.run.window_s.end or 0.0) - (one.run.window_s.start or 0.0), one.run.num))
    return own[(len(own) - 1) // 2] if own else None


def of_run(one: RunFiles) -> list[Callable[[], Plot]]:
    """What is drawn of one run."""
    return [lambda: lanes(one), lambda: memory(one), lambda: cpus(one)]


SEGMENT, FAULT = say("segment"), say("fault")


def lanes(one: RunFiles) -> Plot:
    """Which worker recognized which segment when, since when it had waited, and what happened meanwhile."""
    asked = {r["task_id"]: r for r in one.requests}
    done = [s for s in one.segments if s["started_s"] is not None and s["finished_s"] is not None]
    done.sort(key=lambda s: (s["started_s"], s["worker"] or 0))
    rows: list[tuple[Cell, ...]] = []
    for s in done[:SEGMENTS]:
        request = asked.get(s["task_id"], {})
        sample = str(request.get("sample") or "?")
        rows.append((
            SEGMENT, s["worker"], sample, request.get("request"), s["segment"], s["queued_s"], s["started_s"],
            s["finished_s"], s["retries"] or 0, str(s["status"]), (request.get("request") or 0) % len(COLOURS),
        ))  # fmt: skip
    last = done[:SEGMENTS][-1]["finished_s"] if done else 0.0
    faults = [f for f in one.faults if f["time_s"] is not None and f["time_s"] <= last] if rows else []
    for f in faults:
        until = f.get("until_s") or f["time_s"]
        rows.append((FAULT, f["worker"], str(f["kind"]), None, None, None, f["time_s"], until, 0, "", 0))
    more = say("The first {} of {} segments.").format(SEGMENTS, len(done)) if len(done) > SEGMENTS else None
    note = say("A bar is a segment at a worker, a colour a request; thin: it waited; framed: tried again.")
    columns = (
        Column("what", say("what")), Column("worker", say("worker"), 0), Column("sample", say("sample")),
        Column("request", say("request"), 0), Column("segment", say("segment"), 0),
        Column("queued", say("queued s"), 2), Column("started", say("started s"), 2),
        Column("finished", say("finished s"), 2),
        Column("retries", say("retries"), 0), Column("status", say("status")), Column("colour", say("colour"), 0),
    )  # fmt: skip
    found = plot(
        _name("lanes", one), say("Segments by worker: {}").format(_called(one)), _joined(note, more), columns,
        rows,
        _lanes(len({r[1] for r in rows}), any(r[8] for r in rows), bool(faults)),
        say("Segments by worker are not drawn for {}: only capsexp's own server records them.").format(_called(one)),
    )  # fmt: skip
    return replace(found, wide=True)


def _lanes(workers: int, retried: bool, harmed: bool) -> Spec:
    tip = tips(
        ("sample", say("sample")), ("request", say("request")), ("segment", say("segment")),
        ("started", say("started s")), ("finished", say("finished s")), ("retries", say("retries")),
    )  # fmt: skip
    colour = encoded("colour", None, "nominal", legend=None, scale={"domain": [*range(8)], "range": list(COLOURS)})

    def x(field: str) -> Spec:
        return encoded(field, say("s since the run began"), scale={"zero": False})

    bar = {"x": x("started"), "x2": {"field": "finished"}}
    segments = [only("what", SEGMENT)]
    layers: list[Spec] = [
        {
            "transform": segments, "mark": {"type": "bar", "height": 3, "yOffset": 13, "opacity": 0.3, "color": GREY},
            "encoding": {"x": x("queued"), "x2": {"field": "started"}},
        },
        {
            "transform": segments, "mark": {"type": "bar", "height": 18},
            "encoding": {**bar, **tip, "color": colour},
        },
    ]  # fmt: skip
    if retried:
        frame = {"type": "bar", "height": 18, "filled": False, "stroke": INK, "strokeWidth": 2}
        layers.append({"transform": [*segments, {"filter": "datum.retries > 0"}], "mark": frame, "encoding": bar})
    if harmed:
        mark = {
            "type": "bar",
            "height": 30,
            "stroke": "#d1495b",
            "strokeWidth": 2,
            "fill": "#d1495b",
            "fillOpacity": 0.2,
        }
        told = tips(("sample", FAULT), ("started", say("from")), ("finished", say("to")))
        layers.append({"transform": [only("what", FAULT)], "mark": mark, "encoding": {**bar, **told}})
    y = encoded("worker", say("worker"), "nominal", axis={"format": "d", "grid": True})
    return {"height": 36 * workers, "encoding": {"y": y}, "layer": layers}


_OVER_TIME = (Column("time", say("s since the run began"), 2), Column("role", say("process")))


def memory(one: RunFiles) -> Plot:
    rows = [(p.time_s, p.role, p.mb) for p in series(one) if p.mb is not None]
    y = encoded("mb", say("MB"), stack="zero")
    spec = {
        "layer": [
            {"mark": {"type": "area", "opacity": 0.75}, "encoding": {"x": _time(), "y": y, "color": _role(rows)}},
            *_phase(one),
        ],
    }
    columns = (*_OVER_TIME, Column("mb", say("MB"), 0))
    return plot(
        _name("memory-time", one), say("Memory over time: {}").format(_called(one)),
        say("By process, one above the other. Between the dashed lines the load was measured."), columns, rows, spec,
        say("Memory over time is not drawn for {}: the monitor has no rows.").format(_called(one)),
    )  # fmt: skip


def cpus(one: RunFiles) -> Plot:
    rows = [(p.time_s, p.role, p.cpus) for p in series(one) if p.cpus is not None]
    spec = {
        "layer": [
            {
                "mark": {"type": "line", "interpolate": "step-before"},
                "encoding": {"x": _time(), "y": encoded("cpus", say("CPUs used")), "color": _role(rows)},
            },
            *_phase(one),
        ],
    }
    columns = (*_OVER_TIME, Column("cpus", say("CPUs used"), 2))
    return plot(
        _name("cpu-time", one), say("CPUs over time: {}").format(_called(one)),
        say("By process. Other programs: those outside the experiment, which disturb it."), columns, rows,
        spec,
        say("CPUs over time are not drawn for {}: the monitor has no rows.").format(_called(one)),
    )  # fmt: skip


def _time() -> Spec:
    return encoded("time", say("s since the run began"))


def _role(rows: Iterable[Sequence[Cell]]) -> Spec:
    """The same colour for a role in every plot."""
    there = {row[1] for row in rows}
    known = [
        (words, colour) for words, colour in zip(NAMES.values(), (*COLOURS[:6], GREY), strict=True) if words in there
    ]
    scale = {"domain": [words.spec for words, _ in known], "range": [colour for _, colour in known]}
    return encoded("role", None, "nominal", scale=scale)


def _phase(one: RunFiles) -> list[Spec]:
    """Where the measured phase begins and ends."""
    marks = [{"at": round(at, 2)} for at in one.run.window_s.span or ()]
    mark = {"type": "rule", "strokeDash": [4, 4], "color": GREY, "strokeWidth": 2}
    return [{"data": {"values": marks}, "mark": mark, "encoding": {"x": {**_time(), "field": "at"}}}] if marks else []


def latencies(report: Report, files: SweepFiles) -> Plot:
    """How many requests had their text how soon."""
    valid = {num for c in report.configurations for num in c.validity.nums}
    rows: list[tuple[Cell, ...]] = []
    for c in report.configurations[:LINES]:
        own = [one for one in files.runs if one.run.key == c.key]
        own = [one for one in own if one.run.num in valid] or own
        found = sorted(s for one in own for s in durations(one.requests, [], False).latency_s)
        rows += [(c.key, seconds, share) for seconds, share in _quantiles(found)]
    spec = {
        "encoding": {
            "x": encoded("latency", say("s from the last byte sent to the text")),
            "y": encoded("share", say("% of requests"), scale={"domain": [0, 100]}),
            "color": encoded("configuration", None, "nominal", sort=None),
        },
        "layer": [
            {"mark": {"type": "line", "interpolate": "step-after"}},
            {
                "mark": {"type": "point", "filled": True, "size": 16},
                "encoding": tips(
                    ("configuration", CONFIGURATION.title), ("latency", say("s")), ("share", say("% of requests")),
                ),
            },
        ],
    }  # fmt: skip
    columns = (CONFIGURATION, Column("latency", say("latency s"), 2), Column("share", say("% of requests"), 1))
    return plot(
        "latency", say("Latency"),
        say("How many requests had their text after so many seconds; further left is better."),
        columns, rows, spec, say("Latency is not drawn: no request was completed."),
    )  # fmt: skip


def _quantiles(found: Sequence[float]) -> list[tuple[float, float]]:
    """(seconds, % that took no longer), of many only some."""
    count = len(found)
    at = (
        range(count)
        if count <= QUANTILES
        else sorted({round(i * (count - 1) / (QUANTILES - 1)) for i in range(QUANTILES)})
    )
    return [(found[i], 100 * (i + 1) / count) for i in at]


def _name(what: str, one: RunFiles) -> str:
    return f"{what}-{one.run.num}"


def _called(one: RunFiles) -> str:
    return f"{one.run.key}, run {one.run.num}"


def _joined(first: Words, second: Words | None) -> Words:
    return first if second is None else Words(f"{first.en} {second.en}", f"{first.zh}{second.zh}")
