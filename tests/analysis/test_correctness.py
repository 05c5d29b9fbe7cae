"""What a right answer is, and every way to be wrong."""

from typing import Any

import pytest

from capsexp.analysis import correctness
from capsexp.analysis.correctness import Judgement
from capsexp.results.run import Answer, SampleTexts
from tests.support.runs import REFERENCE, SAMPLES, answer, request


def judged(change: dict[str, Any], said: dict[str, Any] | None = None, reference: Any = REFERENCE) -> Judgement:
    given = request(0, 0.0, 1.0, **change)
    results = (answer(0, **(said or {})),) if said is None or said else ()
    texts = {"s0": SampleTexts(sample="s0", transcript="So, it IS!", results=results)}
    return correctness.judge(texts, [given], reference, SAMPLES)


def test_a_right_request() -> None:
    found = judged({})
    assert (found.requests, found.completed, found.identical, found.ratio) == (1, 1, 1, 1.0)
    assert (found.rate("wer"), found.rate("cer"), found.wrong) == (0.0, 0.0, ())


@pytest.mark.parametrize(
    ("change", "said", "reason"),
    [
        ({"status": "failed", "error": "gone"}, None, "gone"),
        ({"status": "failed"}, None, "not completed"),
        ({}, {}, "its text was not kept"),
        ({"finals": 2}, None, "2 final results"),
        ({"foreign": 1}, None, "of another task"),
        ({"result_duration_s": 5.0}, None, "covers 5.00 of 10.00"),
        ({"result_duration_s": None}, None, "covers 0.00"),
        ({}, {"text": "so"}, "text is cut short: 1 of the 3 words of the reference, then 'it is' is lost"),
        ({}, {"text": "it is"}, "text lacks its beginning: 2 of the 3 words of the reference, 'so' is lost"),
        ({}, {"text": "so it is so"}, "differs from the reference: 4 words for 3, from word 4: 'so' for nothing"),
        (
            {},
            {"text_accu": "so it was"},
            "text_accu differs from the reference: 3 words for 3, from word 3: 'was' for 'is'",
        ),
        ({"sample": "unknown"}, None, "does not know"),
    ],
)
def test_every_way_to_be_wrong(change: dict[str, Any], said: dict[str, Any] | None, reason: str) -> None:
    found = judged(change, said)
    assert found.ratio == 0.0
    assert reason in found.wrong[0].reason


def test_a_text_that_a_run_cut_short_did_not_come_to_keep_is_not_wrong() -> None:
    """Its requests are written before their texts; what is known of the others stays known."""
    rows = [request(0, 0.0, 1.0), request(1, 0.0, 1.0), request(2, 0.0, None, error="gone")]
    texts = {
        "s0": SampleTexts(sample="s0", transcript="so it is", results=(answer(0),)),
        "s1": SampleTexts(sample="s1", transcript="so it is", results=()),
    }
    cut = correctness.judge(texts, rows, REFERENCE, SAMPLES, whole=False)
    assert (cut.requests, cut.completed, cut.identical, cut.rate("wer")) == (2, 1, 1, 0.0)
    assert [(one.request, one.reason) for one in cut.wrong] == [(2, "gone")]
    whole = correctness.judge(texts, rows, REFERENCE, SAMPLES)
    assert [(one.request, one.reason) for one in whole.wrong] == [(1, "its text was not kept"), (2, "gone")]
    assert whole.rate("wer") == 0.5


def test_that_no_duration_is_told_is_no_fault() -> None:
    """Of a target that says so; all else is asked of it."""
    for told, text, ratio in ((True, "so it is", 0.0), (False, "so it is", 1.0), (False, "so", 0.0)):
        texts = {"s0": SampleTexts(sample="s0", results=(answer(0, text=text),))}
        given = [request(0, 0.0, 1.0, result_duration_s=0.0)]
        assert correctness.judge(texts, given, REFERENCE, SAMPLES, told).ratio == ratio


def test_a_server_without_text_accu_is_judged_by_its_text() -> None:
    assert judged({}, {"text_accu": ""}).ratio == 1.0


def test_without_a_reference_or_a_transcript() -> None:
    found = judged({}, reference=None)
    assert (found.identical, found.ratio, found.completed) == (None, None, 1)
    unknown = {"s0": SampleTexts(sample="s0", transcript=None, results=(answer(0),))}
    nothing = correctness.judge(unknown, [], REFERENCE, SAMPLES)
    assert (nothing.rate("wer"), nothing.ratio) == (None, None)


@pytest.mark.parametrize(
    ("said", "heard", "wer", "cer"),
    [
        ("我们去公园。", "我们 去公司", 0.2, 0.2),  # each character is a word; spaces and marks are neither
        ("我们，今天", "我们今天", 0.0, 0.0),
        ("打开 hello world", "打开hello word", 0.25, 1 / 13),
        ("the cat", "the dog", 0.5, 3 / 7),
    ],
)
def test_chinese_is_counted_by_characters(said: str, heard: str, wer: float, cer: float) -> None:
    texts = {"a": SampleTexts(transcript=said, results=(Answer(task_id="1", text=heard, text_accu=heard),))}
    judged = correctness.judge(texts, [], None, [])
    assert (judged.rate("wer"), judged.rate("cer")) == (pytest.approx(wer), pytest.approx(cer))
