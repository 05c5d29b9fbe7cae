"""Pictures beside report.md: what is drawn is what the report says, and nothing foreign acts in them."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.files import read_json, write_json
from capsexp.report import build, drawings, tables
from capsexp.report.drawings import Line, Mark, Picture, drawn, ticks
from capsexp.report.exporters import markdown
from capsexp.results.read import SweepFiles
from tests.support.bench import Bench
from tests.support.reports import a_run, a_sweep

SVG = "{http://www.w3.org/2000/svg}"


def swept(key: str = "workers={}") -> SweepFiles:
    each = ((1, 10.0, 100.0), (2, 6.0, 190.0), (3, 5.0, 290.0))
    runs = [a_run(w, s + t / 10, mb, trial=t, key=key.format(w)) for w, s, mb in each for t in (1, 2, 3)]
    return a_sweep(runs)


def points(svg: str, colour: str) -> list[tuple[float, float]]:
    """Where the points of a series are, as pixels."""
    root = Tree.fromstring(svg)
    return [
        (float(c.get("cx", "")), float(c.get("cy", ""))) for c in root.iter(f"{SVG}circle") if c.get("fill") == colour
    ]


def test_points_lie_where_the_reports_figures_are() -> None:
    report = build.assemble(swept())
    speedup, memory = (drawn(one) for one in drawings.of(report))
    for svg, tag in ((speedup, "speedup"), (memory, "steady_memory_mb")):
        values = [1.0 if tag == "speedup" and c.role else c.value(tag) or 0 for c in report.configurations]
        where = points(svg, drawings.COLOURS[0])
        assert len(where) == 3 and [x for x, _ in where] == sorted(x for x, _ in where)
        bottom = drawings.HEIGHT - drawings.BOTTOM
        heights = [bottom - y for _, y in where]
        assert [h / heights[0] for h in heights] == pytest.approx([v / values[0] for v in values], abs=0.01)
        said = {t.text for t in Tree.fromstring(svg).iter(f"{SVG}text")}
        assert {tables.shown(tag, v) for v in values} <= said
    assert speedup == drawn(drawings.of(build.assemble(swept()))[0])


def test_intervals_and_the_ideal_are_drawn() -> None:
    [picture, _] = drawings.of(build.assemble(swept()))
    ideal, line = picture.lines
    assert [(m.x, m.y) for m in ideal.marks] == [(1, 1), (2, 2), (3, 3)] and ideal.plain and ideal.dashed
    assert line.marks[1].low and line.marks[1].high and line.marks[1].low < line.marks[1].y < line.marks[1].high
    bars = [
        p.get("points")
        for p in Tree.fromstring(drawn(picture)).iter(f"{SVG}polyline")
        if p.get("stroke") == line.colour
    ]
    upright = [b for b in bars if b and len({pair.split(",")[0] for pair in b.split()}) == 1]
    assert len(upright) == 2  # the baseline has none


def test_without_figures_there_is_no_picture() -> None:
    report = build.assemble(a_sweep([a_run(1, None, status="failed", error="x")]))
    assert drawings.of(report) == [] and markdown.pictures(report) == {}
    assert "![" not in markdown.render(report)
    one = build.assemble(a_sweep([a_run(1, 10.0)]))
    assert [p.file for p in drawings.of(one)] == ["report.memory.svg"]


@given(st.text(st.characters(codec=None), max_size=30))
def test_foreign_text_is_text(foreign: str) -> None:
    report = build.assemble(swept(f"workers={{}},x={foreign.replace('{', '(').replace('}', ')')}"))
    for svg in markdown.pictures(report).values():
        svg.encode("utf-8")
        tags = {element.tag.removeprefix(SVG) for element in Tree.fromstring(svg).iter()}
        assert tags == {"svg", "title", "rect", "text", "polyline", "circle"}
    assert len(re.findall(r"(?m)^!\[.*\]\(report\.\w+\.svg\)$", markdown.render(report))) == 2


@given(st.floats(1e-3, 1e9))
def test_ticks_begin_at_zero_and_reach_the_highest(highest: float) -> None:
    found = ticks(highest)
    steps = {f"{b - a:.6g}" for a, b in pairwise(found)}
    assert found[0] == 0 and found[-1] >= highest * (1 - 1e-6) and 4 <= len(found) <= 10 and len(steps) == 1
    assert ticks(0.0) == ticks(float("inf")) == [0.0, 1.0]


def test_many_numbers_of_workers_are_named_at_the_ends() -> None:
    marks = tuple(Mark(n, 1.0) for n in range(1, 31))
    said = drawn(Picture("x", "x", "workers", "y", (Line("one", marks, "#000000"),)))
    texts = [t.text for t in Tree.fromstring(said).iter(f"{SVG}text") if t.get("text-anchor") == "middle"]
    assert texts == ["1", "30", "workers"]


def test_they_lie_beside_the_page_and_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = tmp_path / "formats.json"

    def read(folder: Path) -> SweepFiles:
        files = swept()
        return a_sweep(files.runs, report={"formats": read_json(formats)})

    monkeypatch.setattr(build, "read_sweep", read)
    for asked, there in ((["markdown"], True), (["text"], False)):
        write_json(formats, asked)
        build.rebuild(tmp_path)
        assert {(tmp_path / name).is_file() for name in drawings.FILES} == {there}
    monkeypatch.setattr(markdown, "pictures", lambda report: {"../x.svg": ""})
    write_json(formats, ["markdown"])
    report = build.rebuild(tmp_path)
    assert any("pictures of report.md" in line for line in report.warnings)
    assert (tmp_path / "report.md").is_file() and not (tmp_path.parent / "x.svg").exists()


@pytest.mark.slow
def test_an_archive_holds_them(bench: Bench) -> None:
    assert bench.run("workers=1,2", "engine.rtf=0.02", "archive.enabled=true", "-m") == 0, bench.stderr
    files = read_json(bench.out / "MANIFEST.json")["files"]
    assert set(drawings.FILES) <= set(files)
    assert "](report.speedup.svg)" in (bench.out / "report.md").read_text("utf-8")
