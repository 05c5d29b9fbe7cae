"""Whether every transcript is right: against the control, and where a reference is known, as WER and CER."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from capsexp.analysis.metrics import stands_for
from capsexp.segments import WIDE

MOST_LISTED = 20
_BESIDE_WIDE = re.compile(rf"(?<={WIDE.pattern}) | (?={WIDE.pattern})")


def normalise(text: str) -> str:
    """Lower case, no punctuation, single spaces, none beside a Chinese character: what CER is counted on."""
    return _BESIDE_WIDE.sub("", " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split()))


def words(text: str) -> str:
    """A normalised text as WER is counted on: Chinese writes no spaces, so that each of its characters is a word."""
    return " ".join(WIDE.sub(r" \g<0> ", text).split())


def judge(
    transcripts: dict[str, dict[str, Any]],
    requests: list[dict[str, Any]],
    control: dict[str, Any] | None,
    samples: list[dict[str, Any]],
) -> dict[str, Any]:
    """Count the requests that are right. `identical` and `ratio` are null without a control.

    Right: completed, exactly one final result with its own task id and none of another's, a duration that covers the
    whole sample, and both texts equal to the control's.
    """
    answers = {i: r for t in transcripts.values() for r in t["results"] for i in [r["task_id"], *r.get("also", ())]}
    durations = {s["name"]: s["duration_s"] for s in samples}
    accurate = any(answer["text_accu"] for answer in answers.values())  # servers of 2025 have no text_accu
    wrong, wrong_count = [], 0
    for request in requests:
        expected = control["texts"].get(request["sample"]) if control else None
        reason = _fault(request, answers.get(request["task_id"]), durations.get(request["sample"]))
        if reason is None and control is not None:
            reason = _difference(answers[request["task_id"]], expected, accurate)
        if reason is not None:
            wrong.append({"request": request["request"], "sample": request["sample"], "reason": reason})
            wrong_count += stands_for(request)
    count = sum(map(stands_for, requests))
    right = count - wrong_count
    known = control is not None
    return {
        "requests": count,
        "completed": sum(stands_for(r) for r in requests if r["status"] == "ok"),
        "identical": right if known else None,
        "ratio": right / count if known and requests else None,
        **_error_rates(transcripts),
        "wrong": wrong[:MOST_LISTED],
        "wrong_count": wrong_count,
    }


def _fault(request: dict[str, Any], answer: dict[str, Any] | None, duration: float | None) -> str | None:
    """What is wrong with a request whatever its text says."""
    if request["status"] != "ok":
        return str(request["error"] or "not completed")
    if answer is None:
        return "no transcript"
    if request["finals"] != 1:
        return f"{request['finals']} final results where one was due"
    if request["foreign"]:
        return f"{request['foreign']} results of another task"
    covered = request["result_duration_s"]
    if duration is not None and (covered is None or abs(covered - duration) >= 0.01):
        return f"covers {covered if covered is not None else 0:.2f} of {duration:.2f} s"
    return None


def _difference(answer: dict[str, Any], expected: dict[str, Any] | None, accurate: bool) -> str | None:
    if expected is None:
        return "the control does not know this sample"
    for field in ("text", "text_accu") if accurate else ("text",):
        if answer[field] != expected[field]:
            return f"{field} differs from the control: {_first_change(answer[field], expected[field])}"
    return None


def _first_change(got: str, expected: str) -> str:
    mine, theirs = words(got).split(), words(expected).split()
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return f"{len(mine)} words for {len(theirs)}, from word {at + 1}: {_some(mine[at:])} for {_some(theirs[at:])}"


def _some(words: list[str]) -> str:
    return repr(" ".join(words[:4])) if words else "nothing"


def _error_rates(transcripts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """WER and CER over all requests whose sample has a reference (jiwer), and `errors`: of each sample, the errors
    and the words (characters) they were counted on."""
    errors: dict[str, dict[str, list[int]]] = {}
    for name, transcript in transcripts.items():
        reference = normalise(transcript["reference"] or "")
        if reference:
            heard = [(normalise(r["text_accu"] or r["text"]), stands_for(r)) for r in transcript["results"]]
            for kind in ("wer", "cer") if heard else ():
                each = [[n * number for number in _errors(reference, h, kind)] for h, n in heard]
                errors.setdefault(name, {})[kind] = [sum(column) for column in zip(*each, strict=True)]
    errors = {name: counts for name, counts in errors.items() if counts}
    rates = {
        kind: sum(e[kind][0] for e in errors.values()) / sum(e[kind][1] for e in errors.values()) if errors else None
        for kind in ("wer", "cer")
    }
    return {**rates, "errors": errors}


@lru_cache(maxsize=10_000)
def _errors(reference: str, heard: str, kind: str) -> tuple[int, int]:
    import jiwer

    if kind == "wer":
        reference, heard = words(reference), words(heard)
    found = (jiwer.process_words if kind == "wer" else jiwer.process_characters)(reference, heard)
    missed = found.substitutions + found.deletions
    return missed + found.insertions, found.hits + missed
