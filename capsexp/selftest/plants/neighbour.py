"""A neighbour that takes most of the server's CPU for a spell: what it took, by its own account, and when is named.

The server computes all the while, on one CPU; so what the neighbour has of that is what the server lost. Others who are
at work on this machine may add to it, so that it is looked at from one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from capsexp.results.report import Estimate, Report
from capsexp.selftest.equipment.command import command
from capsexp.selftest.equipment.neighbour import NAME
from capsexp.selftest.plant import Account, Figure, Plant, configuration

LOST_CPU = "LOST_CPU"
KEY = "workers=1"
FULL_S, SHORT_S = 1.0, 0.9  # the shortest clip, which also warms the server up, is the last one
CPU = 0.6
CLIPS_S = (*(9 * (FULL_S,)), SHORT_S)
_LOST = re.compile(r"other processes held a CPU for ([0-9.]+) s")
_SPELL = re.compile(r"([0-9.]+) to ([0-9.]+) s")
_TOOK = re.compile(r"([^,:]+) \(([0-9.]+) CPU s\)")
NAMES = 3  # that a report tells, those that took the most


def reasons(report: Report) -> Iterator[str]:
    for run in configuration(report, KEY).validity.runs:
        yield from (reason.reason for reason in run.reasons if reason.code == LOST_CPU)


def found(values: list[float]) -> Estimate:
    return Estimate(value=sum(values), n=1) if values else Estimate()


def lost(report: Report, account: Account) -> Estimate:
    """CPU seconds that others are said to have taken from it."""
    return found([float(match[1]) for said in reasons(report) if (match := _LOST.search(said))])


def covered(report: Report, account: Account) -> Estimate:
    """How much of the spell is in those that are named, as a share."""
    spells = [(float(a), float(b)) for said in reasons(report) for a, b in _SPELL.findall(said)]
    if not spells or "start_s" not in account:
        return Estimate()
    start, end = account["start_s"], account["end_s"]
    shared = sum(max(0.0, min(end, b) - max(start, a)) for a, b in spells)
    return Estimate(value=shared / (end - start), n=1)


def names(report: Report) -> dict[str, float]:
    """Who took the CPUs, and how many seconds of them."""
    said = [line.rpartition("the CPUs were taken by ")[2] for line in report.warnings if "the CPUs were taken" in line]
    return {name.strip(): float(seconds) for line in said for name, seconds in _TOOK.findall(line)}


def crowded(report: Report) -> bool:
    """Whether others are told of in the neighbour's place: all of them have to have taken more."""
    told = names(report)
    return NAME not in told and len(told) == NAMES


def took(report: Report, account: Account) -> Estimate:
    """CPU seconds that stand behind the neighbour's name; in a crowd the least that stand behind another's."""
    told = names(report)
    return found([min(told.values())] if crowded(report) else [told[NAME]] if NAME in told else [])


def lacks() -> str | None:
    if Path("/proc/self/schedstat").exists():
        return None
    return "this system does not tell how long a process waited for a CPU"


PLANTS = (
    Plant(
        "neighbour",
        "a neighbour that takes most of the server's CPU for three seconds",
        "INVALID and its reasons: a run that others disturbed may pass as undisturbed",
        (
            "server.model=computes", *command(f"--cpu {CPU} --full-s {FULL_S}"),
            "load.concurrency=1", "validity.interference=0.05", "monitor.interval=0.25",
        ),
        CLIPS_S,
        1,
        (
            Figure(
                "CPU time lost to others", lambda report, account: account.get("cpu_s"), "what the neighbour had",
                unit="CPU s", relative=0.2, n=1, least=True, read=lost,
            ),
            Figure(
                "share of the spell that is named", lambda report, account: 1.0 if account else None,
                "from its first to its last moment", relative=0.2, n=1, least=True, read=covered,
            ),
            Figure(
                f"CPU time of {NAME}, or of three who took more", lambda report, account: account.get("cpu_s"),
                "what it had", unit="CPU s", relative=0.15, absolute=0.2, n=1, least=crowded, read=took,
            ),
        ),
        "capsexp.selftest.equipment.neighbour",
        lacks,
    ),
)  # fmt: skip
