"""`validity`: which runs count. A number that is null is not looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ValidityConfig:
    """Above (frequency: below) any of these a run's times are not the server's own, and the run is INVALID."""

    min_s: float | None = 5.0  # that the measured phase lasts
    client_cpu: float | None = 0.95  # share of one CPU that the client used
    client_lag_s: float | None = 0.5  # longest time the client kept a result waiting
    client_late_s: float | None = 0.02  # 99th percentile of how late it was itself with what was due
    major_faults_per_s: float | None = 100.0  # of the server's processes
    swap_in_mb: float | None = 16.0  # read back by the whole system
    steal_percent: float | None = 10.0  # taken by the host of a virtual machine
    other_cpu: float | None = 0.25  # share of all CPUs that processes of others used
    interference: float | None = None  # by how much, as a share, others made it slower by having a CPU it waited for
    frequency: float | None = 0.7  # of the later half of the run / of its earlier half
    monitor_gap_s: float | None = 3.0  # without a sample, beyond the interval
    warmup: float | None = 3.0  # a worker's first segment / its later ones, per second of audio
