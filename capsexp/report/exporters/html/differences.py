"""Transcripts that are wrong, beside what they should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from capsexp.results.read import RunFiles, SweepFiles
from capsexp.results.report import Report, Wrong
from capsexp.segments import WIDE

MOST = 20  # of all configurations together
AROUND = 6  # words beside a difference
LONGEST = 400  # words of one text that are compared


@dataclass(frozen=True)
class Piece:
    """Words that both have (`kind` ""), that only the answer has ("ins") or only the reference ("del")."""

    kind: str
    text: str


@dataclass(frozen=True)
class Difference:
    """`sent_s`: when the request began, on its run's clock; `pieces`: none where there is no text to compare."""

    key: str
    run: int | None
    wrong: Wrong
    sent_s: float | None = None
    pieces: tuple[Piece, ...] = ()


def differences(report: Report, files: SweepFiles | None) -> list[Difference]:
    """The first wrong requests, as the report lists them."""
    wrong = [(c.key, each) for c in report.configurations for each in c.wrong][:MOST]
    return [_found(key, each, files) for key, each in wrong]


def _found(key: str, wrong: Wrong, files: SweepFiles | None) -> Difference:
    for one in files.runs if files else ():
        if files is None or one.run.key != key:
            continue
        request = next((r for r in one.requests if (r["request"], r["sample"]) == (wrong.request, wrong.sample)), None)
        if request is None:
            continue
        texts = _texts(one, files, request["task_id"], wrong.sample)
        if texts is None and request["status"] == "ok":
            continue
        pieces = tuple(compared(*texts)) if texts else ()
        return Difference(key, one.run.num, wrong, request["start_s"], pieces)
    return Difference(key, None, wrong)


def _texts(one: RunFiles, files: SweepFiles, task_id: str, sample: str) -> tuple[str, str] | None:
    """What was expected and what came, where they differ."""
    reference = files.references.get(one.run.reference or "")
    expected = reference.texts.get(sample) if reference else None
    answers = (a for t in one.transcripts.values() for a in t.results if task_id in (a.task_id, *a.also))
    answer = next(answers, None)
    if expected is None or answer is None:
        return None
    pairs = ((expected.text, answer.text), (expected.text_accu, answer.text_accu or ""))
    return next((pair for pair in pairs if pair[0] != pair[1]), None)


def compared(expected: str, got: str) -> Iterator[Piece]:
    """Both texts in one line, word by word; of long stretches only the ends."""
    theirs, mine = (WIDE.sub(r" \g<0> ", text).split()[:LONGEST] for text in (expected, got))
    steps = SequenceMatcher(None, theirs, mine, autojunk=False).get_opcodes()
    for number, (kind, a, b, c, d) in enumerate(steps):
        if kind == "equal":
            yield Piece("", _short(theirs[a:b], number > 0, number < len(steps) - 1))
            continue
        if b > a:
            yield Piece("del", _cut(theirs[a:b]))
        if d > c:
            yield Piece("ins", _cut(mine[c:d]))


def _cut(words: list[str]) -> str:
    """Of many words those at both ends, and how many are between them."""
    left_out = len(words) - 4 * AROUND
    if left_out <= AROUND:
        return " ".join(words)
    return " ".join([*words[: 2 * AROUND], f"… (+{left_out}) …", *words[-2 * AROUND :]])


def _short(words: list[str], after: bool, before: bool) -> str:
    kept = AROUND * (after + before)
    if len(words) <= kept + 1:
        return " ".join(words)
    start, end = words[: AROUND * after], words[len(words) - AROUND * before :]
    return " ".join([*start, "…", *end])
