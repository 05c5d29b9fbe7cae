"""Tables as they are read, those of older runs too."""

from pathlib import Path

import pytest

from capsexp.client.app import PACKET_COLUMNS, REQUEST_COLUMNS
from capsexp.experiment import faults
from capsexp.results import rows
from capsexp.results.tables import read_rows
from capsexp.server.record import SEGMENT_COLUMNS, WORKER_COLUMNS


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (rows.RequestRow, REQUEST_COLUMNS),
        (rows.PacketRow, PACKET_COLUMNS),
        (rows.SegmentRow, SEGMENT_COLUMNS),
        (rows.WorkerRow, WORKER_COLUMNS),
        (rows.FaultRow, faults.COLUMNS),
    ],
)
def test_a_row_has_the_columns_that_are_written(kind: type, columns: tuple[str, ...]) -> None:
    assert kind.__annotations__.keys() == {*columns}


@pytest.mark.parametrize("written", ["front", "gateway"])
def test_the_gateway_of_an_older_run_is_one(written: str, tmp_path: Path) -> None:
    for name in ("monitor", "gpu", "probe-heat"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"time_s,role,worker,pid,cpu_s\n0.5,{written},,7,1.5\n0.5,worker,0,8,2.5\n")
        assert [row["role"] for row in read_rows(path)] == ["gateway", "worker"]


def test_a_word_that_is_no_role_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "workers.csv"
    path.write_text("time_s,event,worker,reason\n0.5,died,0,front\n")
    assert read_rows(path)[0]["reason"] == "front"
