"""The short text: what a screen shows first, however narrow it is, and that all forms say the same numbers."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import metrics
from capsexp.analysis.metrics.metric import Place
from capsexp.report import advice, build, glance, summary, tables
from capsexp.report.exporters import html, json, markdown, text
from capsexp.results.report import Configuration, Estimate
from tests.support.harmed import broken, trials
from tests.support.reports import a_run, a_sweep, reported


def test_it_says_question_answer_why_and_what_to_do_in_a_dozen_lines() -> None:
    report = build.assemble(a_sweep([*trials(1, 10.0, 10.1, 9.9), *trials(2, 5.0, 5.1, 4.9)]))
    said = text.render(report).splitlines()
    words = [line.partition(":")[0] for line in said[3:] if ":" in line]
    assert words == ["Question", "Verdict", "Why", "Recommended", "Start it with"]
    assert said[3] == "Question: Do more recognizer workers pay on this machine, and how many?"
    assert "speedup 2.00x (1.95 to 2.05) (at least 1.50x: PASS)" in said[5]


def test_on_a_terminal_lines_are_broken_between_words_and_commands_stay_whole() -> None:
    report = build.assemble(a_sweep([*trials(1, 10.0, 10.1, 9.9), *trials(2, 5.0, 5.1, 4.9)]))
    said = text.render(report, 80)
    assert all(len(line) <= 80 or "python -m " in line for line in said.splitlines())
    assert " ".join(said.split()) == " ".join(text.render(report).split())
    [start] = [line for line in said.splitlines() if line.startswith("Start it with: ")]
    assert start.endswith("engine=sphinx") and len(start) > 80


def test_what_is_undecided_and_what_decides_it_is_there_and_many_warnings_are_counted() -> None:
    said = list(summary.lines(build.assemble(broken())))
    assert len(said) <= 12
    assert "To decide it: python -m capsexp resume=" in "\n".join(said)
    assert said[-1] == "And 2 more warnings: see report.md."
    groups = [
        a_run(w, s, key=f"{e},{w}", trial=t, settings={"engine": {"name": e}})
        for e in ("null", "sphinx", "sherpa", "paraformer") for w, s in ((1, 10.0), (2, 5.0)) for t in (1, 2)
    ]  # fmt: skip
    assert "Of 1 group more: see report.md." in list(summary.lines(build.assemble(a_sweep(groups))))


def test_a_sweep_that_compares_no_workers_asks_another_question() -> None:
    assert glance.question(build.assemble(a_sweep(trials(1, 10.0)))) == "How does this server perform on this machine?"
    struck = [a_run(2, 5.0, key=f"fault={name}", settings={"fault.name": name}) for name in ("none", "kill_worker")]
    assert glance.question(build.assemble(a_sweep(struck))) == "What do injected faults do to this server?"


KEYS = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["workers=2,engine.model_dir=/a/b", "你好" * 20]
)


@given(KEYS, st.integers(80, 250))
def test_the_table_fits_the_terminal(key: str, width: int) -> None:
    report = build.assemble(a_sweep([*trials(1, 10.0, 10.1), *trials(2, 5.0, 5.1)]))
    one, two = report.configurations
    two = msgspec.structs.replace(two, key=key, verdict="FEASIBLE_WITH_CAVEATS")
    made = summary.table(msgspec.structs.replace(report, configurations=(one, two)), width)
    assert max(map(len, made.splitlines())) <= width
    _, rule, *rows = made.splitlines()
    shown = re.sub(r"\s", "", "".join(line[: rule.index("  ")] for line in rows))
    assert re.sub(r"\s", "", key) in shown or not key.isprintable() or not key.isascii()


def test_what_users_waited_for_is_shown_where_they_had_a_time() -> None:
    """Of files that are sent at once a latency says where in the queue each stood, which is nobody's experience."""
    report = build.assemble(a_sweep(trials(1, 10.0, 10.1)))
    (one,) = report.configurations
    assert "latency" in " ".join(one.metrics)
    assert "p50" not in summary.table(report)

    def of(**values: float) -> str:
        metrics = {**one.metrics, **{tag: Estimate(value=v, n=1) for tag, v in values.items()}}
        return summary.table(
            msgspec.structs.replace(report, configurations=(msgspec.structs.replace(one, metrics=metrics),))
        )

    spoken = of(offered_rtfx=2.0, stop_to_text_p50_s=1.25, turnaround_p50_s=7.5).splitlines()
    assert "p50 s" in spoken[1] and "1.25" in spoken[3]
    assert "7.5" in of(offered_rtfx=2.0, turnaround_p50_s=7.5).splitlines()[3]
    assert "1.25" not in of(stop_to_text_p50_s=1.25)


