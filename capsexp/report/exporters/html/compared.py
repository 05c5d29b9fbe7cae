"""A page for sweeps side by side: ratios to the first, plots on common axes, and what was different to begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from capsexp.analysis import differences, statistics
from capsexp.analysis.differences import Difference
from capsexp.analysis.figures import Figures
from capsexp.analysis.metrics import BY_TAG
from capsexp.report import tables
from capsexp.report.exporters.html import page, plots
from capsexp.report.exporters.html.plots import CONFIGURATION, Cell, Column, Plot, encoded, only, plot, tips
from capsexp.report.exporters.html.words import Words, say

if TYPE_CHECKING:  # what opens sweeps reports on them as well
    from capsexp.sweeps import Swept

HEADERS = ("configuration", "figure", "before", "after", "ratio", "95 % interval", "reading")
READINGS = {True: say("different"), False: say("no difference seen"), None: say("too few trials to say")}
_SWEEP = Column("sweep", say("sweep"))
_LONGEST = 200  # characters of a value


@dataclass(frozen=True)
class Pair:
    """A sweep against the first one. `unlike`: why their ratios are not of the same work; `changes`: what differs in
    environment and settings, each as (name, rows); `apart`: configurations of which the one sweep had more texts before
    the last one than the other, and `texts` how many."""

    number: int
    name: str
    title: Words
    unlike: list[str]
    machines: list[str]
    ratios: list[Difference]
    alone: list[str]
    changes: list[tuple[Words, list[list[str]]]]
    models: list[str]
    apart: frozenset[str]
    texts: list[str]

    @property
    def changed(self) -> list[Difference]:
        return [one for one in self.ratios if one.different]

    @property
    def answer(self) -> Words:
        """In a sentence."""
        if not self.ratios:
            return say("No figure is known in both.")
        if not any(one.ci95 for one in self.ratios):
            return say("Too few trials to say whether anything differs.")
        known = sum(one.ci95 is not None for one in self.ratios)
        counts = say("{} of {} figures differ by more than noise explains.").format(len(self.changed), known)
        if known == len(self.ratios):
            return counts
        more = say("Of {} more there are too few trials to say.").format(len(self.ratios) - known)
        return Words(f"{counts.en} {more.en}", counts.zh + more.zh)

    @property
    def rows(self) -> list[list[Any]]:
        found: list[list[Any]] = []
        for one in self.ratios:
            values = (tables.shown(one.metric, value) for value in (one.before, one.after))
            numbers = *values, tables.number(one.ratio, 3)
            figure, interval = say(BY_TAG[one.metric].header), tables.interval(one.ci95, 3)
            reading = say(differences.APART) if one.apart(self.apart) else READINGS[one.different]
            found.append([one.key, figure, *numbers, interval, reading])
        return found


def made(sweeps: Sequence[Swept]) -> str:
    """The whole page."""
    first, *others = sweeps
    pairs = [_pair(number, first, other) for number, other in enumerate(others, 1)]
    make: tuple[Callable[[], Plot], ...] = (
        partial(_ratios, pairs),
        partial(_throughput, sweeps),
        partial(_memory, sweeps),
    )
    whole = [page.survived(each) for each in make]
    title = " / ".join(each.name for each in sweeps)
    context = {"title": title, "sweeps": sweeps, "pairs": pairs, "whole": whole, "headers": HEADERS}
    return page.rendered("compare.html", whole, first.files.sweep.report.get("lang"), context)


def _pair(number: int, old: Swept, new: Swept) -> Pair:
    before, after = old.observed, new.observed
    counted = differences.counting(before), differences.counting(after)
    apart = differences.texts(*counted)
    environments = [one.files.environment for one in (old, new)]
    mine, theirs = ({k: v for k, v in one.items() if k != "models"} for one in environments)
    return Pair(
        number, new.name, say("{} against {}").format(new.name, old.name),
        differences.unlike(before, after), differences.machines(*environments), differences.ratios(*counted),
        sorted({*counted[0]} ^ {*counted[1]}),
        [
            (say("Environment"), _listed(differences.changes(mine, theirs))),
            (say("Settings"), _listed(differences.configurations(before, after))),
        ],
        differences.models(*(one.get("models") for one in environments)),
        frozenset(apart), [f"{key}: {then:.3g} / {now:.3g}" for key, (then, now) in apart.items()],
    )  # fmt: skip


def _listed(found: Sequence[tuple[str, Any, Any]]) -> list[list[str]]:
    return [[key, _said(before), _said(after)] for key, before, after in found]


def _said(value: Any) -> str:
    said = ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _ratios(pairs: Sequence[Pair]) -> Plot:
    """Of sweeps that did the same work only."""
    rows: list[tuple[Cell, ...]] = [
        (
            f"{one.key}, {BY_TAG[one.metric].header}",
            pair.name,
            one.ratio,
            *(one.ci95 or (None, None)),
            READINGS[one.different],
        )
        for pair in pairs
        if not pair.unlike
        for one in pair.ratios
    ]
    x = encoded("ratio", say("times the first sweep's"), scale={"zero": False})
    y = encoded("what", None, "nominal", sort=None)
    colour = {"color": encoded("sweep", None, "nominal", sort=None), "yOffset": {"field": "sweep"}}
    tip = tips(("what", say("figure")), ("ratio", say("ratio")), ("low", say("from")), ("high", say("to")))
    spec = {
        "height": 40 + 18 * len(rows),
        "encoding": {"y": y, **(colour if len({row[1] for row in rows}) > 1 else {})},
        "layer": [
            {"mark": {"type": "rule", "color": plots.GREY, "strokeDash": [5, 4]}, "encoding": {
                "x": {"datum": 1}, "y": None, "color": {"value": plots.GREY}, "yOffset": None}},
            *([{"transform": [{"filter": "datum.low !== null"}], "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}}}]
              if any(row[3] is not None for row in rows) else []),
            {"mark": plots.DOT, "encoding": {"x": x, **tip}},
            *([{"transform": [only("reading", READINGS[True])],
                "mark": {"type": "point", "size": 300, "strokeWidth": 2, "color": plots.COLOURS[5], "opacity": 1},
                "encoding": {"x": x, "color": {"value": plots.COLOURS[5]}}}]
              if any(row[5] is READINGS[True] for row in rows) else []),
        ],
    }  # fmt: skip
    columns = (
        Column("what", say("figure")), _SWEEP, Column("ratio", say("ratio"), 3), Column("low", say("from"), 3),
        Column("high", say("to"), 3), Column("reading", say("reading")),
    )  # fmt: skip
    return plot(
        "ratios", say("Ratios to the first sweep"),
        say("Dashed: no change. Bars: 95 % intervals. Ringed: more than noise explains."),
        columns, rows, spec, say("Ratios are not drawn: no two sweeps did the same work."),
    )  # fmt: skip


def _across(
    name: str, title: Words, note: Words, axis: Words, sweeps: Sequence[Swept],
    pick: Callable[[Figures], float | None], digits: int, otherwise: Words, highest: bool = False,
) -> Plot:  # fmt: skip
    """A figure against workers, a colour for each sweep; lines join what differs in workers only."""
    rows: list[tuple[Cell, ...]] = []
    for each in sweeps:
        other = differences.unlike(sweeps[0].observed, each.observed)
        named = say("{} (other work)").format(each.name) if other else each.name
        workers = {o.run.key: o.run.workers for o in each.observed}
        for key, own in differences.counting(each.observed).items():
            values = [v for f in own if (v := pick(f)) is not None]
            if values and workers[key]:
                middle = max(values) if highest else statistics.centre(values)
                low, high = (None if highest else statistics.interval(values)) or (None, None)
                rows.append((key, plots.beside_workers(key), named, workers[key], middle, low, high))
    y = encoded("value", axis, scale={"zero": True})
    tip = tips(("configuration", say("configuration")), ("sweep", say("sweep")), ("value", title))
    spec: Mapping[str, Any] = {
        "encoding": {
            "x": plots.workers_axis(rows, 3), "color": encoded("sweep", None, "nominal", sort=None),
            "detail": {"field": "series", "type": "nominal"},
        },
        "layer": [
            *plots.spread(rows, y),
            {"mark": {"type": "line"}, "encoding": {"y": y}},
            {"mark": plots.DOT, "encoding": {"y": y, **tip}},
        ],
    }  # fmt: skip
    columns = (
        CONFIGURATION, Column("series", say("settings")), _SWEEP, Column("workers", say("workers"), 0),
        Column("value", title, digits), Column("low", say("from"), digits), Column("high", say("to"), digits),
    )  # fmt: skip
    return plot(name, title, note, columns, rows, spec, otherwise)


def _throughput(sweeps: Sequence[Swept]) -> Plot:
    return _across(
        "throughput", say("Throughput (RTFx)"), say("A colour for each sweep. Bars: 95 % intervals."),
        say("seconds of audio per second"), sweeps, lambda f: f.throughput_rtfx, 2,
        say("Throughput is not drawn: no configuration completed all of its requests."),
    )  # fmt: skip


def _memory(sweeps: Sequence[Swept]) -> Plot:
    return _across(
        "memory", say("Memory"), say("A colour for each sweep: the most that its server held, of all trials."),
        say("MB, summed over the server's processes"), sweeps, lambda f: f.memory.peak_mb, 0,
        say("Memory is not drawn: it was not measured."), highest=True,
    )  # fmt: skip
