"""What is said of a machine, from values."""

from dataclasses import replace

import pytest

from capsexp.doctor.findings import MEND, NOTE, OK, Finding, Machine, findings, fit
from capsexp.placement import Cpu, Topology

GOOD = Machine(
    cpus=4, topology=Topology(tuple(Cpu(n, n) for n in range(4)), governors=frozenset({"performance"})),
    total_mb=16_000, available_mb=12_000, busy=0.01, stolen=0.0, clock="tsc", files=4096, disk_mb=50_000, ffmpeg=True,
    engine=("sphinx", None), engines={"sherpa": None}, gpu="it needs nvidia-ml-py",
)  # fmt: skip


def of(what: str, seen: Machine) -> Finding:
    (found,) = [finding for finding in findings(seen) if finding.what == what]
    return found


def test_a_machine_that_is_fit_needs_nothing() -> None:
    found = findings(GOOD)
    assert {finding.level for finding in found} == {OK}
    assert fit(found)


MENDED = [
    ("CPUs", {"cpus": 1.0}, "1 CPU may be used", "two CPUs"),
    ("other programs", {"busy": 0.4, "hogs": {"cc1": 1.4, "ld": 0.2}}, "40 % of the CPUs (cc1 1.40, ld 0.20)", "end"),
    ("host", {"stolen": 0.05}, "5 %", "guests"),
    ("clock", {"clock_s": 0.0156}, "15.6 ms", "another"),
    ("memory", {"available_mb": 500.0}, "0.5 of 15.6 GB", "end the programs that use it"),
    ("open files", {"files": 256}, "at most 256", "ulimit -n 4096"),
    ("disk", {"disk_mb": 40.0}, "40 MB", "make room"),
    ("engine=sphinx", {"engine": ("sphinx", "pip install pocketsphinx")}, "cannot be used", "pip install pocketsphinx"),
]
NOTED = [
    ("cores", {"topology": Topology(tuple(Cpu(n, n - n % 2) for n in range(4)))}, "2 cores (SMT)", "taskset -c 0,2 "),
    ("quota", {"topology": replace(GOOD.topology, quota=1.5)}, "1.5 of 4 CPUs", "--cpuset-cpus"),
    (
        "clock of the CPUs",
        {"topology": replace(GOOD.topology, governors=frozenset({"powersave", "performance"}))},
        "powersave",
        "cpupower",
    ),
    ("clock", {"clock": "hpet"}, "hpet", "tsc"),
    ("swap", {"swap_used_mb": 900.0}, "900 MB", "swapoff"),
    ("port 6016", {"port_owner": "process 7 (python)"}, "process 7 (python)", "server.port=6017"),
    ("audio", {"ffmpeg": False}, "without ffmpeg", "apt install ffmpeg"),
    ("engine=sherpa", {"engines": {"sherpa": "needs engine.model_dir"}}, "cannot be used", "needs engine.model_dir"),
    ("GPU", {"nvidia": True}, "cannot be monitored", "nvidia-ml-py"),
]


@pytest.mark.parametrize(
    ("level", "what", "seen", "said", "remedy"),
    [(MEND, *case) for case in MENDED] + [(NOTE, *case) for case in NOTED],
)
def test_what_is_wrong_is_said_with_what_to_do(
    level: str, what: str, seen: dict[str, object], said: str, remedy: str
) -> None:
    machine = replace(GOOD, **seen)
    found = of(what, machine)
    assert found.level == level
    assert said in found.said
    assert found.remedy is not None and remedy in found.remedy
    others = [finding for finding in findings(machine) if finding.what != what]
    assert {finding.level for finding in others} == {OK}
    assert fit(findings(machine)) == (level == NOTE)


def test_what_a_system_does_not_tell_is_no_fault() -> None:
    silent = Machine(cpus=2, total_mb=8000, available_mb=4000, ffmpeg=True, engine=("sphinx", None), gpu="none")
    assert fit(findings(silent))
    assert {finding.level for finding in findings(silent)} == {OK}


def test_a_quota_of_all_cpus_is_none() -> None:
    assert not [
        finding
        for finding in findings(replace(GOOD, topology=replace(GOOD.topology, quota=4.0)))
        if finding.what == "quota"
    ]


def test_one_sibling_of_each_core_is_no_matter() -> None:
    one_each = replace(GOOD, topology=Topology((Cpu(0, 0), Cpu(2, 2))), cpus=2)
    assert not [finding for finding in findings(one_each) if finding.what == "cores"]