def test_the_screen_says_where_the_rest_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = reported(*trials(1, 10.0, 10.1))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "report.txt").write_text(text.render(report), "utf-8")
    assert "More: " not in advice.as_seen_from_here(folder, report)
    (folder / "report.html").write_text("")
    (folder / "report.md").write_text("")
    assert advice.as_seen_from_here(folder, report).endswith("\n\nMore: sweep/report.html and report.md")
    assert "More: " not in (folder / "report.txt").read_text("utf-8")


def test_all_forms_say_the_same_numbers() -> None:
    files = a_sweep([*trials(1, 10.0, 10.1, 9.9), *trials(2, 6.1, 7.0, 5.6), *trials(3, 5.0, 5.1, 4.9)])
    report = build.assemble(files)
    found = {c["key"]: c for c in msgspec.json.decode(json.render(report))["configurations"]}
    page, short, long = html.draw(report, files), text.render(report), markdown.render(report)
    for c in report.configurations:
        row = next(line for line in short.splitlines() if line.startswith(c.key))
        md = next(line for line in long.splitlines() if line.startswith(f"| {c.key}"))
        cells = re.search(rf"<tr><th scope=\"row\">{c.key}.*", page)
        for tag in ("speedup", "throughput_rtfx", "peak_memory_mb"):
            value = found[c.key]["metrics"][tag]["value"]
            said = tables.shown(tag, value)
            assert said in row.split() and said in [cell.strip() for cell in md.split("|")]
            assert cells and f"<td>{said}</td>" in cells[0]
            drawn = page[page.index('id="table-pareto"') :]
            assert tag == "speedup" or f"<td>{said}</td>" in drawn[: drawn.index("</table>")]
        everywhere = metrics.at(Place.TABLE)
        assert len(everywhere) > 10
        for metric in everywhere:
            said = tables.cell(c, metric)
            value = found[c.key]["metrics"][metric.tag]["value"]
            assert said == ("3/3" if metric.tag == "correctness" else tables.shown(metric.tag, value))
            assert said in [cell.strip() for cell in md.split("|")]
            assert said == "-" or (cells and f"<td>{said}</td>" in cells[0])
        if ci95 := found[c.key]["metrics"]["speedup"]["ci95"]:
            assert tables.interval(ci95) in md and cells and tables.interval(ci95) in cells[0]
            assert f"{ci95[0]:.2f}-{ci95[1]:.2f}" in short
    pictures = "".join(markdown.pictures(report).values())
    for tag in ("speedup", "steady_memory_mb"):
        values = [one["metrics"][tag]["value"] for one in found.values()]
        assert all(f">{tables.shown(tag, value)}</text>" in pictures for value in values if value is not None)


def test_nothing_is_read_into_a_report_without_configurations() -> None:
    report, _ = reported(*trials(1, 10.0))
    nothing = msgspec.structs.replace(report, configurations=(), advice=())
    assert glance.subjects(nothing) == []
    failed = msgspec.structs.replace(nothing, configurations=(Configuration(key="x", status="failed"),))
    assert [c.key for c in glance.subjects(failed)] == ["x"]
    assert text.render(failed) and html.render(failed)
