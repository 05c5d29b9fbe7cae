"""How many threads of a server are at work."""

import msgspec

from capsexp.analysis.timeline import shares
from capsexp.report import beside, build
from capsexp.results.report import Configuration, Timeline
from tests.support.reports import a_sweep
from tests.support.runs import QUIET, run


def row(time_s: float, role: str, busy: int | None) -> dict[str, object]:
    return {"time_s": time_s, "role": role, "busy_threads": busy}


def test_threads_at_work_are_the_server_s_and_of_the_measured_phase() -> None:
    monitor = [
        row(-1.0, "gateway", 9), *(row(t, "gateway", n) for t, n in ((1.0, 2), (2.0, 2), (3.0, 0), (4.0, 3))),
        row(1.0, "worker", 1), row(2.0, "worker", None), row(3.0, "client", 7), row(11.0, "gateway", 9),
    ]  # fmt: skip
    found = shares(run(), QUIET, [], [], monitor)
    assert found is not None and found.threads_at_work == 2.5  # of 3, 2, 0 and 3
    untold = shares(run(), QUIET, [], [], [row(1.0, "gateway", None)])
    assert untold is not None and untold.threads_at_work is None


def test_the_report_says_how_many() -> None:
    report = build.assemble(a_sweep([]))
    one = Configuration(key="a", timeline=Timeline(threads_at_work=2.0))
    assert beside.timeline_lines(msgspec.structs.replace(report, configurations=(one,))) == [
        "a: threads of the server at work 2"
    ]
