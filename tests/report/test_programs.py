"""The forms that other programs read: each is read by that program, or by its own parser."""

import csv as reader
import io
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsexp.analysis.metrics import METRICS
from capsexp.errors import CapsexpError, ConfigError
from capsexp.files import write_text
from capsexp.report import build
from capsexp.report.exporters import csv, mlflow, prometheus
from capsexp.report.exporters import json as whole
from capsexp.report.exporters.mlflow import __main__ as logging
from capsexp.results.report import Report
from tests.support.reports import a_run, a_sweep


def report(key: str = "workers=2", name: str = "sweep") -> Report:
    """Two configurations that ran, and one that failed."""
    runs = [a_run(1, s, trial=n) for n, s in enumerate((10.0, 10.1, 9.9), 1)]
    runs += [a_run(2, s, trial=n, key=key) for n, s in enumerate((5.0, 5.1, 4.9), 1)]
    runs.append(a_run(3, None, key="workers=3", status="failed", error="it died"))
    return build.assemble(a_sweep(runs, name=name))


def estimates(found: Report) -> dict[tuple[str, str], Any]:
    """All that is known, as report.json has it."""
    decoded = msgspec.json.decode(whole.render(found))
    return {
        (c["key"], tag): one
        for c in decoded["configurations"]
        for tag, one in c["metrics"].items()
        if one["value"] is not None
    }


def test_csv_holds_every_figure_and_every_configuration() -> None:
    found = report()
    rows = list(reader.DictReader(io.StringIO(csv.render(found))))
    known = estimates(found)
    read = {(r["configuration"], r["metric"]): r for r in rows if r["metric"]}
    assert read.keys() == known.keys() and len(known) > 30
    for at, one in known.items():
        low, high = one["ci95"] or ("", "")
        assert float(read[at]["value"]) == one["value"] and read[at]["n"] == str(one["n"])
        assert (read[at]["ci95_low"], read[at]["ci95_high"]) == (str(low), str(high))
    assert {r["unit"] for r in rows if r["metric"] == "peak_memory_mb"} == {"MB"}
    assert {r["status"] for r in rows if r["configuration"] == "workers=3"} == {"failed"}
    assert all(None not in r and None not in r.values() for r in rows)


@pytest.mark.parametrize("key", ["=1+1", "+x", "-x", "@SUM(A1)", 'a"b,c\nd', "\x1b[2J"])
def test_no_foreign_text_becomes_a_formula(key: str) -> None:
    rows = list(reader.DictReader(io.StringIO(csv.render(report(key)))))
    [said] = {r["configuration"] for r in rows} - {"workers=1", "workers=3"}
    assert said[0] not in "=+-@\x1b" and "\n" not in said


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """(name, configuration, what else the labels say) and value, as Prometheus's own client reads them."""
    parser = pytest.importorskip("prometheus_client.parser", reason="no prometheus-client here: pip install -e .[dev]")
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation
        for one in family.samples:
            labels = dict(one.labels)
            at = one.name, labels.pop("configuration"), labels.get("metric") or labels.get("verdict") or ""
            assert at not in found and labels["sweep"]
            found[at] = one.value
    return found


def test_prometheus_reads_every_figure_in_base_units() -> None:
    found = report()
    read = samples(prometheus.render(found))
    known = estimates(found)
    units = {metric.tag: metric.unit for metric in METRICS}
    for (key, tag), one in known.items():
        factor = 2**20 if units[tag].startswith("MB") else 1
        name = "capsexp_" + tag.replace("_mb", "_bytes")
        assert read[name, key, ""] == factor * one["value"]
        if one["ci95"]:
            assert read[f"{name}_ci95_low", key, ""] == factor * one["ci95"][0]
            assert read[f"{name}_ci95_high", key, ""] == factor * one["ci95"][1]
    assert read["capsexp_verdict", "workers=2", "FEASIBLE"] == 1
    assert read["capsexp_gate_passed", "workers=2", "speedup"] == 1
    assert ("capsexp_gate_passed", "workers=1", "speedup") not in read  # not judged
    values = sum(name.startswith("capsexp_") and "_ci95_" not in name and not more for name, _, more in read)
    assert values == len(known)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec=None), min_size=1, max_size=30))
def test_prometheus_reads_any_name(foreign: str) -> None:
    text = prometheus.render(report(f"x={foreign}", name=foreign))
    text.encode("utf-8")
    assert len({key for _, key, _ in samples(text)}) == 3


def test_what_mlflow_is_told_is_the_same_again() -> None:
    told = json.loads(mlflow.render(report()))
    assert mlflow.render(report()) == mlflow.render(report())
    [one, two, three] = told["runs"]
    assert (one["name"], two["params"]["workers"], three["tags"]["capsexp.status"]) == ("workers=1", "2", "failed")
    known = estimates(report())
    assert two["metrics"]["speedup"] == known["workers=2", "speedup"]["value"]
    assert two["metrics"]["speedup.ci95_low"] == known["workers=2", "speedup"]["ci95"][0]
    assert two["tags"]["capsexp.gate.speedup"] == "PASS" and "speedup" not in three["metrics"]
    assert len({run["tags"]["capsexp.digest"] for run in told["runs"]}) == 3


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    write_text(folder / "report.json", whole.render(report("workers=2,x=\u202e'\"`")))
    return folder


def test_without_mlflow_it_says_what_to_install(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'capsexp\[mlflow\]'"):
        logging.main([str(sweep)])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what MLflow's own libraries are warned of
def test_mlflow_has_what_was_logged_and_has_it_once(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow", reason="no MLflow here: pip install -e .[mlflow]")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a store of files is what a test can make
    uri = (tmp_path / "store").as_uri()
    for count in (3, 0):
        assert logging.main([str(sweep), "--tracking-uri", uri]) == 0
        assert capsys.readouterr().out.startswith(f"{count} of 3 runs logged")
    client = MlflowClient(tracking_uri=uri)
    where = client.get_experiment_by_name("capsexp")
    runs = {run.info.run_name: run for run in client.search_runs([where.experiment_id])}
    told = {run["name"]: run for run in json.loads(mlflow.render(report("workers=2,x=\u202e'\"`")))["runs"]}
    assert runs.keys() == told.keys()
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        assert dict(run.data.params) == told[name]["params"]
        assert told[name]["tags"].items() <= dict(run.data.tags).items()
        assert run.data.metrics.keys() == told[name]["metrics"].keys()
        assert all(math.isclose(run.data.metrics[tag], v) for tag, v in told[name]["metrics"].items())
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(CapsexpError, match=r"^MLflow: "):
        logging.main([str(sweep), "--tracking-uri", "http://127.0.0.1:1"])
