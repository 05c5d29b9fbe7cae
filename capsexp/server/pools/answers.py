"""Checks whether a worker's answer is possible. Pure. A faulty worker must harm neither the dispatcher nor a text."""

from __future__ import annotations

import math
from collections.abc import Mapping

from capsexp.segments import Recognition, Segment
from capsexp.server.messages import Done, Failed, Measured, Skipped, Started, WorkerReady

LATE_S = 1.0  # an engine's clock may run a little beyond the end of its segment


def invalid_reply(message: object, ready: bool, flight: Mapping[int, Segment | str], asked: bool = False) -> str | None:
    """What is wrong with a message of a worker that is `ready` (or still loading) and has `flight` to do, in this
    order; None for one that can be believed. `asked`: it was told to measure a segment."""
    if isinstance(message, Started):
        return None if _is_number(message.pid) else "a pid that is none"
    if isinstance(message, WorkerReady):
        believed = not ready and _is_number(message.load_s) and isinstance(message.about, dict)
        believed = believed and (message.cpus is None or all(type(cpu) is int for cpu in message.cpus))
        return None if believed else "ready when it was so already"
    if isinstance(message, Failed) and message.id is None:
        return None if not ready or asked else "a failure to load after it had loaded"
    if isinstance(message, Measured):
        said = (message.grown_mb, message.freed_mb, *([] if message.heard_s is None else [message.heard_s]))
        believed = asked and all(map(_is_number, said))
        return None if believed else "a measurement that was not requested"
    if not isinstance(message, (Done, Failed, Skipped)):
        return f"a {type(message).__name__} for an answer"
    due = next(iter(flight), None)
    if due is None or type(message.id) is not int or message.id != due:
        return f"an answer to {message.id!r} where {'none' if due is None else due} was due"
    if isinstance(message, Done):
        if not (_is_number(message.started) and _is_number(message.finished)):
            return "times that are no numbers"
        return _unheard(message.heard, flight[due])
    return None


def _unheard(heard: object, work: Segment | str) -> str | None:
    if not isinstance(heard, Recognition) or not isinstance(heard.tokens, list) or not isinstance(heard.times, list):
        return "a recognition that is none"
    words = [*heard.tokens, *heard.tags]
    if not (set(map(type, words)) <= {str} or all(isinstance(word, str) for word in words)):
        return "tokens that are no text"
    if isinstance(work, str):
        return None if len(heard.tokens) == 1 else f"{len(heard.tokens)} texts for one"
    if heard.times and len(heard.times) != len(heard.tokens):
        return f"{len(heard.times)} times for {len(heard.tokens)} tokens"
    latest = work.audio_s + LATE_S
    if not (set(map(type, heard.times)) <= {float} or all(map(_is_number, heard.times))):
        return "times that are no numbers"
    if not all(0 <= time <= latest for time in heard.times):
        return "times outside of its segment"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
