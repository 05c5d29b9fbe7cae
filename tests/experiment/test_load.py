"""Loads that say themselves when requests begin, in a run: what was due stands in its tables."""

import pytest

from capsexp.results.tables import read_rows
from tests.support.bench import Bench


@pytest.mark.slow
def test_users_who_dictate_are_measured(bench: Bench) -> None:
    given = ("load=dictation", "load.users=3", "load.turns=2", "load.think_s=0.2", "load.repeats=auto")
    assert bench.run("workers=1", "engine.rtf=0.01", *given) == 0, bench.stderr
    assert "load.repeats" not in bench.stderr
    (found,) = bench.report()["configurations"]
    assert found["load"] == "dictation" and found["metrics"]["correctness"]["value"] == 1.0
    (run,) = bench.out.glob("0-*")
    requests, packets = (read_rows(run / f"{name}.csv") for name in ("requests", "packets"))
    assert len(requests) == 6 and {row["user"] for row in requests} == {0, 1, 2}
    assert all(row["final_s"] > row["stop_s"] for row in requests)
    assert all(row["at_s"] >= row["due_s"] - 0.001 for row in packets if row["kind"] == "sent")
