"""The command, on a sweep that was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capsexp.errors import ConfigError
from capsexp.plan.app import main
from tests.support.bench import Bench


def test_a_sweep_is_planned_by_and_predicted_from_itself(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 82 s of audio in segments of 2.5 s and less, at a tenth of their time: seconds of work for each worker.
    assert bench.run("workers=1,2", "engine.rtf=0.1", "load.repeats=2", "archive.enabled=false", "-m") == 0
    page = tmp_path / "plan.md"
    asked = [str(bench.out), "--rtfx", "40", "slo.turnaround_p95_s=8", "--price-machine-hour", "1.5"]
    assert main([*asked, "--json", "--markdown", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["marked"], found["unit"], found["amount"]) == ("predicted", "RTFx", 40.0)
    assert {one["key"]: one["by"] for one in found["checked"]} == {
        "workers=1": ["workers=2"], "workers=2": ["workers=1"]
    }  # fmt: skip
    errors = {(one["key"], e["metric"]): e for one in found["checked"] for e in one["errors"]}
    speed = errors["workers=2", "throughput_rtfx"]
    assert speed["predicted"] == pytest.approx(20, rel=0.15)  # two workers at ten times real time
    assert speed["measured"] == pytest.approx(speed["predicted"], rel=0.3)
    chosen = found["planned"]["chosen"]
    assert chosen["holds"] and chosen["setup"]["workers"] >= 4  # 40 / 10 are at work
    assert found["cost"] == pytest.approx(1.5 * chosen["setup"]["machines"] / 40)
    assert page.read_text("utf-8").startswith("Asked: 40 seconds of audio per second")
    assert "turnaround_p95_s" in page.with_suffix(".svg").read_text("utf-8")
    # Likewise for users, of whom the sweep had none.
    assert main([str(bench.out), "--users", "3", "load.think_s=1"]) == 0
    said = capsys.readouterr().out
    assert "measured with pacing=burst only" in said and "3 users who dictate" in said
    with pytest.raises(ConfigError, match="did you mean 'workers=1'"):
        main([str(bench.out), "--users", "3", "--like", "worker=1"])


@pytest.mark.parametrize(
    "words", [[], ["--users", "0"], ["--users", "3", "--rtfx", "2"], ["--rtfx", "-1"], ["--users", "3", "--sigma", "2"]]
)
def test_an_amount_that_is_none_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", *words])
    assert "--users" in capsys.readouterr().err
