"""Settings that had another name: what earlier versions left is read, and a user is told the new one."""

from __future__ import annotations

import json

import pytest

from capsexp import compose
from capsexp.config import resolve
from capsexp.errors import ConfigError
from capsexp.renamed import renewed
from capsexp.results.read import read_facts, read_sweep
from tests.support.bench import Bench


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"control": {"name": "on", "processes": [1]}}, {"reference": {"name": "engine", "processes": [1]}}),
        ({"control": {"name": "off"}}, {"reference": {"name": "off"}}),
        ({"control": "0123456789ab"}, {"reference": "0123456789ab"}),
        ({"control": {"name": []}}, {"reference": {"name": []}}),
        ({"control": 1, "reference": 2}, {"control": 1, "reference": 2}),
        ({"workers": 1}, {"workers": 1}),
    ],
)
def test_a_tree_in_the_names_of_this_version(before: dict[str, object], now: dict[str, object]) -> None:
    assert renewed(before) == now


def test_a_tree_of_an_earlier_version_is_composed() -> None:
    raw = compose.raw(["engine=null"], None, "config")
    tree = {**{k: v for k, v in raw.items() if k != "reference"}, "control": {"name": "off", "processes": [1]}}
    assert resolve(tree).reference.name == "off"


def test_the_old_name_is_answered_with_the_new_one() -> None:
    for typed, said in (("control=off", "called reference now"), ("control.processes=[2]", "reference.processes now")):
        with pytest.raises(ConfigError, match=said):
            compose.raw([typed], None, "config")


@pytest.mark.slow
def test_a_folder_of_an_earlier_version_is_read(bench: Bench) -> None:
    assert bench.run("workers=1", "reference=engine", "trials=1") == 0, bench.stderr
    before = read_sweep(bench.out)
    (run_dir,) = (path.parent for path in bench.out.glob("*/run.json"))
    run = json.loads((run_dir / "run.json").read_text())
    run["control"] = run.pop("reference")
    run["config"]["control"] = run["config"].pop("reference")
    (run_dir / "run.json").write_text(json.dumps(run))
    (bench.out / "reference").rename(bench.out / "control")
    for path in bench.out.glob("control/*/reference.json"):
        path.rename(path.with_name("control.json"))
    for path in run_dir.glob("transcripts/*.json"):
        said = json.loads(path.read_text())
        said["reference"] = said.pop("transcript")
        path.write_text(json.dumps(said))
    assert read_sweep(bench.out).runs[0].transcripts == before.runs[0].transcripts != {}
    assert read_facts(run_dir).reference == before.runs[0].run.reference
    assert read_sweep(bench.out).references == before.references != {}
