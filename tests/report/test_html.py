"""report.html as text: what is in it, that it is the same again, and that nothing foreign acts in it."""

import base64
import hashlib
import json
import re
import string
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsexp.analysis import metrics
from capsexp.config import resolve
from capsexp.errors import ConfigError
from capsexp.report import beside, build, sentences, tables
from capsexp.report.exporters import html
from capsexp.report.exporters.html import __main__ as maker
from capsexp.report.exporters.html import content, differences, overtime, runs
from capsexp.report.exporters.html.words import CHINESE, Words, say, sentence
from capsexp.results.read import RunFiles, SweepFiles
from tests.support import PATIENCE
from tests.support.harmed import MARKUP, broken, hostile, segmented
from tests.support.reports import a_run, a_sweep
from tests.support.settings import changed

HERE = Path(html.__file__).parent
LARGEST = 1_500_000  # bytes


def swept(**more: object) -> SweepFiles:
    runs = [a_run(w, s / w, trial=t) for w, s in ((1, 10.0), (2, 10.2), (3, 11.0)) for t in (1, 2, 3)]
    return a_sweep(runs, **more)  # type: ignore[arg-type]


def made(files: SweepFiles) -> str:
    return html.draw(build.assemble(files), files)


class Seen(HTMLParser):
    """The elements of a page, the text of its scripts, and the text of everything else."""

    def __init__(self, said: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self.feed(said)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.cdata_elem == "style":
            self.styles[-1] += data
        else:
            self.words.append(data)


def test_it_is_small_and_the_same_again() -> None:
    files = swept()
    said = made(files)
    assert len(said.encode()) < LARGEST
    assert said == made(swept())
    assert "\r" not in said  # a browser would hash another text than we did


def test_nothing_is_loaded_and_only_what_is_ours_runs() -> None:
    seen = Seen(made(swept()))
    outside = {"src", "action", "formaction", "data", "poster", "background", "ping", "srcset", "style"}
    for tag, attributes in seen.elements:
        assert not outside & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert tag not in ("link", "base", "iframe", "object", "embed", "form", "img")
    policy = next(a["content"] for t, a in seen.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for attributes, text in seen.scripts:
        if attributes.get("type") == "application/json":
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    [style] = seen.styles
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "url(" not in style and "@import" not in style


VEGA = (HERE / "vega.js").read_text("utf-8")
USUAL = made(a_sweep([a_run(1, 10.0, key="workers=1,x")], name="x", argv=["x"]))


@settings(max_examples=30)
@given(st.text(st.characters(codec=None), max_size=40) | st.sampled_from(["</script>", "<!--", "]]>", "{{x}}", "${x}"]))
def test_foreign_text_is_text(foreign: str) -> None:
    run = a_run(1, 10.0, key=f"workers=1,{foreign}", heard=foreign, warnings=[foreign])
    files = a_sweep([run], name=foreign, argv=[foreign])
    said = made(files)
    usual = Seen(USUAL.replace(VEGA, ""))
    seen = Seen(said.replace(VEGA, ""))
    said.encode("utf-8")
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in usual.elements} | {"li", "ul", "del", "ins", "h3"}
    assert [text for a, text in seen.scripts if "type" not in a] == [
        text for a, text in usual.scripts if "type" not in a
    ]
    for attributes, text in seen.scripts:
        if "type" in attributes:
            json.loads(text)


def test_numbers_are_those_of_the_other_forms() -> None:
    files = swept()
    report = build.assemble(files)
    words = " ".join(" ".join(Seen(html.draw(report, files)).words).split())
    for row in tables.rows(report):
        for cell in row:
            assert " ".join(cell.split()) in words
    for c in report.configurations:
        for tag in ("speedup", "throughput_rtfx", "peak_memory_mb", "steady_memory_mb", "load_peak_memory_mb"):
            value = c.value(tag)
            assert value is None or tables.shown(tag, value) in words


def test_what_only_the_report_is_at_hand_for_is_shown_without_its_files() -> None:
    files = swept()
    said = html.render(build.assemble(files))
    assert "At a glance" in said and 'id="table-speedup"' in said


def test_the_language_is_the_one_that_was_asked_for() -> None:
    assert 'data-lang="zh" data-choice="zh"' in made(swept(report={"lang": "zh"}))
    assert 'data-lang="en" data-choice="auto"' in made(swept(report={"lang": "<de>"}))  # somebody else's archive
    assert resolve(changed("report.lang", "zh")).report.lang == "zh"
    with pytest.raises(ConfigError, match=r"report\.lang: unknown value 'de'; valid: auto, en, zh"):
        resolve(changed("report.lang", "de"))


def test_all_words_of_ours_are_known_in_chinese() -> None:
    sources = [path.read_text("utf-8") for path in [*HERE.glob("*.py"), *HERE.glob("*.html")]]
    used = {m[1] for text in sources for m in re.finditer(r'(?:\bsay|\b_)\("((?:[^"\\]|\\.)+)"', text)}
    of = (tables.headers(), tables.GATE_HEADERS, tables.SLO_HEADERS, tables.FAULT_HEADERS)
    headers = {header.replace("\n", " ") for headers in of for header in headers}
    assert used and not (used | headers) - CHINESE.keys() - metrics.chinese().keys()
    assert not CHINESE.keys() & metrics.chinese().keys()
    for english, chinese in CHINESE.items():
        fields = [[f[1] for f in string.Formatter().parse(text) if f[1] is not None] for text in (english, chinese)]
        assert fields[0] == fields[1], english


def test_words_are_formatted_in_both_languages() -> None:
    words = Words("{} of {n}", "{n} 中的 {}").format(say("FAIL"), n="<b>")
    assert (words.en, words.zh) == ("FAIL of <b>", "<b> 中的 未通过")
    assert "<b>" not in words.__html__() and "&lt;b&gt;" in words.__html__()


@pytest.mark.slow
def test_the_plotting_library_is_as_its_package_bundles_it() -> None:
    assert (HERE / "vega.js").read_text("utf-8") == maker.bundle()


def test_the_table_begins_with_the_verdict_and_has_no_column_that_nothing_is_known_of() -> None:
    headers, rows = content.configurations(build.assemble(swept()))
    assert headers[:3] == ["configuration", "verdict", "correct"] and len(headers) < len(tables.headers())
    assert [row[1] for row in rows] == ["BASELINE", "FEASIBLE", "FEASIBLE"]
    assert all({row[at] for row in rows} != {"-"} for at in range(3, len(headers)))
    for cell in ("PASS", "FEASIBLE", "NOT JUDGED"):
        assert str(content.reading(cell)).startswith('<span class="badge ')
    assert content.reading("speedup, memory growth").zh == "加速比、内存增长"


def test_readings_that_nobody_knows_are_no_good_ones() -> None:
    assert (content.tone("PASS"), content.tone("?")) == ("good", "bad")


def test_a_run_shows_who_recognized_what_and_what_happened_meanwhile() -> None:
    files = broken()
    found = {
        plot.name: plot
        for run in runs.shown(build.assemble(files), files)
        for make in runs.of_run(run)
        for plot in [make()]
    }
    lanes = found["lanes-2"]
    rows = [dict(zip([c.field for c in lanes.columns], row, strict=True)) for row in lanes.rows]
    segments = [row for row in rows if row["what"] == runs.SEGMENT]
    assert [row["worker"] for row in segments] == [n % 2 for n in range(30)]
    assert (segments[3]["queued"], segments[3]["started"], segments[3]["finished"]) == pytest.approx((0.03, 0.13, 0.43))
    assert [row["request"] for row in segments if row["retries"]] == [6, 13, 20, 27]
    assert [(row["sample"], row["started"]) for row in rows if row["what"] == runs.FAULT] == [
        ("kill", 0.0),
        ("kill", 0.1),
    ]
    assert {row[1].en for row in found["memory-time-2"].rows} == {"worker"}
    assert {row[2] for row in found["memory-time-2"].rows} == {100.0}


def test_of_many_segments_the_first_are_drawn_and_that_is_said() -> None:
    lanes = runs.lanes(segmented(a_run(1, 10.0), runs.SEGMENTS + 1))
    assert len(lanes.rows) == runs.SEGMENTS
    assert lanes.note and f"The first {runs.SEGMENTS} of {runs.SEGMENTS + 1} segments." in lanes.note.en
    assert runs.lanes(a_run(1, 10.0)).missing


def test_cpus_are_those_of_each_role_and_of_everybody_else() -> None:
    one = a_run(1, 10.0)
    one.monitor.clear()
    for at in range(5):
        shared = {"time_s": float(at), "pss_mb": 1.0}
        one.monitor.append({**shared, "role": "worker", "pid": 2, "cpu_s": 5.0 + 0.5 * at})
        one.monitor.append({**shared, "role": "system", "pid": None, "cpu_s": None, "busy_s": 100.0 + 2.0 * at})
        if at >= 2:  # born at 1 or later: began at zero
            one.monitor.append({**shared, "role": "client", "pid": 3, "cpu_s": 0.25 * (at - 1)})
    found = {(p.time_s, p.role.en): p.cpus for p in overtime.series(one)}
    assert found[1.0, "worker"] == 0.5 and found[1.0, "other programs"] == 1.5
    assert found[2.0, "client"] == 0.25 and found[2.0, "other programs"] == 1.25


def test_wrong_transcripts_are_shown_word_by_word() -> None:
    files = broken()
    found, dead = differences.differences(build.assemble(files), files)
    assert (dead.key, dead.pieces, dead.wrong.reason) == ("workers=3", (), "not completed")
    assert (found.key, found.run, found.wrong.request, found.sent_s) == ("workers=2", 2, 3, 0.03)
    assert [(p.kind, p.text) for p in found.pieces] == [("", "so"), ("del", "it"), ("", "is")]
    said = made(files)
    assert "so <del>it</del> is" in said
    pieces = list(differences.compared("a " * 30 + "你好", "b " + "a " * 30 + "你们"))
    assert [(p.kind, p.text) for p in pieces[:2]] == [("ins", "b"), ("", "a a a a a a … a a a a a 你")]
    assert [(p.kind, p.text) for p in pieces[2:]] == [("del", "好"), ("ins", "们")]
    [_, lost] = differences.compared("a " + " ".join(f"w{n}" for n in range(100)), "a")
    assert lost.kind == "del" and lost.text.startswith("w0 w1 ") and "w11 … (+76) … w88" in lost.text


def test_a_plot_that_fails_costs_itself() -> None:
    files = swept()
    for run in files.runs:
        run.monitor[:] = [{"time_s": "x", "role": "worker"}, {"time_s": 1.0, "role": "worker"}]
    report = build.assemble(swept())
    said = html.draw(report, files)
    assert "A plot could not be drawn: ValueError" in said and 'id="table-speedup"' in said


def test_ten_thousand_requests_of_somebody_elses_make_a_small_page_in_time() -> None:
    files = hostile(2500)
    report = build.assemble(files)
    began = time.monotonic()
    said = html.draw(report, files)
    assert time.monotonic() - began < 20 * PATIENCE / 60
    assert len(said.encode()) < LARGEST
    assert MARKUP not in said
    assert not [tag for tag, _ in Seen(said).elements if tag == "img"]


def test_the_environment_may_be_of_any_shape() -> None:
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"x": deep, "list": [1, [2]]}
    found = dict(
        content.facts({"cpu": "<b>", "deep": deep, "long": "y" * 1000, "many": {str(n): n for n in range(99)}})
    )
    assert found["cpu"] == "<b>" and found["deep.x.x"] == "2 more values"
    assert len(found["long"]) == content.LONGEST_FACT + 1 and len(found) < 80


