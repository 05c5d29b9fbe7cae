"""Pictures of a report for pages that show no plots of their own: SVG, drawn of the rows behind the page's plots.

No browser and no plotting library draws them, so that every installation makes the same bytes of the same report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Tree

from capsexp import escape
from capsexp.report.exporters.html import plots
from capsexp.report.exporters.html.plots import COLOURS, GREY, LOADING, Plot
from capsexp.results.report import Report

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 50  # of which the axes leave so much to titles and numbers
LEGEND = 18  # a line of it
MOST_SERIES = len(COLOURS)
FILES = ("report.speedup.svg", "report.memory.svg")
INK, SOFT, PAPER = "#1b1f24", "#57606a", "#ffffff"


@dataclass(frozen=True)
class Mark:
    """A point, with its 95 % interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """`plain`: no points, no numbers, grey: what is compared with, and no measurement."""

    name: str
    marks: tuple[Mark, ...]
    colour: str = GREY
    dashed: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Picture:
    """`file`: its name beside the report; `title` and `lines` also make the words for who does not see it."""

    file: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    digits: int = 2

    @property
    def words(self) -> str:
        said = [
            f"{line.name}: {', '.join(f'{m.y:.{self.digits}f} at {m.x:g}' for m in line.marks)}"
            for line in self.lines if not line.plain
        ]  # fmt: skip
        return f"{self.title}: {self.y} against {self.x}. {'; '.join(said)}"


def of(report: Report) -> list[Picture]:
    """Speedup and memory against workers, where they can be drawn."""
    found = (_speedup(plots.speedup(report)), _memory(plots.memory(report)))
    return [one for one in found if one is not None]


def _rows(plot: Plot) -> list[dict[str, Any]]:
    """By column."""
    return [dict(zip((c.field for c in plot.columns), row, strict=True)) for row in plot.rows]


def _speedup(plot: Plot) -> Picture | None:
    rows = _rows(plot)
    names = list(dict.fromkeys(row["series"] for row in rows))[:MOST_SERIES]
    lines: list[Line] = []
    ideals: dict[float, float] = {}
    for name, colour in zip(names, COLOURS, strict=False):
        own = [row for row in rows if row["series"] == name]
        marks = [Mark(r["workers"], r["speedup"], r["low"], r["high"]) for r in own]
        lines.append(Line(str(name) or "measured", _sorted(marks), colour))
        ideals |= {r["workers"]: r["ideal"] for r in own if r["ideal"] is not None}
    if not lines:
        return None
    ideal = Line("each adds as much as the first", _sorted([Mark(x, y) for x, y in ideals.items()]), GREY, True, True)
    title, y = "Speedup, with 95 % intervals", "times the baseline"
    return Picture(FILES[0], title, "workers", y, (ideal, *lines) if ideals else tuple(lines))


def _memory(plot: Plot) -> Picture | None:
    rows = _rows(plot)
    names = list(dict.fromkeys(row["series"] for row in rows))[:MOST_SERIES]
    lines = []
    for name, colour in zip(names, COLOURS, strict=False):
        for phase in dict.fromkeys(row["phase"] for row in rows):
            own = [row for row in rows if row["series"] == name and row["phase"] is phase]
            said = f"{name}, {phase.en}" if name else phase.en
            lines.append(Line(said, _sorted([Mark(r["workers"], r["mb"]) for r in own]), colour, phase is LOADING))
    if not lines:
        return None
    return Picture(FILES[1], "Memory of the server at its highest", "workers", "MB", tuple(lines), 0)


def _sorted(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    return tuple(sorted(marks, key=lambda mark: mark.x))


def drawn(picture: Picture) -> str:
    """The whole file."""
    marks = [mark for line in picture.lines for mark in line.marks]
    xs = sorted({mark.x for mark in marks})
    top = ticks(max(max(mark.y, mark.high or 0) for mark in marks))
    height = HEIGHT + LEGEND * len(picture.lines)
    root = Tree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=str(WIDTH),
        height=str(height), role="img",
    )  # fmt: skip
    root.set("font-family", "system-ui, sans-serif")
    root.set("font-size", "12")
    Tree.SubElement(root, "title").text = escape.xml(picture.words)
    Tree.SubElement(root, "rect", width=str(WIDTH), height=str(height), fill=PAPER)
    scale = _Scale(xs[0], xs[-1], top[-1])
    _axes(root, picture, scale, xs, top)
    for line in picture.lines:
        _line(root, line, scale, picture.digits)
    for at, line in enumerate(picture.lines):
        y = HEIGHT + LEGEND * at
        _stroke(root, [(LEFT, y - 4), (LEFT + 26, y - 4)], line.colour, line.dashed)
        _text(root, LEFT + 34, y, line.name)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, "unicode")}\n'


@dataclass(frozen=True)
class _Scale:
    first: float
    last: float
    top: float

    def x(self, value: float) -> float:
        left, right = LEFT + 30, WIDTH - RIGHT - 30
        span = self.last - self.first
        return (left + right) / 2 if not span else left + (right - left) * (value - self.first) / span

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / self.top


def ticks(highest: float) -> list[float]:
    """From zero to at least the highest, four to eight steps of 1, 2 or 5 times a power of ten."""
    if not highest > 0 or not math.isfinite(highest):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1.0, 2.0) if highest / (s * power) <= 8)
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def _axes(root: Tree.Element, picture: Picture, scale: _Scale, xs: Sequence[float], top: Sequence[float]) -> None:
    _text(root, LEFT, 18, picture.title, weight="bold")
    for value in top:
        y = scale.y(value)
        _stroke(root, [(LEFT, y), (WIDTH - RIGHT, y)], GREY, False, "0.5")
        _text(root, LEFT - 6, y + 4, f"{value:g}", "end")
    _text(root, LEFT, 34, picture.y, colour=SOFT)
    for value in xs if len(xs) <= 20 else (xs[0], xs[-1]):
        _text(root, scale.x(value), HEIGHT - BOTTOM + 16, f"{value:g}", "middle")
    _text(root, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, picture.x, "middle", colour=SOFT)


def _line(root: Tree.Element, line: Line, scale: _Scale, digits: int) -> None:
    _stroke(root, [(scale.x(m.x), scale.y(m.y)) for m in line.marks], line.colour, line.dashed)
    for mark in line.marks if not line.plain else ():
        x, y = scale.x(mark.x), scale.y(mark.y)
        if mark.low is not None and mark.high is not None:
            _stroke(root, [(x, scale.y(mark.low)), (x, scale.y(mark.high))], line.colour, False)
        Tree.SubElement(root, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4", fill=line.colour)
        if not line.dashed:
            _text(root, x - 7, y - 7, f"{mark.y:.{digits}f}", "end", line.colour)


def _stroke(
    root: Tree.Element, points: Sequence[tuple[float, float]], colour: str, dashed: bool, width: str = "2"
) -> None:
    said = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    line = Tree.SubElement(root, "polyline", points=said, fill="none", stroke=colour)
    line.set("stroke-width", width)
    if dashed:
        line.set("stroke-dasharray", "5 4")


def _text(
    root: Tree.Element, x: float, y: float, said: str, anchor: str = "start", colour: str = INK, weight: str = "normal"
) -> None:
    text = Tree.SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=colour)
    text.set("text-anchor", anchor)
    text.set("font-weight", weight)
    text.text = escape.xml(said)
