"""`validity`: which runs count. A number that is null is not looked at."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class ValidityConfig:
    """A run beyond any of these is INVALID, as its times are not the server's own: it is repeated and decides no gate.
    null skips one."""

    min_s: float | None = setting(5.0, "s that the measured phase lasts, at least: chance decides what is shorter")
    client_cpu: float | None = setting(0.95, "share of one CPU that the client used: it was the bottleneck")
    client_lag_s: float | None = setting(0.5, "longest time the client kept a result waiting, or was paused")
    client_late_s: float | None = setting(
        0.02, "how late the client itself was with 1 in 100 of what was due (a packet is 0.05 s)"
    )
    major_faults_per_s: float | None = setting(100.0, "of the server's processes: memory is paging")
    swap_in_mb: float | None = setting(16.0, "read back from swap, by the whole system")
    steal_percent: float | None = setting(10.0, "CPU that the host of a virtual machine took")
    other_cpu: float | None = setting(0.25, "share of all CPUs that other processes used")
    interference: float | None = setting(
        0.03, "by how much others made the run slower by having a CPU it waited for, as a share"
    )
    frequency: float | None = setting(
        0.7, "the CPU's clock in the later half of the run / in its earlier half, at least"
    )
    monitor_gap_s: float | None = setting(3.0, "without a sample, beyond monitor.interval")
    warmup: float | None = setting(3.0, "a worker's first segment / its later ones, per second of audio")
