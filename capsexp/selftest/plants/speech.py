"""What a dictating user feels: clips that are spoken in real time, to workers that take a known time.

Each clip makes two segments: the first is sent as soon as the audio holds it and both overlaps, the second when the
speaker stops. So the wait for the text is the second one's service time, whatever the first one took.
"""

from __future__ import annotations

from capsexp.selftest.plant import Figure, Plant

CLIP_S, SEGMENT_S, OVERLAP_S, RTF = 2.0, 1.0, 0.25, 0.2
CLIPS, REPEATS, WORKERS = 2, 5, 2
REQUESTS = CLIPS * REPEATS
PACKET_S = 0.05
FIRST_AT_S = SEGMENT_S + 2 * OVERLAP_S  # when the audio holds the first segment
FIRST_S = RTF * (SEGMENT_S + OVERLAP_S)
LAST_S = RTF * (CLIP_S - SEGMENT_S - OVERLAP_S)  # what is new in the second
KEY = f"workers={WORKERS}"


def figure(what: str, tag: str, planted: float, why: str, n: int = REQUESTS, unsure: float = 0.03) -> Figure:
    return Figure(what, planted, why, tag, KEY, "s", absolute=unsure, n=n)


PLANTS = (
    Plant(
        "speech",
        "clips spoken in real time, to workers that sleep for a known time",
        "what dictating users feel: stop-to-text, lag, lateness",
        (
            KEY, f"engine.rtf={RTF}", "load.pacing=realtime", f"load.concurrency={CLIPS}",
            f"load.packet_s={PACKET_S}", f"load.seg_duration={SEGMENT_S}", f"load.seg_overlap={OVERLAP_S}",
            f"load.repeats={REPEATS}", "report.leak_min_s=2",
        ),
        CLIPS * (CLIP_S,),
        1,
        (
            figure("stop to text p50", "stop_to_text_p50_s", LAST_S, "the second segment's new audio"),
            figure("latency p50", "latency_p50_s", LAST_S, "the same, as the client was in time"),
            figure("turnaround p50", "turnaround_p50_s", CLIP_S - PACKET_S + LAST_S, "from its first packet on"),
            figure("lag p50", "lag_p50_s", FIRST_AT_S + FIRST_S - SEGMENT_S - OVERLAP_S, "of the first segment's text"),
            figure("compute max", "compute_max_s", FIRST_S, "the first segment", n=2 * REQUESTS, unsure=0.05),
            Figure("leak", 0.0, "nothing leaks", "leak_mb_per_h", KEY, "MB/h", absolute=720.0, n=1),
        ),
    ),
)  # fmt: skip