def told() -> list[str]:
    """What reports say at a glance, of sweeps that end in many ways."""
    noisy, steady = (0.3, -0.4, 0.1), (0.0, 0.1, -0.1)
    kinds: list[list[RunFiles]] = [
        [
            a_run(w, s / w**0.9 + n, trial=t)
            for w, s in ((1, 10.0), (2, 10.0), (3, 10.0))
            for t, n in enumerate(spread, 1)
        ]
        for spread in (noisy, steady, steady[:1])
    ]
    kinds.append([a_run(w, 10.0, trial=t) for w in (1, 2) for t in (1, 2, 3)])
    kinds.append([a_run(w, 10.0 / w, trial=t, disturbed=99) for w in (1, 2) for t in (1, 2, 3)])
    kinds.append([a_run(1, None, status="failed", error="x")])
    kinds.append([a_run(w, 10.0 / w + 0.05 * t, mb=9000.0, trial=t) for w in (1, 2) for t in (1, 2, 3)])
    found = []
    for runs_ in kinds:
        report = build.assemble(a_sweep(runs_))
        for advice in report.advice:
            found += [advice.recommendation.reason if advice.recommendation else advice.reason or ""]
        found += [report.decide.note] if report.decide else []
        found += [gate.reason for c in report.configurations for gate in c.gates if gate.reason]
    return [each for each in dict.fromkeys(found) if each]


