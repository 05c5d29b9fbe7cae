"""Punctuation by a real CT_Transformer over a small graph: a mark after each character that its table says."""

import json
from pathlib import Path

import numpy as np
import pytest

from capsexp import cli, twin
from capsexp.compose import compose
from capsexp.config import PunctuationConfig
from capsexp.errors import ConfigError, EngineError
from capsexp.files import read_json
from capsexp.punctuation import Punctuator

MARKS = ["<unk>", "_", "，", "。", "？", "、"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third unit of the vocabulary is followed by a comma, every seventh by a full stop."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder = tmp_path_factory.mktemp("punctuation")
    units = [chr(0x4E00 + n) for n in range(3000)] + ["<unk>"]
    scores = np.zeros((len(units), len(MARKS)), np.float32)
    for number in range(len(units)):
        scores[number, 3 if number % 7 == 0 else 2 if number % 3 == 0 else 1] = 1
    graph = helper.make_graph(
        [helper.make_node("Gather", ["scores", "inputs"], ["logits"])],
        "marks",
        [
            helper.make_tensor_value_info("inputs", TensorProto.INT32, ["batch", "length"]),
            helper.make_tensor_value_info("text_lengths", TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", len(MARKS)])],
        [numpy_helper.from_array(scores, "scores")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), folder / "model.onnx")
    (folder / "tokens.json").write_text(json.dumps(units, ensure_ascii=False))
    (folder / "config.yaml").write_text(json.dumps({"model_conf": {"punc_list": MARKS}}, ensure_ascii=False))
    return folder


def test_marks_are_put_and_words_kept(model: Path) -> None:
    punctuator = Punctuator(PunctuationConfig("ct_transformer", str(model)), 1)
    text = "".join(chr(0x4E00 + n) for n in (1, 2, 3, 4, 7, 8))
    marked = punctuator.punctuate(text)
    assert marked == text[:3] + "，" + text[3:5] + "。" + text[5:] + "。"
    assert punctuator.punctuate("") == ""


def test_a_failure_is_an_error_and_not_the_marks_of_another_sentence(model: Path) -> None:
    punctuator = Punctuator(PunctuationConfig("ct_transformer", str(model)), 1)
    punctuator._model.converter.tokens2ids = lambda words: [10**6] * len(words)
    with pytest.raises(EngineError, match=r"punctuation=ct_transformer: .*out of"):
        punctuator.punctuate("一二三")


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["process", "prefork", "thread"])
def test_final_texts_are_punctuated_by_a_worker_and_equal_the_references(
    model: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = twin.build("tiny", tmp_path / "tiny")
    line = [
        "engine=paraformer", f"engine.model_dir={shape}", f"pool={pool}", "workers=2", "samples=quick", "trials=1",
        "punctuation=ct_transformer", f"punctuation.model_dir={model}", "load.seg_duration=4", "load.seg_overlap=1",
        f"hydra.sweep.dir={tmp_path / 'sweep'}", "load.repeats=1", "validity=off",
    ]  # fmt: skip
    assert cli.main(line) == 0, capsys.readouterr()
    report = read_json(tmp_path / "sweep" / "report.json")
    assert report["configurations"][0]["metrics"]["correctness"]["value"] == 1.0
    (text, *_) = sorted((tmp_path / "sweep").glob("*/transcripts/*.txt"))
    assert set("，。") <= set(text.read_text("utf-8"))


def test_a_model_must_be_named_and_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"punctuation\.model_dir=FOLDER"):
        compose(["punctuation=ct_transformer"])
    with pytest.raises(EngineError, match=r"punctuation\.model_dir=.*no model\.onnx"):
        Punctuator(PunctuationConfig("ct_transformer", str(tmp_path)), 1)
