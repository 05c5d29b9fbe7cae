"""The forms of a report: what each says, which are written, and how another package adds one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.config import resolve
from capsexp.errors import ConfigError
from capsexp.files import read_json, write_json
from capsexp.plugins import PlugPoint
from capsexp.report import build
from capsexp.report.exporters import EXPORTERS, Exporter, csv, html, json, junit, markdown, mlflow, prometheus, text
from capsexp.results.read import RunFiles
from tests.support import PATIENCE
from tests.support.reports import a_run, a_sweep
from tests.support.settings import changed

OURS: list[Exporter] = [
    csv,
    html,
    json,
    junit,
    markdown,
    mlflow,
    prometheus,
    text,
]  # a type checker's proof that a module is one


def trials(workers: int, *makespans: float, **more: Any) -> list[RunFiles]:
    return [a_run(workers, m, trial=n, key=f"workers={workers}", **more) for n, m in enumerate(makespans, 1)]


def xml(*runs: RunFiles, **more: Any) -> Tree.Element:
    return Tree.fromstring(junit.render(build.assemble(a_sweep(runs, **more))))


def case(root: Tree.Element, key: str, name: str) -> list[tuple[str, str]]:
    """(element, message) of what a test case holds."""
    [found] = root.findall(f"testsuite[@name='{key}']/testcase[@name='{name}']")
    return [(e.tag, e.get("message") or e.text or "") for e in found]


def faults(root: Tree.Element) -> list[str]:
    """What is against the schema that Jenkins publishes (junit-10.xsd), written down again here."""
    required = {"testsuites": (), "testsuite": ("name", "tests"), "testcase": ("name",)}
    optional = {
        "testsuites": ("name", "time", "tests", "failures", "disabled", "errors"),
        "testsuite": ("failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package", "file"),
        "testcase": ("classname", "time", "status", "assertions", "file", "line"),
        "failure": ("type", "message"), "error": ("type", "message"), "skipped": ("type", "message"), "system-out": (),
    }  # fmt: skip
    children = {
        "testsuites": ("testsuite",), "testsuite": ("testsuite", "testcase", "properties", "system-out", "system-err"),
        "testcase": ("skipped", "error", "failure", "system-out", "system-err"),
    }  # fmt: skip
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        allowed = {*required.get(element.tag, ()), *optional.get(element.tag, ())}
        found += [f"{element.tag} has {name}" for name in set(element.keys()) - allowed]
        found += [f"{element.tag} has no {name}" for name in set(required.get(element.tag, ())) - set(element.keys())]
        found += [f"{e.tag} in {element.tag}" for e in element if e.tag not in children.get(element.tag, ())]
        if element.tag == "testcase" and sum(e.tag in ("skipped", "error", "failure") for e in element) > 1:
            found.append("a case with two outcomes")
        if element.tag in ("testsuites", "testsuite"):
            kinds = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
            for name, tag in kinds.items():
                if (said := element.get(name)) is not None and int(said) != len(list(element.iter(tag))):
                    found.append(f"{element.tag} {element.get('name')}: {name}={said}")
    return found


def test_a_gate_that_fails_is_a_failure_and_what_is_open_is_skipped() -> None:
    steady = xml(*trials(1, 10.0, 10.1, 9.9), *trials(2, 9.0, 9.1, 8.9), *trials(3, 5.0, 5.1, 4.9))
    assert not faults(steady)
    assert [suite.get("name") for suite in steady] == ["workers=1", "workers=2", "workers=3"]
    [(kind, said)] = case(steady, "workers=2", "speedup")
    assert (kind, said[:4]) == ("failure", "1.11") and "at least 1.5 is asked for" in said
    assert case(steady, "workers=3", "speedup")[0][0] == "system-out"
    assert case(steady, "workers=1", "speedup") == [("skipped", "NOT_JUDGED: this is the baseline")]
    assert case(steady, "workers=1", "runs") == [("system-out", "3 valid")]
    noisy = xml(*trials(1, 10.0, 12.0, 8.0), *trials(2, 7.0, 6.0, 8.0))
    [(kind, said)] = case(noisy, "workers=2", "speedup")
    assert kind == "skipped" and said.startswith("INCONCLUSIVE: ") and "would settle it" in said
    assert not faults(noisy)


def test_runs_that_failed_are_missing_or_do_not_count_are_errors() -> None:
    dead = a_run(3, None, key="workers=3", status="failed", error="the server died")
    root = xml(
        *trials(1, 10.0, 10.0, disturbed=1000), *trials(2, 5.0, 5.0), dead, missing=[("workers=2", 3), ("workers=4", 1)]
    )
    assert not faults(root)
    assert case(root, "workers=1", "runs")[0][0] == "error" and "no valid run" in case(root, "workers=1", "runs")[0][1]
    assert case(root, "workers=2", "runs") == [("error", "2 of 3 planned runs were made")]
    assert case(root, "workers=3", "runs") == [("error", "the server died")]
    assert case(root, "workers=4", "runs")[0][0] == "error"
    assert case(root, "workers=2", "speedup")[0][0] == "skipped"  # its baseline does not count
    assert root.get("failures") == "0" and root.get("errors") == "4"


@given(st.text(st.characters(codec=None), max_size=30))
def test_foreign_text_stays_text(foreign: str) -> None:
    dead = a_run(2, None, key="workers=2", status="failed", error=foreign or "x")
    report = build.assemble(a_sweep([*trials(1, 10.0, 10.0), dead], name=foreign))
    one, two = report.configurations
    report = msgspec.structs.replace(report, configurations=(one, msgspec.structs.replace(two, key=foreign)))
    written = junit.render(report).encode("utf-8")  # nothing that UTF-8 cannot hold
    root = Tree.fromstring(written)
    assert not faults(root) and len(root) == 2
    assert written == junit.render(report).encode()
    if foreign.isascii() and foreign.isprintable() and foreign:
        assert root[1].get("name") == foreign
        assert case(root, "workers=1", "runs") and root[1].find("testcase/error").get("message") == foreign  # type: ignore[union-attr]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a sweep, of which `formats` is what its test writes into it."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    write_json(folder / "formats.json", ["text", "markdown", "json"])
    runs = [*trials(1, 10.0, 10.0), *trials(2, 5.0, 5.0)]
    monkeypatch.setattr(
        build, "read_sweep", lambda where: a_sweep(runs, report={"formats": read_json(where / "formats.json")})
    )
    return folder


def made(folder: Path, formats: Any) -> dict[str, bytes]:
    """The files of a report in these forms, by name; the same bytes when it is made again."""
    write_json(folder / "formats.json", formats)
    build.rebuild(folder)
    first = {path.name: path.read_bytes() for path in folder.glob("report*")}
    build.rebuild(folder)
    assert first == {path.name: path.read_bytes() for path in folder.glob("report*")}
    return first


def test_the_forms_that_are_asked_for_are_written_and_others_do_not_stay(sweep: Path) -> None:
    (sweep / "report.pdf").write_text("the user's own")
    always, page = {"report.txt", "report.json", "report.pdf"}, {"report.md", *markdown.PICTURES}
    every = made(sweep, ["text", "markdown", "json", "junit"])
    assert set(every) == {*always, *page, "report.junit.xml"}
    assert set(made(sweep, [])) == always  # what others read
    assert set(made(sweep, None)) == {*always, *page, "report.html"}  # of an earlier version
    assert b"/" + os.fsencode(sweep.name) not in b"".join(every.values())


def test_an_archive_that_asks_for_an_unknown_form_is_reported_on(sweep: Path) -> None:
    files = made(sweep, ["../../x", "junitt", 7, {"a": 1}])
    assert set(files) == {"report.txt", "report.json"}
    warnings = read_json(sweep / "report.json")["warnings"]
    assert "report.formats: unknown exporter 'junitt'; did you mean 'junit'?; its form is left out" in warnings
    assert not (sweep.parent.parent / "x").exists()


@pytest.mark.parametrize(
    ("wrong", "meant"), [(["junitt"], "junit"), (["text", "Markdown"], "markdown"), (["base"], "valid: ")]
)
def test_an_unknown_form_is_refused_with_the_nearest(wrong: list[str], meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"^report\.formats: unknown exporter '{wrong[-1]}'; .*{meant}"):
        resolve(changed("report.formats", wrong))
    assert resolve(changed("report.formats", ["text", "junit"])).report.formats == ["text", "junit"]


def test_ours_need_no_metadata_and_each_is_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsexp.plugins.entry_points", lambda group: ())
    assert EXPORTERS.names() == [
        "csv", "html", "json", "junit", "markdown", "mlflow", "prometheus", "text",
    ]  # fmt: skip

    assert [EXPORTERS.get(name) for name in EXPORTERS.names()] == OURS
    assert len({e.FILE for e in OURS}) == len(OURS) and all(e.FILE.startswith("report.") for e in OURS)


PAGE = """
FILE = "report.page.html"
def render(report):
    try:
        report.verdict = "its own copy"
    except AttributeError:  # nobody's to change
        return "<p>" + ", ".join(c.key for c in report.configurations) + "\\n"
