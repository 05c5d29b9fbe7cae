"""The ONNX recognizers on models of the right shape: the libraries are real, only the weights are not."""

import itertools
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capsexp import samples, twin
from capsexp.compose import compose
from capsexp.engines import ENGINES, base, settings
from capsexp.engines import _words as words
from capsexp.engines._model import ModelConfig
from capsexp.engines.null import NullConfig
from capsexp.engines.paraformer import ParaformerConfig
from capsexp.engines.sensevoice import SenseVoiceConfig
from capsexp.engines.sherpa import SherpaConfig
from capsexp.errors import ConfigError, EngineError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Cut, cut_all

CLIPS = samples.load(compose(["samples=quick"]).samples).samples
SEGMENTS = [s.audio for clip in CLIPS for s in cut_all(clip.audio, Cut.of(3, 1))]
KINDS = {
    "paraformer": ParaformerConfig(twin="tiny"),
    "sensevoice": SenseVoiceConfig(twin="sensevoice-tiny"),
    "sherpa-paraformer": SherpaConfig(twin="tiny"),
    "sherpa-sense_voice": SherpaConfig(twin="sensevoice-tiny", model_type="sense_voice"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("twins")
    return {shape: twin.build(shape, root / shape) for shape in ("tiny", "sensevoice-tiny")}


@pytest.fixture(scope="module", params=KINDS)
def config(request: pytest.FixtureRequest, models: dict[str, Path]) -> ModelConfig:
    kind = KINDS[request.param]
    return replace(kind, model_dir=str(models[kind.twin or ""]), twin=None)


@pytest.fixture(scope="module")
def engine(config: ModelConfig) -> base.Engine:
    return base.load(config, threads=1)


def test_any_order_over_any_workers_gives_the_same_texts(engine: base.Engine, config: ModelConfig) -> None:
    straight = [engine.recognize(audio) for audio in SEGMENTS]
    workers = [engine, base.load(config, threads=1)]
    order = random.Random(1).sample(range(len(SEGMENTS)), len(SEGMENTS))
    again = {n: random.Random(n).choice(workers).recognize(SEGMENTS[n]) for n in order}
    assert [again[n] for n in range(len(SEGMENTS))] == straight


def test_different_audio_gives_different_text(engine: base.Engine) -> None:
    texts = ["".join(engine.recognize(audio).tokens) for audio in SEGMENTS if len(audio) >= 2 * RATE]
    assert all(texts)
    assert len(set(texts)) == len(texts)


def test_threads_may_share_it(engine: base.Engine) -> None:
    straight = [engine.recognize(audio) for audio in SEGMENTS]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(engine.recognize, SEGMENTS * 3)) == straight * 3


def test_tokens_have_times_that_rise_within_the_audio(engine: base.Engine) -> None:
    for audio in SEGMENTS:
        heard = engine.recognize(audio)
        assert heard.timed
        assert heard.times == sorted(heard.times)
        assert all(0 <= time <= len(audio) / RATE + 0.1 for time in heard.times)


@pytest.mark.parametrize("seconds", [0, 0.01, 0.1, 0.5])
def test_next_to_nothing(engine: base.Engine, seconds: float) -> None:
    assert isinstance(engine.recognize(np.zeros(round(seconds * RATE), np.float32)).tokens, list)


def test_silence_in_which_no_token_fires_is_an_empty_text(models: dict[str, Path]) -> None:
    # Here the graph itself fails, as the real one does: its decoder takes no empty input.
    assert (
        base.load(ParaformerConfig(model_dir=str(models["tiny"])), 1).recognize(np.zeros(1600, np.float32)).tokens == []
    )


def test_says_what_it_runs_with(engine: base.Engine, config: ModelConfig) -> None:
    assert engine.about["threads"] == 1
    assert engine.about["device"] == "cpu"
    assert "onnx" in engine.about["library"]
    assert {path.suffix for path in base.model_files(config)} & {".onnx"}


def test_text_is_what_funasr_onnx_itself_gives(models: dict[str, Path]) -> None:
    from funasr_onnx import Paraformer

    theirs = Paraformer(str(models["tiny"]), intra_op_num_threads=1)
    theirs.frontend.opts.frame_opts.dither = 0.0
    ours = base.load(ParaformerConfig(model_dir=str(models["tiny"])), 1)
    for audio in SEGMENTS:
        (answer,) = theirs(audio)
        assert "".join(ours.recognize(audio).tokens) == answer["preds"].replace(" ", "")


@pytest.mark.parametrize(("tw", "one", "other"), [("tiny", "paraformer", "sherpa-paraformer"),
                                                  ("sensevoice-tiny", "sensevoice", "sherpa-sense_voice")])  # fmt: skip
def test_the_same_folder_gives_the_same_tokens_in_both_libraries(
    models: dict[str, Path], tw: str, one: str, other: str
) -> None:
    left, right = (base.load(replace(KINDS[k], model_dir=str(models[tw]), twin=None), 1) for k in (one, other))
    for audio in SEGMENTS:
        assert left.recognize(audio).tokens == right.recognize(audio).tokens


@pytest.mark.parametrize("kind", ["paraformer", "sensevoice"])
def test_a_segment_that_fails_is_an_error_and_never_silence(models: dict[str, Path], kind: str) -> None:
    shape = KINDS[kind].twin or ""
    loaded = base.load(replace(KINDS[kind], model_dir=str(models[shape]), twin=None), 1)

    def broken(audio: list[Audio]) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, 5, 7), np.float32), np.array([5], np.int32)  # not the width the graph takes

    loaded._model.extract_feat = broken  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=f"engine={kind}: .*dimensions"):
        loaded.recognize(SEGMENTS[0])


