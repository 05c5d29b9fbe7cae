"""Whether every transcript is right: against the control, and where a reference is known, as WER and CER."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from capsexp.analysis.metrics import stands_for
from capsexp.analysis.texts import normalise, words
from capsexp.segments import WIDE

MOST_LISTED = 20
ALL_BUT = 0.9  # of the texts have to differ before it is said of all of them
SPELLING, ENGINE = "spelling", "engine"


def judge(
    transcripts: dict[str, dict[str, Any]],
    requests: list[dict[str, Any]],
    control: dict[str, Any] | None,
    samples: list[dict[str, Any]],
) -> dict[str, Any]:
    """Count the requests that are right. `identical` and `ratio` are null without a control.

    Right: completed, exactly one final result with its own task id and none of another's, a duration that covers the
    whole sample, and both texts equal to the control's. `unlike`: where (nearly) all texts that came differ from it,
    but nothing is missing in them: "spelling" for the same words written otherwise, "engine" for other words.
    """
    answers = {i: r for t in transcripts.values() for r in t["results"] for i in [r["task_id"], *r.get("also", ())]}
    durations = {s["name"]: s["duration_s"] for s in samples}
    accurate = any(answer["text_accu"] for answer in answers.values())  # servers of 2025 have no text_accu
    wrong, wrong_count, pairs = [], 0, []
    for request in requests:
        expected = control["texts"].get(request["sample"]) if control else None
        reason = _fault(request, answers.get(request["task_id"]), durations.get(request["sample"]))
        if reason is None and control is not None:
            answer = answers[request["task_id"]]
            reason = _difference(answer, expected, accurate)
            if expected is not None:
                pairs.append((answer["text"], expected["text"], stands_for(request)))
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
        "ratio": right / count if known and count else None,
        **_error_rates(transcripts, requests, set(answers)),
        "unlike": _unlike(pairs),
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
    mine, theirs = (WIDE.sub(r" \g<0> ", text).split() for text in (got, expected))
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return f"{len(mine)} words for {len(theirs)}, from word {at + 1}: {_some(mine[at:])} for {_some(theirs[at:])}"


def _some(words: list[str]) -> str:
    return repr(" ".join(words[:4])) if words else "nothing"


def _unlike(pairs: list[tuple[str, str, int]]) -> str | None:
    """Of (heard, expected, how often): see `judge`. Text that is lost leaves the rest as it was; another engine's, or
    another language's, begins with another word and has others in place of most that it lacks."""
    count = sum(n for *_, n in pairs)
    differ = [(heard, expected, n) for heard, expected, n in pairs if heard != expected]
    if not count or sum(n for *_, n in differ) < ALL_BUT * count:
        return None
    respelled = sum(n for heard, expected, n in differ if words(heard) == words(expected))
    if respelled >= ALL_BUT * count:
        return SPELLING
    anew = sum(n for heard, expected, n in differ if words(heard).split()[:1] != words(expected).split()[:1])
    changes = [(_changes(words(expected), words(heard)), n) for heard, expected, n in differ]
    changed, lost = (sum(found[at] * n for found, n in changes) for at in (0, 1))
    return ENGINE if anew + respelled >= ALL_BUT * count and changed > lost else None


@lru_cache(maxsize=10_000)
def _changes(expected: str, heard: str) -> tuple[int, int]:
    """Words that are others, and words that are missing."""
    import jiwer

    found = jiwer.process_words(expected, heard)
    return found.substitutions + found.insertions, found.deletions


def _error_rates(
    transcripts: dict[str, dict[str, Any]], requests: list[dict[str, Any]], answered: set[str]
) -> dict[str, Any]:
    """WER and CER over all requests whose sample has a reference (jiwer), and `errors`: of each sample, the errors
    and the words (characters) they were counted on. Of a request that was lost every word is deleted. A reference that
    is empty has no words: what is heard there is inserted; where no sample has any words, it is as if there were one.
    """
    names = {transcript.get("sample", name): name for name, transcript in transcripts.items()}
    heard: dict[str, list[tuple[str, int]]] = {}
    lost = {r["task_id"] for r in requests if r["status"] != "ok" or r["task_id"] not in answered}
    for name, transcript in transcripts.items():
        whole = [r for r in transcript["results"] if r["task_id"] not in lost]
        heard[name] = [(r["text_accu"] or r["text"], stands_for(r)) for r in whole]
    for request in requests:
        if request["task_id"] in lost and request["sample"] in names:
            heard[names[request["sample"]]].append(("", stands_for(request)))
    errors: dict[str, dict[str, list[int]]] = {}
    for name, transcript in transcripts.items():
        if transcript["reference"] is None or not heard[name]:
            continue
        for kind, alike in (("wer", words), ("cer", normalise)):
            reference = alike(transcript["reference"])
            each = [[n * number for number in _errors(reference, alike(text), kind)] for text, n in heard[name]]
            errors.setdefault(name, {})[kind] = [sum(column) for column in zip(*each, strict=True)]
    rates = {
        kind: sum(e[kind][0] for e in errors.values()) / max(1, sum(e[kind][1] for e in errors.values()))
        if errors else None
        for kind in ("wer", "cer")
    }  # fmt: skip
    return {**rates, "errors": errors}


@lru_cache(maxsize=10_000)
def _errors(reference: str, heard: str, kind: str) -> tuple[int, int]:
    import jiwer

    found = (jiwer.process_words if kind == "wer" else jiwer.process_characters)(reference, heard)
    missed = found.substitutions + found.deletions
    return missed + found.insertions, found.hits + missed
