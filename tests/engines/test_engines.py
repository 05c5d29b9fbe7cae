"""The recognizers themselves, on real speech."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest

from capsexp import cli
from capsexp.analysis.texts import normalise
from capsexp.compose import compose
from capsexp.engines import base
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.engines.paraformer import ParaformerConfig
from capsexp.engines.sphinx import SphinxConfig
from capsexp.errors import EngineError
from capsexp.files import read_json
from capsexp.protocol import RATE
from capsexp.samples import load
from capsexp.segments import Cut, Merger, Recognition, cut_all
from tests.support import noise

LONG = next(s for s in load(compose([]).samples).samples if s.duration_s > 60)


@pytest.fixture(scope="module")
def sphinx() -> base.Engine:
    return base.load(SphinxConfig(), threads=1)


def recognized(engine: base.Engine, audio: np.ndarray, cut: Cut) -> Merger:
    merger = Merger(cut)
    for s in cut_all(audio, cut):
        merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
    return merger


@pytest.mark.slow
def test_any_order_of_segments_over_any_workers_gives_the_same_texts(sphinx: base.Engine) -> None:
    segments = cut_all(LONG.audio[: 36 * RATE], Cut.of(4, 1))
    straight = {s.index: sphinx.recognize(s.audio) for s in segments}
    workers = [sphinx, base.load(SphinxConfig(), threads=1)]
    shuffled = random.Random(1).sample(segments, len(segments))
    assert {s.index: random.Random(s.index).choice(workers).recognize(s.audio) for s in shuffled} == straight
    assert sum(len(heard.tokens) for heard in straight.values()) > 60


QUIET = {
    "zeros": np.zeros(2 * RATE, np.float32),
    "short": np.zeros(RATE // 50, np.float32),
    "last bit": (np.random.default_rng(1).integers(-1, 2, 2 * RATE) / 32767).astype(np.float32),
    "few bits": (np.random.default_rng(2).random(2 * RATE) < 0.001).astype(np.float32) / 32767,
    "constant": np.full(2 * RATE, 1 / 32767, np.float32),
    "impulse": np.eye(1, 2 * RATE, RATE, dtype=np.float32)[0],
}


def _independent(make: Callable[[], base.Engine], clips: dict[str, np.ndarray], own: bool) -> None:
    """Whatever was heard before, a segment has the words that it has for an engine that heard nothing."""
    used = make()
    alone = {name: (make() if own else used).recognize(clip) for name, clip in clips.items()}
    order = random.Random(1).choices(list(clips), k=25)
    for before, name in zip(["", *order], order, strict=False):
        assert used.recognize(clips[name]) == alone[name], f"{name} after {before or 'nothing'}"


@pytest.mark.slow
def test_silence_depends_on_nothing_that_sphinx_heard_before() -> None:
    speech = {"speech": LONG.audio[: 2 * RATE], "cut": np.append(LONG.audio[:RATE], np.zeros(RATE, np.float32))}
    _independent(lambda: base.load(SphinxConfig(), 1), {**QUIET, **speech}, own=True)


@pytest.mark.slow
def test_digital_silence_has_no_words(sphinx: base.Engine) -> None:
    sphinx.recognize(LONG.audio[: 2 * RATE])
    assert sphinx.recognize(QUIET["zeros"]).tokens == []
    assert sphinx.recognize(LONG.audio[: 3 * RATE]).tokens


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paraformer", "sherpa", "null"])
def test_silence_depends_on_nothing_that_an_engine_heard_before(name: str) -> None:
    if name == "sherpa":
        pytest.importorskip("sherpa_onnx")
    config = compose([f"engine={name}"]).engine
    chinese = load(compose(["samples=zh"]).samples).samples[1]
    clips = {**QUIET, "speech": chinese.audio[: 3 * RATE], "english": LONG.audio[: 2 * RATE]}
    _independent(lambda: base.load(config, 1), clips, own=True)


@pytest.mark.slow
def test_merging_costs_at_most_one_point_of_wer(sphinx: base.Engine) -> None:
    assert LONG.transcript is not None
    whole = sphinx.recognize(LONG.audio)
    merged = recognized(sphinx, LONG.audio, Cut.of(15, 2))
    reference = normalise(LONG.transcript)
    once, text, accurate = (
        jiwer.wer(reference, normalise(t)) for t in (" ".join(whole.tokens), merged.text, merged.text_accu)
    )
    assert once < 0.1
    assert text <= once + 0.01
    assert accurate <= once + 0.01


@pytest.mark.slow
def test_sphinx_says_where_each_word_began(sphinx: base.Engine) -> None:
    heard = sphinx.recognize(LONG.audio[: 10 * RATE])
    assert heard.timed
    assert heard.times == sorted(heard.times)
    assert 0 <= heard.times[0] < heard.times[-1] < 10
    later = sphinx.recognize(np.concatenate([np.zeros(RATE, np.float32), LONG.audio[: 10 * RATE]]))
    moved = [b - a for a, b in zip(heard.times[3:8], later.times[3:8], strict=True)]
    assert moved == pytest.approx([1.0] * 5, abs=0.1)


@pytest.mark.parametrize("seconds", [0, 0.01, 0.5])
def test_sphinx_takes_next_to_nothing(sphinx: base.Engine, seconds: float) -> None:
    assert isinstance(sphinx.recognize(np.zeros(round(seconds * RATE), np.float32)), Recognition)


def test_a_model_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no acoustic model"):
        base.load(SphinxConfig(model_dir=str(tmp_path)), 1)


@pytest.mark.slow
def test_the_shipped_model_from_a_folder_of_ones_own(sphinx: base.Engine) -> None:
    import pocketsphinx

    own = base.load(SphinxConfig(model_dir=str(Path(pocketsphinx.get_model_path("en-us")))), 1)
    clip = LONG.audio[: 5 * RATE]
    assert own.recognize(clip) == sphinx.recognize(clip)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "funasr_onnx", None)
    with pytest.raises(EngineError, match="engine=paraformer needs the package funasr_onnx: pip install funasr_onnx"):
        base.load(ParaformerConfig(), 1)


def test_null_tokens_tell_audio_apart_and_survive_the_merge() -> None:
    engine, audio = NullEngine(NullConfig()), noise(20, 1)
    whole = engine.recognize(audio)
    merged = recognized(engine, audio, Cut.of(3, 1))
    assert merged.tokens == whole.tokens
    assert merged.times == pytest.approx(whole.times)
    assert merged.text == merged.text_accu
    assert not set(whole.tokens) & set(engine.recognize(noise(20, 2)).tokens)


@pytest.mark.slow
def test_sphinx_gives_the_same_texts_forked_and_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "pool=process,prefork",
        "workers=2",
        "samples=quick",
        "trials=1",
        "validity=off",
        "load.repeats=1",
        "load.seg_duration=5",
        "-m",
    ]
    assert cli.main([*line, f"hydra.sweep.dir={tmp_path / 'sweep'}", "archive.enabled=false"]) == 0, capsys.readouterr()
    found = read_json(tmp_path / "sweep" / "report.json")["configurations"]
    assert {c["pool"]: c["metrics"]["correctness"]["value"] for c in found} == {"process": 1.0, "prefork": 1.0}
    texts = [p.read_text("utf-8") for p in sorted((tmp_path / "sweep").glob("*/transcripts/*.txt"))]
    assert len(texts) == 4
    assert sorted(texts[:2]) == sorted(texts[2:])
    assert all(len(text.split()) > 10 for text in texts)
