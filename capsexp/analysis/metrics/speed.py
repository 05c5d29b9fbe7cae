"""Metrics of speed, load and CPU time."""

from __future__ import annotations

from capsexp.analysis.combine import (
    RATIOS,
    TO_REFERENCE,
    Combined,
    Pick,
    core_hours,
    efficiency,
    makespan,
    mean_of,
    server_efficiency,
    speedup,
    throughput,
)
from capsexp.analysis.metrics.metric import HIGHER, LOWER, NEITHER, Compared, Gate, Metric, Place, shown

SPEED = (
    Metric(
        "makespan_s", "s", LOWER,
        "From the first byte sent to the last final result, over all requests; unknown unless all requests of all "
        "trials completed.",
        makespan, "makespan s", "总用时", places=shown(Place.TABLE, Place.REPLAY),
        plain=("From the first byte sent to the last text, over all requests.",
               "从发送第一个字节到得到最后一段文本，涵盖全部请求。"),
    ),
    Metric(
        "throughput_rtfx", "RTFx", HIGHER,
        "Seconds of audio recognized per second of makespan.",
        throughput, "RTFx", "吞吐量", gate=Gate(), compared=Compared(timed=False),
        places=shown(Place.TABLE, Place.TEXT, Place.GLANCE),
        plain=("Seconds of audio recognized per second.", "每秒识别的音频秒数。"),
    ),
    Metric(
        "speedup", "x", HIGHER,
        "Makespan of the baseline / makespan.",
        Combined(RATIOS, speedup), "speedup", "加速比", gate=Gate(relative=True, limit=1.5),
        places=shown(Place.TABLE, Place.INTERVAL, Place.TEXT, Place.REPLAY),
        plain=("The baseline's makespan / this one's, of the same requests; the baseline has the fewest workers.",
               "相同请求下，基线总用时 ÷ 本配置总用时。基线是 worker 最少的配置。"),
    ),
    Metric(
        "efficiency", "", HIGHER, "Speedup / (usable threads / the baseline's usable threads).",
        Combined(RATIOS, efficiency), "efficiency", "效率", gate=Gate(relative=True), places=shown(Place.TABLE),
        plain=("Speedup / how many times as many threads.", "加速比 ÷ 线程数的倍数。"),
    ),
    Metric(
        "server_efficiency", "", HIGHER,
        "RTFx / the RTFx that the reference reached with as many processes and no server.",
        Combined(TO_REFERENCE, server_efficiency), "server eff.", "服务器效率", places=shown(Place.TABLE),
        plain=("RTFx / what the same engine reaches without a server.", "RTFx ÷ 同一引擎不经服务器达到的 RTFx。"),
    ),
)  # fmt: skip

OFFERED = (
    Metric(
        "offered_rtfx", "RTFx", NEITHER,
        "Seconds of audio that were due per second, of a load that says itself when it comes.",
        mean_of(lambda f: f.felt.offered_rtfx), "offered RTFx", "到来的音频",
    ),
    Metric(
        "late_rtfx", "RTFx", LOWER,
        "Seconds of audio per second whose text came later than they last after their end was due, or not at all.",
        mean_of(lambda f: f.felt.late_rtfx), "late RTFx", "迟到的音频",
    ),
    Metric(
        "in_flight", "", NEITHER,
        "Requests under way, the mean over the time of the load. By Little's law it is arrivals per "
        "second times turnaround: a run whose client counted otherwise is INVALID.",
        mean_of(lambda f: f.felt.in_flight), "in flight", "进行中的请求",
    ),
)  # fmt: skip


def _cpu_seconds(role: str, zh: str, who: str, pick: Pick) -> Metric:
    return Metric(f"cpu_{role}_s", "s", LOWER, f"CPU seconds of {who}.", mean_of(pick), f"{role} CPU s", f"{zh} CPU")


CPU = (
    _cpu_seconds("gateway", "网关", "the process that clients speak to", lambda f: f.cpu.gateway_s),
    _cpu_seconds("workers", "worker", "the recognizing processes", lambda f: f.cpu.workers_s),
    _cpu_seconds("client", "客户端", "the client that makes the load", lambda f: f.cpu.client_s),
    _cpu_seconds("monitor", "监视器", "the monitor", lambda f: f.cpu.monitor_s),
    Metric(
        "cpu_utilisation", "", NEITHER,
        "CPU seconds of the server / (makespan x usable CPUs).",
        mean_of(lambda f: f.cpu.utilisation), "CPU %", "CPU", 0, True, places=shown(Place.TABLE),
        plain=("The server's share of all CPUs that it may use.", "服务器占用其可用 CPU 的比例。"),
    ),
    Metric(
        "core_hours_per_audio_hour", "", LOWER,
        "CPU seconds of the server / seconds of audio recognized.",
        mean_of(core_hours), "core h / audio h", "每小时音频的核时", 4, gate=Gate(),
    ),
)  # fmt: skip
