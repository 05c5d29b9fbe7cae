"""The page of sweeps side by side: its figures, what it warns of, and that a browser shows it quietly."""

import re
from pathlib import Path
from typing import Any

import pytest

from capsexp import compare
from capsexp.analysis import differences
from capsexp.report import tables
from capsexp.report.build import observe
from capsexp.report.exporters.html import compared
from capsexp.sweeps import Swept, opened
from tests.support.bench import Bench
from tests.support.browser import launched
from tests.support.browser import opened as shown
from tests.support.harmed import MARKUP
from tests.support.reports import a_run, a_sweep


def swept(name: str, factor: float = 1.0, keys: str = "workers={}", **more: Any) -> Swept:
    runs = [
        a_run(w, factor * (10 / w + t / 20), 100.0 * w * factor, trial=t, key=keys.format(w), **more)
        for w in (1, 2, 3) for t in (1, 2, 3)
    ]  # fmt: skip
    files = a_sweep(runs)
    return Swept(name, files, observe(files))


def cells(page: str, of: str) -> list[list[str]]:
    """The rows of the table behind a plot."""
    table = page[page.index(f'id="table-{of}"') :]
    rows = re.findall(r"(?s)<tr>(.*?)</tr>", table[: table.index("</table>")])[1:]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"(?s)<td>(.*?)</td>", row)] for row in rows]


def test_its_figures_are_those_of_the_text() -> None:
    old, new = swept("old"), swept("new", 1.25)
    page, text = compared.made([old, new]), compare.side_by_side(old, new)
    found = differences.ratios(differences.counting(old.observed), differences.counting(new.observed))
    assert len(found) == 12 and "12 of 12 figures differ by more than noise explains." in page
    drawn = {row[0]: row[2:5] for row in cells(page, "ratios")}
    for one in found:
        assert one.ci95 and tables.number(one.ratio, 3) in text
        said = [tables.number(v, 3) for v in (one.ratio, *one.ci95)]
        assert [each for key, each in drawn.items() if key.startswith(one.key)].count(said)
        assert f"<td>{tables.interval(one.ci95, 3)}</td>" in page
    speeds = {(row[0], row[2]): float(row[4]) for row in cells(page, "throughput")}
    assert speeds.keys() == {(f"workers={n}", name) for n in (1, 2, 3) for name in ("old", "new")}
    assert speeds["workers=2", "new"] == pytest.approx(speeds["workers=2", "old"] / 1.25, abs=0.01)
    assert page == compared.made([swept("old"), swept("new", 1.25)])


def test_unlike_things_are_never_compared_silently() -> None:
    old, same, other = swept("old"), swept("same"), swept("other", settings={"engine.beam": 3})
    page = compared.made([old, same, other])
    assert page.count("Not the same work, so the ratios do not compare like with like:") == 2  # above, and at its table
    assert "other settings of engine" in page
    assert {row[1] for row in cells(page, "ratios")} == {"same"}
    assert "0 of 12 figures differ" in page
    assert any("(other work)" in row[2] for row in cells(page, "throughput"))
    alone = compared.made([old, other])
    assert "Ratios are not drawn: no two sweeps did the same work." in alone
    other.files.environment["cpu"] = "another"  # type: ignore[index]
    assert "cpu CPU and another" in compared.made([old, other])


def test_times_after_other_numbers_of_texts_are_not_called_different() -> None:
    def sending(name: str, partials: int) -> Swept:
        one = swept(name, partials / 20)
        told = {"due_s": 0.0, "begun_s": 0.0, "stop_s": None, "class": None, "step": None, "partials": partials}
        for run in one.files.runs:
            run.requests[0].update(told)
        return Swept(name, one.files, observe(one.files))

    page = compared.made([sending("old", 20), sending("new", 10)])
    assert "workers=1: 2 / 1; workers=2: 2 / 1; workers=3: 2 / 1" in page
    assert page.count("not as many texts</span>") >= 3  # latency of each
    assert "Not as many texts" not in compared.made([sending("old", 20), sending("new", 18)])


def test_what_only_one_has_and_what_cannot_be_told_is_said() -> None:
    one = a_sweep([a_run(1, 10.0), a_run(4, 5.0, key="workers=4")])
    page = compared.made([swept("old"), Swept("new", one, observe(one))])
    assert "workers=2, workers=3, workers=4" in page
    assert "Too few trials to say whether anything differs." in page
    failed = a_sweep([a_run(1, None, status="failed", error="x")])
    assert "No figure is known in both." in compared.made([swept("old"), Swept("new", failed, observe(failed))])


@pytest.mark.slow
def test_sweeps_of_one_name_are_told_apart(bench: Bench, tmp_path: Path) -> None:
    from shutil import copytree

    assert bench.run("engine.rtf=0.02", "trials=1", "-m") == 0, bench.stderr
    for place in ("a", "b"):
        copytree(bench.out, tmp_path / place / "sweep")
    words = [str(tmp_path / place / "sweep") for place in ("a", "b")]
    with opened(words) as sweeps:
        assert [each.name for each in sweeps] == words
    page = tmp_path / "page.html"
    assert compare.main([*words, "--html", str(page)]) == 0
    assert "Sweeps side by side" in page.read_text("utf-8")


@pytest.mark.slow
def test_a_browser_shows_it_quietly(tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "compare.html"
    nasty = swept(MARKUP, 1.2, keys=f"workers={{}},x={MARKUP.replace('{', '').replace('}', '')}")
    pages = ([swept("old"), swept("new", 1.25), swept("other", settings={"engine.beam": 3})], [nasty, nasty])
    with launched() as browser:
        for sweeps, lang in zip(pages, ("en", "zh"), strict=True):
            path.write_text(compared.made(sweeps), "utf-8")
            with shown(browser, path, locale="zh-CN" if lang == "zh" else "en-US") as it:
                drawn = it.drawn(lang)
                assert set(drawn.values()) == {"yes"} and len(drawn) == 3
                assert (it.said, it.asked) == ([], [])
                violations = Axe().run(it.page).response["violations"]
                assert not [v["id"] for v in violations if v["impact"] in ("serious", "critical")]


def test_what_too_few_trials_tell_of_is_not_counted_as_no_difference() -> None:
    old, new = swept("old"), swept("new", 1.25)
    few = Swept("few", new.files, [one for one in new.observed if one.run.workers == 1 or one.run.trial == 1])
    page = compared.made([old, few])
    assert "4 of 4 figures differ by more than noise explains. Of 8 more there are too few trials to say." in page
