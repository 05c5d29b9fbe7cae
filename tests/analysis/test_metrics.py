"""Every metric is declared once, and what is made from the declarations is current."""

import json
import runpy
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import jsonschema
import msgspec
import pytest

from capsexp.analysis.metrics import BY_TAG, GATED, METRICS
from capsexp.config import ThresholdsConfig
from capsexp.errors import ArchiveError
from capsexp.report.exporters import json as exporter
from capsexp.report.tables import COLUMNS, HEADERS
from capsexp.results.read import read_report
from capsexp.results.report import Report
from tests.support.reports import a_run, reported

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "capsexp" / "results" / "report.schema.json").read_text())


def test_a_tag_is_one_metric_and_says_what_it_is() -> None:
    assert len(BY_TAG) == len(METRICS)
    for metric in METRICS:
        assert metric.definition.endswith(".") and metric.header, metric.tag
        assert metric.better in ("higher", "lower", "neither")
        assert metric.gate is None or metric.better != "neither"


def test_limits_can_be_set_on_exactly_the_metrics_that_have_a_gate() -> None:
    assert {f.name for f in fields(ThresholdsConfig)} - {"tiers", "caveats"} == set(GATED)


def test_the_table_shows_metrics_by_their_headers() -> None:
    assert len(HEADERS) == len(COLUMNS) + 3
    assert {tag.partition(".")[0] for tag in COLUMNS if tag} <= set(BY_TAG)


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