"""
ENTRIES = """[capsexp.exporters]
page = tiny_html
text = tiny_html
broken = tiny_broken
elsewhere = tiny_elsewhere
bare = tiny_html:FILE
twice = tiny_html:twice
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package of somebody else's as pip installs it."""
    site = tmp_path / "site"
    about = site / "tiny_html-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-html\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    more = 'class twice:\n    FILE = "report.page.html"\n    render = staticmethod(render)\n'
    (site / "tiny_html.py").write_text(PAGE + more)
    (site / "tiny_broken.py").write_text("import nothing_of_this_name\n")
    (site / "tiny_elsewhere.py").write_text('FILE = "../sweep.json"\ndef render(report): return ""\n')
    return site


def test_another_packages_exporters_are_found_and_faults_of_theirs_cost_one_form(
    sweep: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    files = made(sweep, ["text", "broken", "elsewhere", "bare", "page", "twice", "json"])
    assert files["report.page.html"] == b"<p>workers=1, workers=2\n"
    assert b"its own copy" not in files["report.json"]
    assert files["report.txt"].startswith(b"capsexp: ")  # a name of ours is nobody else's
    assert set(files) == {"report.txt", "report.json", "report.page.html"}
    left_out = [w for w in read_json(sweep / "report.json")["warnings"] if w.startswith("report.formats: ")]
    assert [w.split("'")[1] for w in left_out] == ["broken", "elsewhere", "bare", "twice"]
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in left_out[0]
    assert all("\n" not in w for w in left_out)
    with pytest.raises(ConfigError, match="unknown exporter 'pag'; did you mean 'page'"):
        EXPORTERS.check("report.formats", "pag")


@pytest.mark.slow
def test_a_sweep_writes_the_file_of_another_packages_exporter(installed: Path, tmp_path: Path, audio_dir: Path) -> None:
    """As its user starts it: nothing of ours was changed for it."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "capsexp", "engine=null", "samples=dir", f"samples.dir={audio_dir}", "load.repeats=1",
         "trials=1", "validity=off", "archive.enabled=true", "report.formats=[text,page,broken,junit]", "workers=1",
         f"hydra.sweep.dir={out}", "-m"],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "report.page.html").read_text() == "<p>workers=1\n"
    assert not faults(Tree.parse(out / "report.junit.xml").getroot())
    assert {"report.page.html", "report.junit.xml"} <= set(read_json(out / "MANIFEST.json")["files"])
    assert not (out / "report.md").exists()
    [said] = [line for line in done.stderr.splitlines() if "broken" in line]  # before it starts
    assert said.startswith("warning: report.formats: exporter 'broken' (tiny_broken) cannot be loaded: ")
    assert "Traceback" not in done.stderr


def test_a_plug_point_says_what_an_implementation_lacks(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    point: PlugPoint[Any] = PlugPoint("kind", "capsexp.report.exporters", "capsexp.exporters", ("render", "colour"))
    with pytest.raises(ConfigError, match=r"^kind 'page' \(tiny_html\) has no colour$"):
        point.get("page")
    with pytest.raises(ConfigError, match=r"^kind 'broken' \(tiny_broken\) cannot be loaded: ModuleNotFoundError"):
        point.get("broken")