def test_what_is_said_at_a_glance_is_known_in_chinese_with_the_same_numbers() -> None:
    said = told()
    assert len(said) > 12
    for english in said:
        chinese = sentence(english).zh
        assert chinese != english, english
        assert sorted(re.findall(r"\d[\d.]*\d|\d", chinese)) == sorted(
            n for n in re.findall(r"\d[\d.]*\d|\d", english) if n != "95" or "95 %" in chinese
        ), (english, chinese)


def test_warnings_and_causes_are_known_in_chinese() -> None:
    found = []
    for swapped, used in ((0, 0.9), (99, 0.9), (0, 0.3)):
        made = [a_run(w, 10.0, trial=t, disturbed=swapped, cpu=used) for w in (1, 2, 3) for t in (1, 2, 3)]
        for files in (a_sweep(made), a_sweep(made, interrupted=True)):
            report = build.assemble(files)
            found += [*report.warnings, *sentences.causes(report)]
    off = {"reference.name": "off", "target.name": "openai"}
    found += build.assemble(a_sweep([a_run(1, 5.0, settings=off)])).warnings
    assert len(found) > 4
    assert [said for said in dict.fromkeys(found) if sentence(said).zh == said] == []


@pytest.mark.parametrize(
    "line",
    [
        "workers=2: workers busy 95, 96 %; queue empty 3 %; gateway busy 0 %; client busy 1 %; client waiting 100 %",
        "workers=1: the server held 400 MB at most (all: 900 MB), 30 % busy, 90 W",
        "workers=2, gateway: +1.50 MB/h (-0.20 to 3.10)",
        "sphinx, 1 thread, 2 processes: 3.5 x real time, 3.2 to 3.8 (3 trials of 4.46 s, load 1.22 s)",
        "the reference took 56 s of 118 s: 48 s for the texts, 8 s to be timed beside runs",
        "the server alone (target=vosk workers=2 threads=1), one request at a time: 3.5 x real time (4.46 s), the same "
        "texts twice",
        "4 CPUs on 2 cores (1 socket, 1 NUMA node), up to 2 of them hardware threads of one core; quota of a control "
        "group: 3 CPUs; governor: not told",
        "workers=2 (placement=spread), CPUs: worker 0 on 0; worker 1 on 1",
        "threads=1, pool=process, from 1, 2, 4 workers: 7.50 x real time each, sigma 0.010, kappa 0.00010; no gain "
        "beyond 4 (cores); 120 MB + 80 MB per worker: 70 fit in 6144 MB (predicted)",
    ],
)
def test_what_stands_beside_the_tables_is_known_in_chinese(line: str) -> None:
    chinese = sentence(line).zh
    numbers = r"\d[\d.]*\d|\d"
    assert chinese != line and sorted(re.findall(numbers, chinese)) == sorted(re.findall(numbers, line))


