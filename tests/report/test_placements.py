"""What a report says of CPUs and of pinned workers."""

from typing import Any

import pytest

from capsexp.report import placements
from capsexp.results.read import RunFiles
from tests.support.reports import a_run, reported


def pair(kind: str, workers: int, *makespans: float, **more: Any) -> list[RunFiles]:
    return [
        a_run(
            workers, makespan, trial=trial, key=f"workers={workers},placement={kind}",
            settings={"placement.name": kind}, pinned=[str(n) for n in range(workers)] if kind != "none" else [],
            **more,
        )
        for trial, makespan in enumerate(makespans, start=1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("makespans", "said"),
    [
        ((8.0, 8.1, 7.9), "it pays"),
        ((12.0, 12.1, 11.9), "it costs"),
        ((10.0, 10.2, 9.7), "no difference was found"),
        ((10.0,), "run more trials for an interval"),
    ],
)
def test_whether_pinning_pays(makespans: tuple[float, ...], said: str) -> None:
    free = (10.0, 10.1, 9.9)[: len(makespans)]
    report, text = reported(*pair("none", 2, *free), *pair("spread", 2, *makespans))
    (line,) = placements.gains(report)
    assert line.startswith("workers=2,placement=spread is ") and "x of workers=2,placement=none" in line
    assert line.endswith(f"{said}.")
    assert line in text
    assert "workers=2,placement=spread (placement=spread), CPUs: worker 0 on 0; worker 1 on 1" in text


def test_what_brings_no_more_than_the_tolerance_is_not_recommended_over_what_is_simpler() -> None:
    runs = [*pair("none", 1, 20.0, 20.1, 19.9), *pair("none", 2, 10.0, 10.1, 9.9), *pair("spread", 2, 9.8, 9.9, 9.7)]
    report, _ = reported(*runs)
    assert report.recommendation and report.recommendation.key == "workers=2,placement=none"
    faster, _ = reported(*runs[:6], *pair("spread", 2, 8.0, 8.1, 7.9), *pair("spread", 1, 20.0, 20.1, 19.9))
    chosen = faster.recommendation
    assert chosen and chosen.key == "workers=2,placement=spread"
    assert chosen.command and chosen.command.endswith(" placement=spread")
    assert chosen.server and "override placement: spread" in (chosen.server.yaml or "")


TOPOLOGY = {"cpus": 8, "cores": 4, "sockets": 2, "nodes": 1, "siblings": 2, "quota": 1.5, "governors": ["powersave"]}


def test_the_machine_in_a_line() -> None:
    assert placements.machine({"topology": TOPOLOGY}) == (
        "8 CPUs on 4 cores (2 sockets, 1 NUMA node), up to 2 of them hardware threads of one core; "
        "quota of a control group: 1.5 CPUs; governor: powersave"
    )
    plain = {**TOPOLOGY, "cpus": 4, "siblings": 1, "quota": None, "governors": []}
    assert placements.machine({"topology": plain}) == (
        "4 CPUs on 4 cores (2 sockets, 1 NUMA node), none of them siblings; quota of a control group: none; "
        "governor: not told"
    )


@pytest.mark.parametrize("environment", [{}, {"topology": None}, {"topology": {"cpus": None, "quota": None}}])
def test_a_machine_of_which_nothing_was_recorded(environment: dict[str, Any]) -> None:
    assert placements.machine(environment) is None
    assert placements.shared_cores(environment) is None


def test_two_cpus_that_are_one_core_are_warned_of() -> None:
    said = placements.shared_cores({"topology": TOPOLOGY})
    assert (
        said
        and said.startswith("the 8 CPUs are hardware threads of 4 cores: ")
        and "placement=none,no_smt,spread" in said
    )
    assert placements.shared_cores({"topology": {**TOPOLOGY, "cpus": 4}}) is None
