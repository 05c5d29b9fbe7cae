"""What a schedule buys: who speaks waits less, and the files get nearly as much done."""

import msgspec

from capsexp.report import schedules
from capsexp.report.exporters import markdown, text
from capsexp.results.report import LoadPart, Report
from tests.support.harmed import trials
from tests.support.reports import reported


def part(kind: str, **values: float) -> LoadPart:
    return LoadPart(kind=kind, requests=200, completed=200, **values)


def report(**by_schedule: tuple[LoadPart, ...]) -> Report:
    made, _ = reported(*trials(1, 10.0))
    [one] = made.configurations
    found = tuple(
        msgspec.structs.replace(one, key=f"workers=1,server.schedule={name}", schedule=name, parts=parts)
        for name, parts in by_schedule.items()
    )
    return msgspec.structs.replace(made, configurations=found)


FIFO = (part("mic", stop_to_text_p95_s=8.0), part("file", achieved_rtfx=4.0))
FIRST = (part("mic", stop_to_text_p95_s=2.0), part("file", achieved_rtfx=3.8, turnaround_p95_s=31.0))


def test_a_schedule_is_told_against_the_usual_one() -> None:
    found = report(fifo=FIFO, mic_first=FIRST)
    line = (
        "server.schedule=mic_first, compared with fifo: mic waits 2.00 s for its text instead of 8.00 s (p95: 0.25x); "
        "file keeps 95 % of its throughput, with texts after 31.0 s (p95)."
    )
    assert schedules.gains(found) == [line]
    assert line in text.render(found) and "95 % of its throughput" in markdown.render(found)


def test_classes_are_told_in_the_order_of_the_load_where_both_have_them() -> None:
    own = (part("calls", stop_to_text_p95_s=2.0), part("mic", stop_to_text_p95_s=2.0), part("new"))
    usual = (part("mic", stop_to_text_p95_s=4.0), part("calls", stop_to_text_p95_s=8.0))
    [line] = schedules.gains(report(fifo=usual, fair=own))
    assert [said.split()[0] for said in line.partition(": ")[2].split("; ")] == ["calls", "mic"]


def test_medians_where_there_are_too_few_for_more() -> None:
    few = (part("mic", stop_to_text_p50_s=4.0), part("file", achieved_rtfx=4.0))
    [line] = schedules.gains(report(fifo=few, fair=few))
    assert "4.00 s for its text instead of 4.00 s (p50: 1.00x)" in line and "an unknown time (too few requests)" in line


def test_without_the_usual_one_or_classes_nothing_is_compared() -> None:
    assert schedules.gains(report(mic_first=FIRST, fair=FIRST)) == []
    assert schedules.gains(report(fifo=(), mic_first=())) == []
    assert schedules.gains(report(fifo=(part("file"),), mic_first=(part("file"),))) == []
