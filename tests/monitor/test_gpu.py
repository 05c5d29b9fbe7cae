"""The probe for NVIDIA GPUs, against a stand-in for the driver's library that answers and refuses as its documentation
says. None of this was tried on a GPU."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from capsexp.analysis import gpu as usage
from capsexp.errors import ConfigError
from capsexp.monitor.probes import ALWAYS, gpu, usable
from capsexp.monitor.sampler import Sampler
from capsexp.report import beside, build
from capsexp.results.report import GpuUse
from tests.support.reports import a_run, a_sweep

MB = 2**20
NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, GPU_IS_LOST = 3, 4, 9, 12, 15


def nvml(*devices: dict[str, Any], init: int = 0) -> ModuleType:
    """A module with pynvml's names: each device's values, of which a number of `refuse` is the code of an NVMLError."""

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            super().__init__(value)
            self.value = value

        def __str__(self) -> str:
            return {DRIVER_NOT_LOADED: "Driver Not Loaded", LIBRARY_NOT_FOUND: "NVML Shared Library Not Found"}.get(
                self.value, f"Unknown Error {self.value}"
            )

    fake, open_ = ModuleType("pynvml"), [0]

    def begin() -> None:
        if init:
            raise NVMLError(init)
        open_[0] += 1

    def end() -> None:
        assert open_[0], "NVML_ERROR_UNINITIALIZED"
        open_[0] -= 1

    def ask(name: str) -> Any:
        def answer(device: dict[str, Any]) -> Any:
            assert open_[0], "NVML_ERROR_UNINITIALIZED"
            if name in device.get("refuse", {}):
                raise NVMLError(device["refuse"][name])
            return device[name]

        return answer

    def handle(number: int) -> dict[str, Any]:
        if "handle" in devices[number].get("refuse", {}):
            raise NVMLError(devices[number]["refuse"]["handle"])
        return devices[number]

    vars(fake).update(
        NVMLError=NVMLError, nvmlInit=begin, nvmlShutdown=end, nvmlDeviceGetCount=lambda: len(devices),
        nvmlDeviceGetHandleByIndex=handle, nvmlDeviceGetUtilizationRates=ask("rates"),
        nvmlDeviceGetMemoryInfo=ask("memory"), nvmlDeviceGetPowerUsage=ask("power"),
        nvmlDeviceGetComputeRunningProcesses=ask("computes"), nvmlDeviceGetGraphicsRunningProcesses=ask("draws"),
        open=open_,
    )  # fmt: skip
    return fake


def process(pid: int, used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def device(**more: Any) -> dict[str, Any]:
    return {
        "rates": SimpleNamespace(gpu=56, memory=12), "power": 120_500, "computes": [], "draws": [],
        "memory": SimpleNamespace(total=80_000 * MB, free=78_000 * MB, used=2_000 * MB), **more,
    }  # fmt: skip


OURS = [{"role": "gateway", "worker": None, "pid": 10}, {"role": "worker", "worker": 0, "pid": 11}, {"role": "system"}]


def test_what_a_gpu_does_and_what_our_processes_hold_of_it() -> None:
    there = device(computes=[process(11, 900 * MB), process(99, 500 * MB)], draws=[process(11, 900 * MB)])
    assert gpu.Gpus(nvml(device(), there)).look(0.0, OURS) == [
        {"role": "gpu", "gpu": 0, "utilization_percent": 56, "memory_mb": 2000.0, "power_w": 120.5},
        {"role": "gpu", "gpu": 1, "utilization_percent": 56, "memory_mb": 2000.0, "power_w": 120.5},
        {"role": "worker", "worker": 0, "pid": 11, "gpu": 1, "memory_mb": 900.0},  # not twice, and nobody else's
    ]


def test_what_is_not_known_stays_empty() -> None:
    refuse = {"rates": NOT_SUPPORTED, "power": NOT_SUPPORTED, "draws": NO_PERMISSION}
    lost, mute = device(refuse={"handle": GPU_IS_LOST}), device(computes=[process(10, None)], refuse=refuse)
    assert gpu.Gpus(nvml(lost, mute)).look(0.0, OURS) == [
        {"role": "gpu", "gpu": 1, "memory_mb": 2000.0},
        {"role": "gateway", "worker": None, "pid": 10, "gpu": 1},
    ]
    known = device(computes=[process(10, None)], draws=[process(10, 5 * MB)])
    assert gpu.Gpus(nvml(known)).look(0.0, OURS)[-1]["memory_mb"] == 5.0


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (None, "it needs nvidia-ml-py; install it with: pip install 'capsexp[gpu]'"),
        (nvml(init=LIBRARY_NOT_FOUND), "no NVIDIA driver answers (NVML Shared Library Not Found); install one, or "
                                       "leave gpu out of monitor.probes"),
        (nvml(init=DRIVER_NOT_LOADED), "no NVIDIA driver answers (Driver Not Loaded); install one, or leave gpu out of "
                                       "monitor.probes"),
        (nvml(), "the NVIDIA driver sees no GPU; leave gpu out of monitor.probes"),
    ],
)  # fmt: skip
def test_without_a_gpu_it_is_absent_without_a_word_unless_it_was_named(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | None, says: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    found, faults = usable("monitor.probes", None)
    assert "gpu" not in found and not faults
    with pytest.raises(ConfigError) as caught:
        usable("monitor.probes", [*ALWAYS, "gpu"])
    assert str(caught.value) == f"monitor.probes: gpu cannot be used here: {says}"


def test_it_is_asked_where_there_is_one_and_let_go_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = nvml(device())
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    sampler = Sampler({}, None, None)
    assert sampler.tables["gpu"] == (
        "time_s", "role", "worker", "pid", "gpu", "utilization_percent", "memory_mb", "power_w",
    )  # fmt: skip
    assert [row["gpu"] for row in sampler.tick(0.0)["gpu"]] == [0]
    assert "gpu" not in sampler.tick(0.5) and "gpu" in sampler.tick(1.0)
    assert fake.open == [1]  # what asked whether it is there has let it go
    sampler.close()
    assert fake.open == [0]


def row(time: float, role: str, number: int, mb: float | None, busy: float | None = None, watts: Any = None) -> Any:
    return {"time_s": time, "role": role, "worker": None, "pid": None, "gpu": number, "memory_mb": mb,
            "utilization_percent": busy, "power_w": watts}  # fmt: skip


def test_a_run_used_the_gpus_on_which_its_server_was_seen() -> None:
    rows = [
        row(0, "gpu", 0, 100, 90, 300), row(0, "gpu", 1, 500, 0, 50),
        row(1, "gpu", 0, 100, 90, 300), row(1, "gpu", 1, 700, 40, 70),
        row(1, "worker", 1, 200), row(1, "worker", 1, 150),
        row(2, "gpu", 0, 100, 90, 300), row(2, "gpu", 1, 600, 60, 90), row(2, "worker", 1, 200),
        row(3, "gpu", 0, 100, 90, 300), row(3, "gpu", 1, 500, 0, 50),
    ]  # fmt: skip
    assert usage.usage(rows, (1.0, 2.0)) == GpuUse(
        memory_mb=350, device_memory_mb=700, utilization_percent=50, power_w=80
    )
    nobodys = [r for r in rows if r["role"] == "gpu"]  # as in a container that numbers its processes otherwise
    said = usage.usage(nobodys, (1.0, 2.0))
    assert said == GpuUse(device_memory_mb=800, utilization_percent=70, power_w=380)


def test_what_of_a_gpu_is_unknown_is_no_zero() -> None:
    assert usage.usage([], (0.0, 1.0)) is None
    assert usage.usage([row(0, "gpu", 0, None), row(0, "gateway", 0, None)], None) == GpuUse()
    some = [row(0, "gpu", 0, 9, 50, 60), row(0, "gateway", 0, None), row(0, "worker", 0, 5)]
    assert usage.usage(some, (0.0, 1.0)) == GpuUse(device_memory_mb=9, utilization_percent=50, power_w=60)
    one, two = GpuUse(memory_mb=5.0, power_w=60.0), GpuUse(memory_mb=7.0, power_w=80.0)
    assert usage.typical([one, two]) == GpuUse(memory_mb=7.0, power_w=70.0)
    assert usage.typical([]) is None


def test_a_report_shows_them_where_the_table_is_there() -> None:
    plain = build.assemble(a_sweep([a_run(1, 10.0, key="workers=1")]))
    assert plain.configurations[0].gpu is None and beside.gpu_lines(plain) == []
    run = a_run(1, 10.0, key="workers=1")
    start, end = run.run.window_s.span or (0.0, 0.0)
    middle = (start + end) / 2
    run.gpu.extend([row(middle, "gpu", 0, 2000.0, 56.0, 120.0), row(middle, "worker", 0, 900.0)])
    report = build.assemble(a_sweep([run]))
    assert beside.gpu_lines(report) == ["workers=1: the server held 900 MB at most (all: 2000 MB), 56 % busy, 120 W"]
    run.gpu[1]["memory_mb"] = None
    report = build.assemble(a_sweep([run]))
    assert beside.gpu_lines(report) == ["workers=1: the server held - MB at most (all: 2000 MB), 56 % busy, 120 W"]