def test_lines_beside_the_tables_are_those_of_reports() -> None:
    report = build.assemble(a_sweep([a_run(w, 10.0 / w, trial=t) for w in (1, 2, 3) for t in (1, 2, 3)]))
    found = [*beside.timeline_lines(report), *beside.reference_lines(report), *tables.scaling_lines(report)]
    assert len(found) > 2
    assert [line for line in found if sentence(line).zh == line] == []


def test_a_sentence_whose_reason_is_foreign_stays_english() -> None:
    why = "PAGING: 9 MB read back from swap (limit 1)"
    known = f'workers=2: 1 of 3 runs INVALID, left out of all figures but "correct": {why}'
    assert "从交换区读回 9 MB" in sentence(known).zh and "limit" not in sentence(known).zh
    foreign = "skipped sample a.wav: the decoder said something odd"
    assert sentence(foreign).zh == foreign


def test_a_sentence_is_never_half_of_each_language() -> None:
    mixed = sentence("this is the baseline; nobody knows this")
    assert mixed.zh == mixed.en == "this is the baseline; nobody knows this"
    assert content.told(mixed.en) == f'<span lang="en">{mixed.en}</span>'
    assert content.reading("this is the baseline").zh == "这就是基线"
    for english, chinese in json.loads((HERE / "sentences.json").read_text("utf-8")).items():
        assert english.count("{}") == len(re.findall(r"\{\d?\}", chinese)), english
        assert "; " not in english, f"{english}: sentences are looked up part by part"
