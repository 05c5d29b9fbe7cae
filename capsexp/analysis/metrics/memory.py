"""Metrics of memory and leaks."""

from __future__ import annotations

from capsexp.analysis.combine import (
    DIFFERENCES,
    RATIOS,
    SLOPE,
    Combined,
    highest_of,
    leak,
    marginal_memory,
    memory_growth,
)
from capsexp.analysis.metrics.metric import LOWER, NEITHER, Compared, Gate, Metric, Place, shown

MEMORY = (
    Metric(
        "peak_memory_mb", "MB", LOWER,
        "Memory of the server's processes at its highest, loading included.",
        highest_of(lambda f: f.memory.peak_mb), "peak MB", "峰值内存", 0,
        gate=Gate(highest=True, limit=6144.0), compared=Compared(),
        places=shown(Place.TABLE, Place.TEXT, Place.REPLAY),
        plain=("Memory of the server's processes together at its highest; shared pages count once (PSS).",
               "服务器所有进程内存之和的最高值；共享的页只算一次（PSS）。"),
    ),
    Metric(
        "load_peak_memory_mb", "MB", LOWER, "The same before the measured phase, while models load.",
        highest_of(lambda f: f.memory.load_peak_mb), "load peak MB", "加载时的峰值内存", 0,
    ),
    Metric(
        "steady_memory_mb", "MB", LOWER, "The same during the measured phase.",
        highest_of(lambda f: f.memory.steady_peak_mb), "steady MB", "负载下的内存", 0, compared=Compared(checked=False),
    ),
    Metric(
        "rss_peak_memory_mb", "MB", NEITHER,
        "Resident set sizes summed at their highest; counts shared pages once for each process.",
        highest_of(lambda f: f.memory.rss_peak_mb), "RSS MB", "RSS 峰值", 0,
    ),
    Metric(
        "memory_growth", "x", LOWER,
        "Steady memory / the baseline's.",
        Combined(RATIOS, memory_growth), "memory growth", "内存增长",
        gate=Gate(relative=True, limit=2.5), places=shown(Place.TABLE),
        plain=("Memory under load / the baseline's.", "负载下的内存 ÷ 基线的内存。"),
    ),
    Metric(
        "marginal_memory_mb", "MB", LOWER,
        "Steady memory that each worker adds to the baseline's.",
        Combined(DIFFERENCES, marginal_memory), "MB per worker", "每个 worker 增加的内存", 0,
        gate=Gate(relative=True, logs=False),
    ),
    Metric(
        "leak_mb_per_h", "MB/h", LOWER,
        "Slope of the server's memory in the steady state.",
        Combined(SLOPE, leak), "leak MB/h", "内存泄漏",
        gate=Gate(logs=False, unknown="no run was long enough (report.leak_min_s)"),
    ),
)  # fmt: skip
