"""Metrics of transcripts: correctness and error rates."""

from __future__ import annotations

from capsexp.analysis.combine import error_rate, share_of_requests
from capsexp.analysis.metrics.metric import HIGHER, LOWER, Compared, Gate, Metric, Place, shown

_TEXTS = Gate(timed=False, unknown="no reference transcripts")
_ACCURATE = Gate(timed=False, unknown="no reference transcripts, or no text_accu")
_BY_SAMPLE = Compared(by_sample=True)
_SHOWN = shown(Place.TABLE, Place.GLANCE)

TEXTS = (
    Metric(
        "correctness", "", HIGHER,
        "Share of requests that got exactly one final result, nothing lost, doubled or of another, "
        "covering the sample, with texts equal to the reference's. Requests whose sample a server that is asked alone "
        "answers in two ways (reference=server) count only where they are wrong in another way.",
        share_of_requests(lambda j: j.identical, lambda j: j.judged), "correct", "正确率", percent=True, counted=True,
        gate=Gate(timed=False, unknown="no reference to compare with, or none that is the same twice", limit=1.0),
        places=shown(Place.TABLE, Place.TEXT, Place.REPLAY),
        plain=("Requests whose text came once, whole, and is the reference's.",
               "文本只返回一次、完整、且与参考一致的请求。"),
    ),
    Metric(
        "completed", "", HIGHER, "Share of requests that got a final result.",
        share_of_requests(lambda j: j.completed), "completed", "已完成", percent=True, counted=True,
    ),
    Metric(
        "wer", "", LOWER,
        "Word errors of `text` / words of the transcripts, after normalization; lost text is deletions.",
        error_rate("wer"), "WER %", "WER", 1, True, gate=_TEXTS, compared=_BY_SAMPLE, places=_SHOWN,
        plain=("Words that are wrong, missing or too many / words of the transcripts.",
               "错误、缺失或多余的词数 ÷ 参考文本的词数。"),
    ),
    Metric(
        "cer", "", LOWER, "Character errors of `text` / characters of the transcripts, after normalization.",
        error_rate("cer"), "CER %", "CER", 1, True, gate=_TEXTS, compared=_BY_SAMPLE, places=_SHOWN,
        plain=("The same of characters: for languages that write no spaces between words.",
               "同上，以字符计：用于词间没有空格的语言。"),
    ),
    Metric(
        "wer_accu", "", LOWER, "wer of `text_accu`, the text merged by times, where such a server delivers one.",
        error_rate("wer_accu"), "WER % by times", "按时间合并的 WER", 1, True, gate=_ACCURATE,
    ),
    Metric(
        "cer_accu", "", LOWER, "cer of `text_accu`, likewise.",
        error_rate("cer_accu"), "CER % by times", "按时间合并的 CER", 1, True, gate=_ACCURATE,
    ),
)  # fmt: skip
