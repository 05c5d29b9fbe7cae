"""The rows and sentences that the readable forms of a report share."""

from __future__ import annotations

from typing import Any

HEADERS = (
    "configuration", "makespan\ns", "xRT", "speed\nup", "effi-\nciency", "server\neff.", "peak\nMB",
    "mem.\ngrowth", "CPU\n%", "latency\np50 s", "latency\np95 s", "latency\nmax s", "correct", "WER\n%", "CER\n%",
    "verdict",
)  # fmt: skip
GATE_HEADERS = ("configuration", "gate", "value", "limit", "verdict", "why")
_AT_MOST = frozenset({"memory_growth", "peak_memory_mb", "wer", "cer", "latency_p95_s"})
VERDICTS = {
    "FEASIBLE": "more workers pay here, within the limits that were set",
    "NOT_FEASIBLE": "no configuration with more workers keeps within the limits that were set",
    "FEASIBLE_WITH_CAVEATS": "more workers pay here, with the caveats below",
    "INCONCLUSIVE": "the data do not decide it",
    "INVALID": "the machine was disturbed during every run that would decide it",
}


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"


def rows(report: dict[str, Any]) -> list[list[str]]:
    """A row per configuration."""
    return [_row(c) for c in report["configurations"]]


def _row(c: dict[str, Any]) -> list[str]:
    memory, latency, correct = c["memory"], c["latency_s"], c["correctness"]
    share = f"{correct['identical']}/{correct['requests']}" if correct["identical"] is not None else "-"
    return [
        c["key"], number(c["makespan_s"]["median"]), number(c["throughput_xrt"]), number(c["speedup"]["median"]),
        number(c["efficiency"]), number(c["server_efficiency"]), number(memory["peak_mb"], 0), number(memory["growth"]),
        percent(c["cpu"]["utilisation"], 0),
        number(latency["p50"]), number(latency["p95"]), number(latency["max"]), share, percent(correct["wer"]),
        percent(correct["cer"]), c["verdict"] if c["status"] == "ok" else c["status"].upper(),
    ]  # fmt: skip


def gate_rows(report: dict[str, Any]) -> list[list[str]]:
    """A row per gate of each configuration that ran."""
    found = []
    for c in report["configurations"]:
        for gate in c["gates"]:
            sign = "<=" if gate["name"] in _AT_MOST else ">="
            digits = 0 if gate["name"] == "peak_memory_mb" else 2
            limit = f"{sign} {number(gate['limit'], digits)}"
            found.append(
                [
                    c["key"],
                    gate["name"],
                    number(gate["value"], digits),
                    limit,
                    gate["verdict"],
                    gate.get("reason") or "",
                ]
            )
    return found


def control_lines(report: dict[str, Any]) -> list[str]:
    """What the same work takes without a server."""
    return [
        f"{c['engine']}, {_count(c['threads'], 'thread')}, {_count(c['processes'], 'process')}: "
        f"{c['throughput_xrt']:.1f} x real time ({c['makespan_s']:.2f} s, load {c['load_s']:.2f} s)"
        for c in report["control"]
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def sentences(report: dict[str, Any]) -> list[str]:
    """The verdict, the recommendation and what the data say about disappointing results."""
    said = [f"Verdict: {report['verdict']}: {VERDICTS[report['verdict']]}."]
    advice = report["recommendation"]
    said.append(
        f"Recommended: {advice['key']}: {advice['reason']}"
        if advice
        else "Recommended: nothing; no configuration is right and within its memory."
    )
    for key, causes in report["diagnosis"].items():
        said += [f"{key}: {cause}" for cause in causes]
    return said


def headline(report: dict[str, Any]) -> str:
    """Machine and load in one line."""
    where, samples = report["environment"], report["samples"]
    seconds = sum(s["duration_s"] for s in samples)
    cpus, memory = where.get("cpus_usable", "?"), where.get("memory_mb", 0) / 1024
    machine = f"{where.get('cpu', 'unknown CPU')}, {cpus} CPUs usable, {memory:.0f} GB"
    return f"{machine}; {len(samples)} samples, {seconds:.0f} s of audio"
