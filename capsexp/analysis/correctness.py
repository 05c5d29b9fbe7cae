"""Judges transcripts: equality with the reference, and WER and CER where a human transcript is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from capsexp.analysis.figures import stands_for
from capsexp.analysis.texts import comparable, normalise, words
from capsexp.results.report import Wrong
from capsexp.results.rows import RequestRow
from capsexp.results.run import Answer, Reference, SampleFacts, SampleTexts
from capsexp.segments import WIDE

MOST_LISTED = 20
ALL_BUT = 0.9  # of the texts have to differ before it is said of all of them
SPELLING, ENGINE = "spelling", "engine"


@dataclass(frozen=True)
class Judgement:
    """Of one run. `identical`: requests that are right, None without a reference; `unsure`: requests that may be right,
    as the server alone answered their sample in two ways; `errors`: of each sample with a known transcript, by `wer`
    and `cer` of `text`, and `wer_accu` and `cer_accu` of `text_accu` where that is delivered, the errors and the words
    (characters) that they were counted on."""

    requests: int = 0
    completed: int = 0
    identical: int | None = None
    unsure: int = 0
    unlike: str | None = None
    wrong: tuple[Wrong, ...] = ()  # the first of them
    wrong_count: int = 0
    errors: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.identical / self.judged if self.identical is not None and self.judged else None

    @property
    def judged(self) -> int:
        """Requests of which it is known whether they are right."""
        return self.requests - self.unsure

    def rate(self, kind: str) -> float | None:
        """WER or CER; where no sample has any words, as if there were one."""
        each = [e[kind] for e in self.errors.values() if kind in e]
        return sum(n for n, _ in each) / max(1, sum(n for _, n in each)) if each else None


def judge(
    transcripts: Mapping[str, SampleTexts],
    requests: list[RequestRow],
    reference: Reference | None,
    samples: Iterable[SampleFacts],
    tells_duration: bool = True,
    ignored: Collection[str] = (),
    language: str | None = None,
    whole: bool = True,
) -> Judgement:
    """Count the requests that are right.

    Right: completed, exactly one final result with its own task id and none of another's, a duration that covers the
    whole sample (where the target tells one), and both texts equal to the reference's. Of what the server alone answers
    in two ways the texts are not compared. `ignored`: in what texts may differ from an engine's (see `texts`), in the
    set's `language`; numbers that are spelled otherwise are no errors either.
    `whole`: the run came to its end; one that was cut short has written its requests before their texts, and those
    whose text is not there are not known, rather than wrong.
    `unlike`: where (nearly) all texts that came differ from it,
    but nothing is missing in them: "spelling" for the same words written otherwise, "engine" for other words.
    """
    answers = {i: a for t in transcripts.values() for a in t.results for i in [a.task_id, *a.also]}
    if not whole:
        requests = [r for r in requests if r["status"] != "ok" or r["task_id"] in answers]
    durations = {s.name: s.duration_s for s in samples} if tells_duration else {}
    accurate = any(answer.text_accu for answer in answers.values())  # servers of 2025 have no text_accu
    if reference is not None and reference.kind == "server":
        alike: Callable[[str], str] = _itself  # what it said before it has to say again, to the letter
    else:
        alike = partial(comparable, ignored=frozenset(ignored), language=language)
    wrong, wrong_count, unsure, pairs = [], 0, 0, []
    for request in requests:
        sample = request["sample"]
        reason = _fault(request, answers.get(request["task_id"]), durations.get(sample))
        if reason is None and reference is not None and sample in reference.again:
            unsure += stands_for(request)
        elif reason is None and reference is not None:
            answer = answers[request["task_id"]]
            reason = _difference(answer, sample, reference, accurate, alike)
            if (expected := reference.texts.get(sample)) is not None:
                pairs.append((alike(answer.text), alike(expected.text), stands_for(request)))
        if reason is not None:
            wrong.append(Wrong(request=request["request"], sample=request["sample"], reason=reason))
            wrong_count += stands_for(request)
    count = sum(map(stands_for, requests))
    return Judgement(
        requests=count,
        completed=sum(stands_for(r) for r in requests if r["status"] == "ok"),
        identical=count - wrong_count - unsure if reference is not None else None,
        unsure=unsure,
        unlike=_unlike(pairs) if reference is not None and reference.kind == "engine" else None,
        wrong=tuple(wrong[:MOST_LISTED]),
        wrong_count=wrong_count,
        errors=_errors_by_sample(transcripts, requests, set(answers), frozenset(ignored) & {"numbers"}, language),
    )


def _fault(request: RequestRow, answer: Answer | None, duration: float | None) -> str | None:
    """What is wrong with a request whatever its text says."""
    if request["status"] != "ok":
        return str(request["error"] or "not completed")
    if answer is None:
        return "its text was not kept"
    if request["finals"] != 1:
        return f"{request['finals']} final results where one was due"
    if request["foreign"]:
        return f"{request['foreign']} results of another task"
    covered = request["result_duration_s"]
    if duration is not None and (covered is None or abs(covered - duration) >= 0.01):
        return f"covers {covered if covered is not None else 0:.2f} of {duration:.2f} s"
    return None


def _itself(text: str) -> str:
    return text


def _difference(
    answer: Answer, sample: str, reference: Reference, accurate: bool, alike: Callable[[str], str]
) -> str | None:
    expected = reference.texts.get(sample)
    if expected is None:
        return "the reference does not know this sample"
    for name in ("text", "text_accu") if accurate else ("text",):
        mine, theirs = alike(getattr(answer, name) or ""), alike(getattr(expected, name))
        if mine != theirs:
            others = (other for other, text in reference.texts.items() if mine and alike(getattr(text, name)) == mine)
            if (whose := next(others, None)) is not None:
                return f"{name} is that of another sample, {whose}: the answer to another request"
            return f"{name} {_change(mine, theirs, reference.whose)}"
    return None


def _change(got: str, expected: str, whose: str) -> str:
    """The first one; that a text only ends too early, or begins too late, is said as that."""
    mine, theirs = (WIDE.sub(r" \g<0> ", text).split() for text in (got, expected))
    lost, there = len(theirs) - len(mine), f"{len(mine)} of the {len(theirs)} words"
    if lost > 0 and mine == theirs[: len(mine)]:
        return f"is cut short: {there} of {whose}, then {_some(theirs[len(mine) :])} is lost"
    if lost > 0 and mine == theirs[lost:]:
        return f"lacks its beginning: {there} of {whose}, {_some(theirs[:lost])} is lost"
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return (
        f"differs from {whose}: {len(mine)} words for {len(theirs)}, from word {at + 1}: {_some(mine[at:])} for "
        f"{_some(theirs[at:])}"
    )


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


_KINDS = (("wer", words), ("cer", normalise))
_DELIVERED = (("text", ""), ("text_accu", "_accu"))  # each text that servers deliver, and what ends its metrics' names


def _errors_by_sample(
    transcripts: Mapping[str, SampleTexts],
    requests: list[RequestRow],
    answered: set[str],
    ignored: frozenset[str],
    language: str | None,
) -> dict[str, dict[str, tuple[int, int]]]:
    """See `Judgement`; by jiwer. Of a request that was lost every word is deleted. A transcript that is empty has no
    words: what is heard there is inserted."""
    lost = {r["task_id"] for r in requests if r["status"] != "ok" or r["task_id"] not in answered}
    missing: Counter[str] = Counter()
    for request in requests:
        if request["task_id"] in lost:
            missing[request["sample"]] += stands_for(request)
    errors: dict[str, dict[str, tuple[int, int]]] = {}
    for text, ends in _DELIVERED:
        if ends and not any(getattr(a, text) for t in transcripts.values() for a in t.results):
            continue  # servers of 2025 and foreign ones have no text_accu
        for name, transcript in transcripts.items():
            heard = [(getattr(a, text) or "", a.count or 1) for a in transcript.results if a.task_id not in lost]
            if count := missing[transcript.sample or name]:
                heard.append(("", count))
            if transcript.transcript is None or not heard:
                continue
            said = comparable(transcript.transcript, ignored, language)
            for kind, alike in _KINDS:
                each = [(_errors(alike(said), alike(comparable(t, ignored, language)), kind), n) for t, n in heard]
                counts = sum(e[0] * n for e, n in each), sum(e[1] * n for e, n in each)
                errors.setdefault(name, {})[f"{kind}{ends}"] = counts
    return errors


@lru_cache(maxsize=10_000)
def _errors(reference: str, heard: str, kind: str) -> tuple[int, int]:
    import jiwer

    found = (jiwer.process_words if kind == "wer" else jiwer.process_characters)(reference, heard)
    missed = found.substitutions + found.deletions
    return missed + found.insertions, found.hits + missed
