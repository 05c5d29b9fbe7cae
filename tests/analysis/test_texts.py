"""Texts made alike for WER and CER: what is the same word, in the scripts that there are."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capsexp.analysis import correctness
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.texts import tokens
from capsexp.results.run import Answer, Reference, SampleFacts, SampleTexts, Text
from tests.support.runs import REFERENCE, SAMPLES, answer, request


def said(text: str) -> Answer:
    return Answer(task_id=text, text=text, text_accu=text)


def judged(reference: str | None, heard: str) -> Judgement:
    return correctness.judge({"a": SampleTexts(transcript=reference, results=(said(heard),))}, [], None, [])


@pytest.mark.parametrize(
    ("reference", "heard", "wer"),
    [
        ("हिन्दी भाषा", "हिन्दी भाषा", 0.0),
        ("हिन्दी भाषा", "हिन्दु भाषा", 0.5),  # a vowel sign is part of the word
        ("ที่นี่", "ทีนี่", 1.0),
        ("مدرسة كبيرة", "مدرسةٌ كبيرة", 0.5),
        ("it’s John‘s", "it's john's", 0.0),
        ("‘so’ it is", "so it is", 0.0),
        ("café", "cafe\u0301", 0.0),
        ("room １２３", "room 123", 0.0),
        ("ﬁne STRASSE", "fine straße", 0.0),
        ("안녕 세계", unicodedata.normalize("NFD", "안녕 세계"), 0.0),
        ("我们去公园。", "我们 去公司", 0.2),
        ("ガギ", "カ\u3099キ\u3099", 0.0),
        ("ｶﾞｷﾞ", "ガギ", 0.0),
        ("می\u200cخواهم", "میخواهم", 0.0),
        ("three 3", "three, 3!", 0.0),
        ("", "", 0.0),
        ("", "so it is", 3.0),  # nothing was said
        ("...", "so", 1.0),
    ],
)
def test_what_is_the_same_word(reference: str, heard: str, wer: float) -> None:
    assert judged(reference, heard).rate("wer") == pytest.approx(wer)


def test_silence_counts_with_the_other_samples() -> None:
    texts = {
        "a": SampleTexts(transcript="", results=(said("er"),)),
        "b": SampleTexts(transcript="so it is", results=(said("so it is"),)),
    }
    assert correctness.judge(texts, [], None, []).rate("wer") == pytest.approx(1 / 3)
    assert judged(None, "so").rate("wer") is None


SCRIPTS = "".join(
    chr(code)
    for low, high in (
        (0x20, 0x7F), (0xA0, 0x180), (0x300, 0x340), (0x5D0, 0x5EB), (0x620, 0x660), (0x900, 0x970), (0xE01, 0xE3B),
        (0xE40, 0xE5C), (0x1100, 0x1113), (0x1161, 0x1176), (0x11A8, 0x11C3), (0x2010, 0x2030), (0x3041, 0x3100),
        (0x4E00, 0x4E20), (0xAC00, 0xAC40), (0xFB00, 0xFB07), (0xFF01, 0xFFA0), (0x1F600, 0x1F610),
    )
    for code in range(low, high)
)  # fmt: skip
texts = st.one_of(st.text(SCRIPTS, max_size=40), st.text(max_size=20))
WORDS = ("हिन्दी", "भाषा", "ที่นี่", "안녕", "세계", "مدرسة", "don't", "café", "ö", "straße", "我", "ガ", "123", "İi")


@given(texts)
def test_texts_that_unicode_calls_equal_are_equal(text: str) -> None:
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, text)
        assert correctness.words(other) == correctness.words(text)
        assert correctness.normalise(other) == correctness.normalise(text)


@given(texts)
@example("\u0149")
def test_making_alike_once_is_enough(text: str) -> None:
    assert correctness.words(correctness.words(text)) == correctness.words(text)
    assert correctness.normalise(correctness.normalise(text)) == correctness.normalise(text)
    assert correctness.words(correctness.normalise(text)) == correctness.words(text)


@given(texts)
def test_no_letter_digit_or_mark_of_a_word_is_lost(text: str) -> None:
    kept = "".join(c for c in correctness.words(text) if c not in " '")
    letters = [c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c)[0] in "LN" and c != "\u0640"]
    assert len(kept) >= len(unicodedata.normalize("NFKC", "".join(letters)).casefold()) * 0.5
    assert all(unicodedata.category(c)[0] in "LMN" for c in kept)
    assert bool(kept) == bool(letters)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.data())
def test_one_wrong_word_is_one_error(words: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words) - 1))
    other = data.draw(st.sampled_from([w for w in WORDS if w != words[at]]))
    heard = [*words[:at], other, *words[at + 1 :]]
    marked = data.draw(st.sampled_from([" ", ", ", " - ", "! "])).join(heard)
    form = data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    found = judged(" ".join(words), unicodedata.normalize(form, marked))
    assert found.errors["a"]["wer"] == (1, len(words))


def lost_and_found(*statuses: str) -> Judgement:
    requests = [request(n, 0.0, 1.0, sample="s0", status=s) for n, s in enumerate(statuses)]
    results = tuple(answer(n) for n, s in enumerate(statuses) if s == "ok")
    texts = {"s0": SampleTexts(sample="s0", transcript="so it is", results=results)}
    return correctness.judge(texts, requests, REFERENCE, SAMPLES)


def test_a_lost_request_is_lost_text() -> None:
    assert lost_and_found("ok", "failed").rate("wer") == 0.5
    assert lost_and_found("ok", "failed").rate("cer") == 0.5
    assert lost_and_found("failed", "failed").rate("wer") == 1.0
    assert lost_and_found("ok", "ok").rate("wer") == 0.0


def test_a_row_of_many_lost_requests_counts_for_all_of_them() -> None:
    requests = [request(0, 0.0, 1.0, sample="s0"), request(1, 0.0, None, sample="s0", count=499, error="gone")]
    texts = {"s0": SampleTexts(sample="s0", transcript="so it is", results=(answer(0),))}
    found = correctness.judge(texts, requests, REFERENCE, SAMPLES)
    assert (found.requests, found.completed, found.wrong_count) == (500, 1, 499)
    assert (found.identical, found.rate("wer")) == (1, 499 / 500)


def unlike(*pairs: tuple[str, str]) -> str | None:
    expected = {f"s{n}": Text(text=text, text_accu=text) for n, (_, text) in enumerate(pairs)}
    reference = Reference(engine="null", threads=1, texts=expected, runs=())
    texts = {f"s{n}": SampleTexts(sample=f"s{n}", results=(answer(n, heard),)) for n, (heard, _) in enumerate(pairs)}
    requests = [request(n, 0.0, 1.0) for n in range(len(pairs))]
    samples = [SampleFacts(name=f"s{n}", duration_s=10.0) for n in range(len(pairs))]
    return correctness.judge(texts, requests, reference, samples).unlike


LONG = "so it is that we went to the park and came back before the rain"


def test_other_words_everywhere_are_another_engine_and_missing_ones_are_not() -> None:
    other = "a cup of tea when i cook a curry and nothing else for the rain"
    assert unlike((other, LONG), (other.upper(), LONG)) == "engine"
    assert unlike((LONG.capitalize() + ".", LONG), (LONG.upper(), LONG)) == "spelling"
    assert unlike((LONG, LONG), (LONG, LONG)) is None
    assert unlike((other, LONG), (LONG, LONG)) is None
    lost_beginning = LONG.partition("park ")[2]
    assert unlike((lost_beginning, LONG), (lost_beginning, LONG)) is None
    assert unlike((LONG[:20], LONG), ("", LONG)) is None
    assert unlike() is None


def test_a_mark_that_stands_on_no_letter_is_no_word() -> None:
    assert tokens("\u0301 so, \u0301it") == ["so", "it"]
