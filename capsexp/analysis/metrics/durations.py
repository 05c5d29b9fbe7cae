"""Metrics of time: waiting of requests, segments and users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from capsexp.analysis.combine import PERCENTILES, pooled
from capsexp.analysis.figures import Figures
from capsexp.analysis.metrics.metric import LOWER, Compared, Gate, Metric, Place, shown

Values = Callable[[Figures], Iterable[float]]
# For the reference page; in Chinese; for who reads the page, in both.
_STATS = {
    "p50": ("the median", "p50", "half of them took no longer", "一半不超过此值"),
    "p90": ("the 90th percentile", "p90", "90 of 100 took no longer", "100 个中有 90 个不超过此值"),
    "p95": ("the 95th percentile", "p95", "95 of 100 took no longer", "100 个中有 95 个不超过此值"),
    "p99": ("the 99th percentile", "p99", "99 of 100 took no longer", "100 个中有 99 个不超过此值"),
    "max": ("the longest", "最长", "the one that took longest", "耗时最长的一个"),
}


def _distribution(
    name: str, zh: str, what: str, plain: tuple[str, str], pick: Values, limited: bool = False, **own: Any
) -> Iterator[Metric]:
    """The median, the percentiles and the longest of durations. `limited`: what users feel; `own`: what is special of
    the one of a statistic."""
    for stat, (words, short_zh, said, said_zh) in _STATS.items():
        known = f"; from {PERCENTILES[stat][1]} of them on" if stat in PERCENTILES else ""
        gate = Gate(unknown=f"needs {PERCENTILES[stat][1]} requests") if limited and stat in PERCENTILES else None
        yield Metric(
            tag=f"{name}_{stat}_s", unit="s", better=LOWER, definition=f"Time {what}: {words}{known}.",
            combined=pooled(pick, stat), header=f"{name.replace('_', ' ')} {stat} s", zh=f"{zh} {short_zh}", gate=gate,
            plain=(f"{plain[0]}: {said}.", f"{plain[1]}：{said_zh}。"), **own.get(stat, {}),
        )  # fmt: skip


DURATIONS = (
    *_distribution(
        "turnaround", "周转时间",
        "from when a request was due, of a load that says when that is, else from its first byte sent, to the final "
        "result",
        ("From when a request was due, or else its first byte was sent, to its text",
         "从请求应开始的时刻（若无则从发送第一个字节）到得到文本"),
        lambda f: f.durations.turnaround_s, limited=True,
        p50={"places": shown(Place.FELT)}, p95={"places": shown(Place.FELT)},
    ),
    *_distribution(
        "turnaround_from_sending", "从发送起的周转时间",
        "from the first byte sent to the final result, where turnaround is from when a request was due: beside that it "
        "shows what the client and the connection took",
        ("From the first byte of a request to its text, however late that was sent", "从实际发送第一个字节到得到文本"),
        lambda f: f.durations.from_sending_s,
    ),
    *_distribution(
        "latency", "延迟", "from the last byte sent to the final result",
        ("From the last byte of a request to its text", "从发送请求的最后一个字节到得到文本"),
        lambda f: f.durations.latency_s, limited=True,
        p50={"places": shown(Place.TABLE, Place.GLANCE), "compared": Compared(timed=False)},
        p95={"places": shown(Place.TABLE, Place.GLANCE)}, max={"places": shown(Place.TABLE)},
    ),
    *_distribution(
        "stop_to_text", "说完到出字",
        "from the moment the last packet was due, when its user stopped speaking, to the final result",
        ("From when a user stopped speaking to the text", "从用户停止说话到得到文本"),
        lambda f: f.felt.stop_to_text_s, limited=True,
        p50={"places": shown(Place.FELT), "compared": Compared(untimed=False)}, p95={"places": shown(Place.FELT)},
    ),
    *_distribution(
        "lag", "滞后", "that a text before the last trailed the audio that it covers",
        ("How far a text that is not the last one trailed the audio", "未完成的文本落后于音频的时间"),
        lambda f: f.felt.lag_s,
    ),
    *_distribution(
        "lateness", "客户端迟到", "that the client itself was late with a request or packet",
        ("How late the client itself was with what it sent", "客户端自身发送迟到的时间"),
        lambda f: f.felt.lateness_s,
    ),
    *_distribution(
        "queue_wait", "排队时间", "that a segment waited for a worker",
        ("How long a segment waited for a worker", "片段等待 worker 的时间"), lambda f: f.durations.queue_wait_s,
    ),
    *_distribution(
        "compute", "识别时间", "that a worker took for a segment",
        ("How long a worker took for a segment", "worker 识别一个片段的时间"), lambda f: f.durations.compute_s,
    ),
)  # fmt: skip
