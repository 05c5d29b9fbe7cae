"""Texts that may differ from an engine's in what a target says, and in nothing else; WER and CER of each text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import correctness
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.texts import comparable
from capsexp.compose import compose
from capsexp.errors import ConfigError
from capsexp.report import build
from capsexp.report.exporters import markdown
from capsexp.results.run import Alone, Reference, SampleTexts, Text
from capsexp.targets.base import IGNORABLE
from tests.support.reports import a_run, a_sweep
from tests.support.runs import SAMPLES, answer, request


def alike(one: str, other: str, *ignored: str, language: str | None = None) -> bool:
    return comparable(one, frozenset(ignored), language) == comparable(other, frozenset(ignored), language)


@pytest.mark.parametrize(
    ("one", "other", "ignored", "language"),
    [
        ("So It Is", "so it is", "case", None),
        ("So, it is.", "So it is", "punctuation", None),
        ("打 开 hello world 门", "打开hello world门", "spaces", None),
        ("twenty-one cats", "21 cats", "numbers", None),
        ("two and 3.5", "two and three point five", "numbers", "en-US"),
        ("1500 Hunde", "eintausendfünfhundert Hunde", "numbers", "de"),
        ("打开一百零五号", "打开105号", "numbers", None),
        ("两百块", "200块", "numbers", "zh"),
    ],
)
def test_what_is_ignored_makes_no_difference_and_all_else_does(
    one: str, other: str, ignored: str, language: str | None
) -> None:
    assert alike(one, other, ignored, language=language)
    assert not alike(one, other, *(IGNORABLE.keys() - {ignored}), language=language)
    assert not alike(one, f"{other} more", ignored, language=language)


def test_a_number_that_nobody_can_spell_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert comparable("21 x", frozenset({"numbers"}), "xx") == "21 x"
    monkeypatch.setattr("cn2an.transform", lambda text, way: int("no number"))
    assert comparable("二十一", frozenset({"numbers"}), "zh") == "二十一"


@given(st.text(max_size=30), st.sets(st.sampled_from(sorted(IGNORABLE.keys() - {"numbers"}))))
def test_made_alike_twice_is_made_alike_once(text: str, ignored: set[str]) -> None:
    once = comparable(text, frozenset(ignored))
    assert comparable(once, frozenset(ignored)) == once or "case" in ignored  # some letters fold in two steps


REFERENCE = Reference(engine="null", threads=1, texts={"s0": Text(text="so it is 21", text_accu="")})
ALONE = Alone(askings=2, makespan_s=1.0, audio_s=10.0)


def judged(reference: Reference | None, text: str, said: str | None = None, **more: Any) -> Judgement:
    texts = {"s0": SampleTexts(sample="s0", transcript=said, results=(answer(0, text=text, text_accu=""),))}
    return correctness.judge(texts, [request(0, 0.0, 1.0)], reference, SAMPLES, **more)


def test_a_target_s_text_is_compared_without_what_it_ignores() -> None:
    heard = "So, it is twenty-one."
    assert judged(REFERENCE, heard).identical == 0
    assert judged(REFERENCE, heard, ignored=("case", "punctuation", "numbers")).identical == 1
    assert judged(REFERENCE, "So, it is.", ignored=("case", "punctuation", "numbers")).identical == 0
    itself = Reference(kind="server", target="openai", threads=1, texts=REFERENCE.texts, alone=ALONE)
    assert judged(itself, heard, ignored=tuple(IGNORABLE)).identical == 0  # what it said before, it has to say again


def test_numbers_that_are_spelled_otherwise_are_no_errors_where_they_are_ignored() -> None:
    assert judged(None, "it is 21", "it is twenty one").rate("wer") == pytest.approx(3 / 4 - 1 / 4)
    assert judged(None, "it is 21", "it is twenty one", ignored=("numbers",)).rate("wer") == 0.0


def test_each_text_that_is_delivered_has_errors_of_its_own() -> None:
    texts = {"s0": SampleTexts(sample="s0", transcript="so it is", results=(answer(0, "so it", text_accu="so it is"),))}
    found = correctness.judge(texts, [request(0, 0.0, 1.0)], None, SAMPLES)
    assert (found.rate("wer"), found.rate("wer_accu")) == (pytest.approx(1 / 3), 0.0)
    assert found.rate("cer") == pytest.approx(3 / 8) and found.rate("cer_accu") == 0.0
    alone = judged(None, "so it", "so it is")
    assert alone.rate("wer") == pytest.approx(1 / 3) and alone.rate("wer_accu") is None


def test_the_report_says_what_makes_no_difference() -> None:
    target = {"name": "funasr", "ignore": ["spaces", "case", "nonsense"]}
    files = a_sweep([a_run(1, 5.0, config={**a_run(1, 5.0).run.config, "target": target})])
    said = markdown.render(build.assemble(files))
    assert (
        "target=funasr: texts may differ in capital and small letters, spaces beside Han characters and kana "
        "(target.ignore)" in said.replace("\\", "")
    )
    assert "target.ignore" not in markdown.render(build.assemble(a_sweep([a_run(1, 5.0)])))


def test_what_can_be_ignored_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["server=external", "server.url=ws://127.0.0.1:1", "target=funasr"]
    assert compose([*line, "target.ignore=[numbers,case]"]).target.ignore == ["numbers", "case"]
    assert compose(line).target.ignore == ["case", "spaces"]
    with pytest.raises(ConfigError, match=r"^target\.ignore: unknown value 'cases'; did you mean 'case'\?$"):
        compose([*line, "target.ignore=[cases]"])
    monkeypatch.setattr("capsexp.config.whole.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"^target\.ignore: ignoring the spelling of numbers needs more packages: pip install"
    ):
        compose([*line, "target.ignore=[numbers]"])
