"""`validity`: which runs count. null: not checked."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class ValidityConfig:
    """A run that exceeds any of these is INVALID, because its times are not the server's own: it decides no gate and is
    repeated, unless it was too short. null: not checked."""

    min_s: float | None = setting(5.0, "shortest measured phase, s; chance dominates anything shorter")
    client_cpu: float | None = setting(
        0.95, "share of one CPU that the client may use; beyond that it is the bottleneck"
    )
    client_lag_s: float | None = setting(
        0.5, "longest time that the client may keep a result waiting or stand still, s"
    )
    client_late_s: float | None = setting(
        0.02, "99th percentile of the client's own delay in sending what was due, s (a packet is 0.05 s)"
    )
    major_faults_per_s: float | None = setting(100.0, "major faults per second of the server's processes (paging)")
    swap_in_mb: float | None = setting(16.0, "MB read back from swap by the whole system")
    steal_percent: float | None = setting(10.0, "CPU time that the host of a virtual machine took, %")
    other_cpu: float | None = setting(0.25, "share of all CPUs that other processes may use")
    interference: float | None = setting(
        0.03, "share by which others made the run slower by holding a CPU that it waited for"
    )
    frequency: float | None = setting(
        0.7, "smallest ratio of the CPU's clock in the later half of the run to that in the earlier half"
    )
    monitor_gap_s: float | None = setting(3.0, "longest gap without a sample beyond monitor.interval, s")
    warmup: float | None = setting(
        3.0, "largest ratio of a worker's first segment to its later ones, per second of audio"
    )
