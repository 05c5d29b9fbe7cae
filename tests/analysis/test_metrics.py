"""Every metric is declared once, and what is made from the declarations is current."""

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import jsonschema
import msgspec
import pytest

from capsexp.analysis import metrics, regression
from capsexp.analysis.combine import mean_of
from capsexp.analysis.metrics import BY_TAG, GATED, METRICS
from capsexp.analysis.metrics.metric import Compared, Gate, Metric, Place
from capsexp.compare import side_by_side
from capsexp.config import ThresholdsConfig
from capsexp.errors import ArchiveError
from capsexp.report import build
from capsexp.report.exporters import csv, html, junit, markdown, prometheus, text
from capsexp.report.exporters import json as exporter
from capsexp.results.read import read_report
from capsexp.results.report import Report
from capsexp.sweeps import Swept
from tests.support.reports import a_run, a_sweep, reported

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "capsexp" / "results" / "report.schema.json").read_text())


def test_a_tag_is_one_metric_and_says_what_it_is() -> None:
    with pytest.raises(ValueError, match="two metrics speedup"):
        metrics.declare(BY_TAG["speedup"])
    for metric in METRICS:
        assert metric.definition.endswith(".") and metric.header and metric.zh, metric.tag
        assert metric.plain or not metric.places, metric.tag
        assert metric.combined.rule.over and metric.combined.rule.interval
        by_trial = metric.compared is None or metric.compared.by_sample or metric.combined.trial
        assert by_trial, f"{metric.tag} compares sweeps and has no value in a single trial"
        assert metric.better in ("higher", "lower", "neither")
        assert metric.gate is None or metric.better != "neither"


def test_limits_can_be_set_on_exactly_the_metrics_that_have_a_gate() -> None:
    assert {f.name for f in fields(ThresholdsConfig)} - {"tiers", "caveats"} == set(GATED)


NEW = Metric(
    "time_per_request_s", "s", "lower", "Makespan / requests.",
    mean_of(lambda f: f.makespan_s / f.requests if f.makespan_s else None), "request s", "每个请求的时间", 3,
    gate=Gate(), compared=Compared(), places=frozenset(Place),
    plain=("How long the server takes for each request.", "服务器处理每个请求的时间。"),
)  # fmt: skip


@pytest.fixture
def declared() -> Iterator[Metric]:
    """A metric that nothing else knows of."""
    metrics.declare(NEW)
    yield NEW
    del BY_TAG[NEW.tag], GATED[NEW.tag]


def test_a_metric_that_is_declared_is_everywhere(declared: Metric) -> None:
    thresholds = {**vars(ThresholdsConfig()), "time_per_request_s": 7.0}
    files, later = (
        a_sweep([a_run(w, s * by / w, trial=n, heard="so it is")
                 for w in (1, 2) for n, s in enumerate((10.0, 10.1, 9.9), 1)], thresholds=thresholds)
        for by in (1.0, 2.0)
    )  # fmt: skip
    report = build.assemble(files)
    one, two = report.configurations
    assert two.metric(NEW.tag).n == 3 and two.metric(NEW.tag).ci95
    judged = [next(g for g in c.gates if g.metric == NEW.tag) for c in (one, two)]
    assert [(g.verdict, g.limit) for g in judged] == [("FAIL", 7.0), ("PASS", 7.0)]
    short, long, page = text.render(report), markdown.render(report), html.draw(report, files)
    lines = short.splitlines()
    head, row = (next(line for line in lines if line.startswith(at)) for at in ("configuration", "workers=2"))
    assert head.split()[-3:] == ["request", "s", "verdict"] and "5.000" in row.split()
    assert "request s" in long and "| 5.000" in long and "| time per request" in long  # a column, and a gate
    assert "<td>5.000</td>" in page and "每个请求的时间 s" in page and "服务器处理每个请求的时间。" in page
    written = json.loads(exporter.render(report))["configurations"][1]["metrics"][NEW.tag]
    assert written["value"] == pytest.approx(5.0, 0.01) and f",{NEW.tag},s,4.99" in csv.render(report)
    assert f"# HELP capsexp_{NEW.tag} Makespan" in prometheus.render(report)
    assert f'name="{NEW.tag}"' in junit.render(report)
    sweeps = [Swept(name, each, build.observe(each)) for name, each in (("old", files), ("new", later))]
    rows = [line.split() for line in side_by_side(*sweeps).splitlines() if NEW.tag in line]
    assert [(row[0], row[4]) for row in rows] == [("workers=1", "2.000"), ("workers=2", "2.000")]
    found = [f for f in regression.judge([sweeps[0].observed], sweeps[1].observed) if f.metric == NEW.tag]
    assert [f.verdict for f in found] == ["WORSE", "WORSE"]
    assert (
        f"| `{NEW.tag}`" in runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]["docs/reference/metrics.md"]()
    )


@pytest.mark.parametrize("name", runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"])
def test_pages_made_from_the_code_are_current(name: str) -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
    assert (ROOT / name).read_text("utf-8") == pages[name](), "run python docs/generate.py"


def test_the_pages_are_made_by_a_process_of_their_own() -> None:
    """Whatever else a test has imported before: what is imported first may be any of them."""
    script = "import runpy; runpy.run_path('docs/generate.py')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_a_report_keeps_its_schema_and_is_read_back(tmp_path: Path) -> None:
    runs = [a_run(w, s, trial=t) for t in (1, 2, 3) for w, s in ((1, 10.0), (2, 5.0 + t / 50), (3, 4.9))]
    report, _ = reported(*runs, a_run(4, None, trial=1), missing=[("workers=5", 1)])
    written = exporter.render(report)
    jsonschema.validate(json.loads(written), SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(written), "verdict": 7}, SCHEMA)
    (tmp_path / "report.json").write_text(written)
    assert read_report(tmp_path) == report
    assert json.loads(written)["schema"] == 2
    assert set(json.loads(written)["configurations"][0]["metrics"]) == set(BY_TAG)


@pytest.mark.parametrize("schema", [1, 3, None, "2"])
def test_a_report_of_another_schema_gets_one_line(tmp_path: Path, schema: object) -> None:
    report, _ = reported(a_run(1, 10.0))
    (tmp_path / "report.json").write_text(json.dumps({**msgspec.to_builtins(report), "schema": schema}))
    with pytest.raises(ArchiveError, match=r"report\.json has schema .* where this version reads 2: python -m capsexp"):
        read_report(tmp_path)


def test_a_report_is_nobodys_to_change() -> None:
    report, _ = reported(a_run(1, 10.0))
    with pytest.raises(AttributeError):
        report.verdict = "FEASIBLE"  # type: ignore[misc]
    assert isinstance(report, Report)