def exporter(folder: Path, model: Path) -> Path:
    return Path(shutil.copytree(model, folder / "export"))


def modelscope(folder: Path, model: Path) -> Path:
    deep = folder / "hub" / "models" / "iic" / "speech_paraformer-large-onnx"
    deep.mkdir(parents=True)
    for name in ("model.onnx", "config.yaml", "am.mvn", "tokens.json"):
        shutil.copy(model / name, deep)
    (deep / "configuration.json").write_text("{}")
    return folder


@pytest.mark.parametrize("layout", [exporter, modelscope])
def test_a_folder_as_people_have_it(tmp_path: Path, models: dict[str, Path], layout: object) -> None:
    root = layout(tmp_path, models["tiny"])  # type: ignore[operator]
    assert base.load(ParaformerConfig(model_dir=str(root)), 1).recognize(SEGMENTS[0]).tokens


def capswriter(folder: Path, model: Path, name: str) -> Path:
    inside = folder / "models" / "Paraformer" / "speech_paraformer-large-vad-punc-onnx"
    inside.mkdir(parents=True)
    shutil.copy(model / "model.onnx", inside / name)
    shutil.copy(model / "tokens.txt", inside)
    return folder


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_a_folder_as_capswriter_ships_it(tmp_path: Path, models: dict[str, Path], name: str) -> None:
    root = capswriter(tmp_path, models["tiny"], name)
    assert base.load(SherpaConfig(model_dir=str(root)), 1).recognize(SEGMENTS[0]).tokens
    with pytest.raises(EngineError, match=r"engine=sherpa engine\.model_type=paraformer"):
        base.load(ParaformerConfig(model_dir=str(root)), 1)


def test_several_models_below_a_folder_are_named(tmp_path: Path, models: dict[str, Path]) -> None:
    for name in ("a", "b"):
        shutil.copytree(models["tiny"], tmp_path / name)
    with pytest.raises(EngineError, match="several models below it: a, b; give one"):
        ParaformerConfig(model_dir=str(tmp_path)).files()


@pytest.mark.parametrize("missing", ["config.yaml", "am.mvn", "tokens.json"])
def test_a_missing_file_is_named(tmp_path: Path, models: dict[str, Path], missing: str) -> None:
    shutil.copytree(models["tiny"], tmp_path / "m")
    (tmp_path / "m" / missing).unlink()
    with pytest.raises(EngineError, match=f"no {missing} in m"):
        ParaformerConfig(model_dir=str(tmp_path)).files()


def test_a_device_that_is_not_there_is_an_error(models: dict[str, Path]) -> None:
    for config in (ParaformerConfig, SherpaConfig):
        with pytest.raises(EngineError, match=r"engine\.device=cuda:0: .*CUDA"):
            base.load(config(model_dir=str(models["tiny"]), device="cuda:0"), 1)


@pytest.mark.parametrize("chosen", [["engine=sensevoice"], ["engine=sherpa", "engine.model_type=sense_voice"]])
def test_a_model_must_be_named_where_none_is_shipped(chosen: list[str]) -> None:
    with pytest.raises(ConfigError, match=rf"{chosen[0]}: no model named.*engine\.twin="):
        compose(chosen)


@pytest.mark.parametrize("name", ENGINES.names())
def test_every_engine_has_its_yaml(name: str) -> None:
    config = compose([f"engine={name}"] + (["engine.model_dir=x"] if issubclass(settings(name), ModelConfig) else []))
    assert type(config.engine) is settings(name)


def test_the_hub_needs_its_package() -> None:
    with pytest.raises(EngineError, match=r"modelscope.*engine\.model_dir"):
        ParaformerConfig(model_id="iic/anything").prepare(print)


def test_a_twin_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSEXP_CACHE", str(tmp_path))
    said: list[str] = []
    config = ParaformerConfig(twin="tiny")
    for _ in range(2):
        config.prepare(said.append)
    assert len(said) == 1
    assert config.is_twin()
    assert json.loads((config.files()[0].parent / "twin.json").read_text())["twin"] is True
    assert not NullConfig().is_twin()


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (["你", "好"], ["你", "好"]),
        (["hel@@", "lo", "world"], ["hello", "world"]),
        (["a", "i", "是"], ["AI", "是"]),
        (["a", "good", "b"], ["a", "good", "b"]),
        (["<s>", "好", "</s>"], ["好"]),
        (["un@@"], ["un"]),
        ([], []),
    ],
)
def test_funasr_units_become_words(units: list[str], expected: list[str]) -> None:
    times = [float(n) for n in range(len(units))]
    heard, starts = words.from_bpe(units, times)
    assert heard == expected
    assert len(starts) == len(expected)
    assert words.from_bpe(units, []) == (expected, [])


def test_sentencepiece_units_become_words_and_tags() -> None:
    units = ["<|en|>", "<|NEUTRAL|>", "▁hel", "lo", "▁", "wor", "ld", "你", "好", "ok"]
    heard, starts, tags = words.from_sentencepiece(units, list(itertools.accumulate([0.5] * len(units))))
    assert heard == ["hello", "world", "你", "好", "ok"]
    assert starts == [1.5, 3.0, 4.0, 4.5, 5.0]
    assert tags == ["en", "NEUTRAL"]
