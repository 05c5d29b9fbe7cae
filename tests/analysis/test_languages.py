"""An engine that does not know the language of what it is given is told of, before and in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from capsexp import cli, config, samples
from capsexp.analysis import languages
from capsexp.compose import compose
from capsexp.files import read_json
from capsexp.protocol import RATE

SPHINX = {"name": "sphinx", "model_dir": None, "language": None}
CURRY = "a cup of tea when i cook a curry"


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ([], ("en",)),
        (["engine.model_dir=/x"], ()),
        (["engine.model_dir=/x", "engine.language=de"], ("de",)),
        (["engine=null"], ()),
        (["engine=paraformer"], ("zh",)),
        (["engine=paraformer", "engine.twin=tiny"], ()),
        (["engine=paraformer", "engine.model_dir=/x"], ()),
        (["engine=sherpa"], ("zh",)),
        (["engine=sherpa", "engine.model_type=sense_voice", "engine.model_dir=/x"], ("zh", "en", "yue", "ja", "ko")),
        (["engine=sensevoice", "engine.model_dir=/x"], ("zh", "en", "yue", "ja", "ko")),
        (["engine=sensevoice", "engine.model_dir=/x", "engine.language=zh"], ("zh",)),
    ],
)
def test_an_engine_knows_its_languages(line: list[str], known: tuple[str, ...]) -> None:
    settings = config.to_dict(compose(line))["engine"]
    assert config.languages(settings) == known
    assert config.languages({"name": "of another version"}) == ()


@pytest.mark.parametrize(
    ("known", "language", "references", "fits"),
    [
        (("en",), None, ["今天下雨", "会议 OK 开始"], False),
        (("en",), "zh", [None], False),
        (("en",), "en-GB", ["今天下雨"], True),  # who says so knows better
        (("zh",), None, ["今天 iPhone 下雨"], True),
        (("zh",), None, ["it rains today"], False),
        (("zh",), "yue", [None], True),
        (("zh", "en", "yue", "ja", "ko"), None, ["今日は雨です"], True),
        (("zh",), None, ["今日は雨です"], False),
        (("en",), None, ["сегодня дождь"], False),
        (("en",), None, ["", "12 3"], True),
        ((), "zh", ["今天下雨"], True),
    ],
)
def test_what_cannot_fit(
    known: tuple[str, ...], language: str | None, references: list[str | None], fits: bool
) -> None:
    said = languages.misfit("x", known, language, references)
    assert (said is None) == fits


@pytest.mark.parametrize(
    ("engine", "language", "reference", "helps", "not_advised"),
    [
        ("sphinx", None, "今天下雨", ["engine=paraformer (zh)", "engine=sensevoice ("], ["samples.language"]),
        ("sphinx", "zh", None, ["engine=paraformer (zh)", "engine.model_dir=FOLDER"], ["samples.language"]),
        ("paraformer", None, "it rains today", ["engine=sphinx (en)"], ["engine=sherpa (zh)", "samples.language"]),
        ("sphinx", None, "сегодня дождь", ["use a model of that language for engine=sphinx"], ["paraformer", "null"]),
        ("paraformer", "ja", None, ["engine=sensevoice (zh, en, yue, ja, ko)"], ["sphinx"]),
    ],
)
def test_an_engine_that_does_not_know_the_language_is_told_of_one_that_does(
    engine: str, language: str | None, reference: str | None, helps: list[str], not_advised: list[str]
) -> None:
    """To call Mandarin English would silence the warning and help nobody."""
    engines = config.engine_languages()
    said = languages.misfit(engine, engines[engine], language, [reference], engines)
    assert said is not None
    assert all(advice in said for advice in helps), said
    assert not any(advice in said for advice in not_advised), said


def test_an_excerpt_of_what_was_heard_is_shown() -> None:
    said = languages.warning(SPHINX, ("en",), None, [("a.wav", "今天下雨", CURRY)], 1.0)
    assert said is not None and CURRY in said and "a.wav" in said and "sphinx" in said


def test_what_nothing_tells_is_asked() -> None:
    said = languages.warning(SPHINX, ("en",), None, [("a.wav", None, CURRY)], None)
    assert said is not None and CURRY in said and "samples.language=en" in said
    assert languages.warning(SPHINX, ("en",), "en", [("a.wav", None, CURRY)], None) is None


def test_a_server_of_which_nothing_is_known_is_judged_by_its_texts() -> None:
    said = languages.warning(None, (), None, [("a.wav", "今天下雨", CURRY)], 1.0)
    assert said and "heard in Latin: the server may not know the language of the samples. Recognized" in said
    assert languages.warning(None, (), None, [("a.wav", "it rains today", CURRY)], 0.9)
    assert languages.warning(None, (), None, [("a.wav", "it rains today", "it rains to day")], 0.1) is None


@pytest.mark.parametrize(("known", "language"), [((), None), (("en",), "zh"), (("en",), None)])
def test_an_engine_that_does_not_speak_is_not_judged_by_its_texts(known: tuple[str, ...], language: str | None) -> None:
    heard = [("a.wav", "今天", "0badcafe")]
    for name in ("null", "mine"):
        assert languages.warning({"name": name}, known, language, heard, 1.0)
        assert languages.warning({"name": name}, known, language, heard, 1.0, speaks=False) is None


@pytest.mark.slow
def test_mandarin_for_the_default_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The issue's case, shortened: said before anything starts, and in the report beside what was heard."""
    clip = next(s for s in samples.load(compose(["samples=zh"]).samples).samples if s.duration_s < 20)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", clip.audio[: 3 * RATE], RATE)
    (tmp_path / "audio" / "a.txt").write_text(clip.transcript or "", "utf-8")
    line = ["samples=dir", f"samples.dir={tmp_path / 'audio'}", "load.repeats=1", "trials=1", "validity=off", "-m"]
    more = ["reference=off", "archive.enabled=false", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    assert cli.main([*line, *more]) == 0, capsys.readouterr()
    said = capsys.readouterr().err
    assert said.index("the transcripts are in Han script, and engine=sphinx recognizes en") < said.index("[1/1]")
    warnings = read_json(tmp_path / "sweep" / "report.json")["warnings"]
    heard = next((tmp_path / "sweep").glob("*/transcripts/*.txt")).read_text("utf-8").strip()
    assert any("engine=sphinx recognizes en" in w and heard[:20] in w for w in warnings), (heard, warnings)
