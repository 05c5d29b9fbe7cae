"""Twins: the real geometry, and folders that the real libraries load and hear differences with."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from capsexp.compose import compose
from capsexp.errors import ConfigError
from capsexp.protocol import RATE
from capsexp.samples import load
from capsexp.segments import Cut, cut_all
from tests.support import PATIENCE, noise

onnx = pytest.importorskip("onnx")

from capsexp.twin import SHAPES, build, cif, folder, graph  # noqa: E402
from capsexp.twin.__main__ import run  # noqa: E402

REAL = json.loads((Path(__file__).parent / "data" / "paraformer_large.json").read_text("utf-8"))

STACKS_ALIKE = "1.13.8"  # before, sherpa-onnx stacked frames from the first one on, not around it as FunASR does


@cache
def segments() -> list[np.ndarray]:
    """Of all shipped speech, as a server would cut it; the last of them are short."""
    return [s.audio for sample in load(compose([]).samples).samples for s in cut_all(sample.audio, Cut.of(8, 1))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("twins")
    return {name: build(name, root / name, quantize=True) for name in ("tiny", "sensevoice-tiny")}


def funasr(path: Path, **options: object):
    module = pytest.importorskip("funasr_onnx")
    kind = module.SenseVoiceSmall if path.name.startswith("sensevoice") else module.Paraformer
    model = kind(str(path), intra_op_num_threads=1, **options)
    model.frontend.opts.frame_opts.dither = 0
    return model


def sherpa(audio: np.ndarray, recognizer: object):
    stream = recognizer.create_stream()
    stream.accept_waveform(RATE, audio)
    recognizer.decode_stream(stream)
    return stream.result


# The geometry, without making a single weight.


def test_paraformer_large_is_the_real_graph() -> None:
    large = folder.graph_of(SHAPES["paraformer-large"])
    nodes = large.operators()
    assert {kind: nodes[kind] for kind in REAL["nodes"]} == REAL["nodes"]
    assert large.parameters == REAL["parameters"]["total"]
    parts = {
        part: sum(w.size for w in large.weights.values() if w.name.startswith(part))
        for part in ("encoder", "decoder", "predictor")
    }
    parts["decoder"] += large.not_in_file
    assert parts == {part: REAL["parameters"][part] for part in parts}
    file_mb = sum(w.size for w in large.weights.values()) * 4 / 1e6
    assert file_mb == pytest.approx(REAL["file_mb"], rel=0.005)

    def described(value: object) -> list[object]:
        tensor = value.type.tensor_type
        dims = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        return [onnx.TensorProto.DataType.Name(tensor.elem_type), *dims]

    assert {value.name: described(value) for value in large.inputs} == REAL["inputs"]
    assert [value.name for value in large.outputs] == REAL["outputs"]


@pytest.mark.parametrize(("name", "millions"), [("paraformer-small", 68.4), ("sensevoice-small", 234.0)])
def test_sizes_of_the_other_shapes(name: str, millions: float) -> None:
    g = folder.graph_of(SHAPES[name])
    head = sum(w.size for w in g.weights.values() if "upsample" in w.name or "blstm" in w.name or "output2" in w.name)
    held = sum(w.size for w in g.weights.values())
    assert (held - head) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", SHAPES)
def test_graphs_are_valid_and_name_their_heads(name: str) -> None:
    g = folder.graph_of(SHAPES[name])
    assert all(value for value in g.metadata.values())
    assert len({node.name for node in g.nodes}) == len(g.nodes)
    # What FunASR's exporter leaves in float when it quantizes goes by name.
    heads = [node.name for node in g.nodes if node.op_type == "MatMul" and "output" in node.name]
    paraformer = ["/predictor/cif_output/MatMul", "/decoder/output_layer/MatMul", "/predictor/cif_output2/MatMul"]
    assert heads == ([] if name.startswith("sensevoice") else paraformer)


# Integrate and fire, against the recurrence written down in numpy.


def integrate_and_fire(alphas: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    tokens, integral, frame = [], np.float32(0), np.zeros(hidden.shape[1], np.float32)
    for alpha, here in zip(alphas, hidden, strict=True):
        if integral + alpha >= 1:
            tokens.append(frame + (1 - integral) * here)
            integral = integral + alpha - 1
            frame = integral * here
        else:
            integral += alpha
            frame = frame + alpha * here
    return np.array(tokens)


def test_tokens_are_what_integrate_and_fire_gives() -> None:
    import onnxruntime

    width = SHAPES["tiny"].width
    g = graph.Graph()
    alphas = g.input("alphas", onnx.TensorProto.FLOAT, ["batch", "frames"])
    hidden = g.input("hidden", onnx.TensorProto.FLOAT, ["batch", "frames", width])
    count = g.input("count", onnx.TensorProto.INT32, ["batch"])
    g.op("Identity", cif.fire(g, SHAPES["tiny"], alphas, hidden, count), name="tokens")
    g.output("tokens", onnx.TensorProto.FLOAT, ["batch", "tokens", width])
    session = onnxruntime.InferenceSession(b"".join(g.chunks(0)), providers=["CPUExecutionProvider"])

    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 0.6, (3, 50)).astype(np.float32)
    states = rng.normal(size=(3, 50, width)).astype(np.float32)
    wanted = [integrate_and_fire(a, h) for a, h in zip(weights, states, strict=True)]
    counts = np.array([len(tokens) for tokens in wanted], np.int32)
    assert len(set(counts)) > 1
    (tokens,) = session.run(None, {"alphas": weights, "hidden": states, "count": counts})
    assert tokens.shape[1] == counts.max()
    for row, right in zip(tokens, wanted, strict=True):
        np.testing.assert_allclose(row[: len(right)], right, atol=1e-5)
        assert not row[len(right) :].any()


# The folder.


def test_a_folder_is_small_and_says_that_it_is_a_twin(folders: dict[str, Path]) -> None:
    for name, path in folders.items():
        assert sum(file.stat().st_size for file in path.iterdir()) < 3e6
        facts = json.loads((path / "twin.json").read_text("utf-8"))
        assert facts["twin"] is True and facts["shape"] == name and facts["seed"] == 0
        onnx.checker.check_model(path / "model.onnx", full_check=True)
        stored = sum(int(np.prod(t.dims)) for t in onnx.load(path / "model.onnx").graph.initializer)
        g = folder.graph_of(SHAPES[name])
        assert facts["parameters"] == g.parameters == stored + g.not_in_file
        assert [f.name for f in path.parent.iterdir() if f.name.startswith(".")] == []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folders: dict[str, Path], tmp_path: Path) -> None:
    again, other = build("tiny", tmp_path / "again"), build("tiny", tmp_path / "other", seed=1)
    for file in again.iterdir():
        assert file.read_bytes() == (folders["tiny"] / file.name).read_bytes()
    assert (again / "model.onnx").read_bytes() != (other / "model.onnx").read_bytes()
    assert (again / "tokens.txt").read_bytes() == (other / "tokens.txt").read_bytes()


@pytest.mark.parametrize("quantize", [False, True])
def test_funasr_hears_different_texts_in_different_speech(folders: dict[str, Path], quantize: bool) -> None:
    model = funasr(folders["tiny"], quantize=quantize)
    rates, texts = [], []
    for audio in segments():
        (result,) = model(audio)
        tokens, times = result["raw_tokens"], result["timestamp"]
        assert len(tokens) == len(times) == len(result["preds"].split())
        assert not {"<blank>", "<s>", "</s>", "<unk>"} & set(tokens)
        starts = [start for start, _ in times]
        assert starts == sorted(starts) and all(start <= end for start, end in times)
        assert not times or times[-1][1] <= len(audio) / RATE * 1000 + 100
        texts.append("".join(tokens))
        rates.append(len(tokens) / (len(audio) / RATE))
        if len(tokens) > 8:
            assert len(set(tokens)) > len(tokens) / 4
    assert all(2 < rate < 7 for rate in rates), rates
    assert len(set(texts)) == len(texts)


def test_a_segment_gives_the_same_text_whatever_came_before(folders: dict[str, Path]) -> None:
    model = funasr(folders["tiny"])
    first = model(segments()[0])
    model(noise(3, 1))
    assert model(segments()[0]) == first


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_hear_too(tmp_path: Path, seed: int) -> None:
    model = funasr(build("tiny", tmp_path / "tiny", seed))
    texts = [model(audio)[0]["preds"] for audio in segments()]
    assert len(set(texts)) == len(texts)
    length = sum(len(audio) for audio in segments()) / RATE
    assert 2 < sum(len(text.split()) for text in texts) / length < 7


def test_sherpa_gives_the_tokens_and_times_of_funasr(folders: dict[str, Path]) -> None:
    sherpa_onnx = pytest.importorskip("sherpa_onnx", minversion=STACKS_ALIKE)
    path = folders["tiny"]
    recognizer = sherpa_onnx.OfflineRecognizer.from_paraformer(
        paraformer=str(path / "model.onnx"), tokens=str(path / "tokens.txt"), num_threads=1
    )
    model = funasr(path)
    for audio in segments():
        (mine,), theirs = model(audio), sherpa(audio, recognizer)
        assert theirs.tokens == mine["raw_tokens"]
        assert len(theirs.timestamps) == len(theirs.tokens)


def test_sensevoice_in_both_libraries(folders: dict[str, Path]) -> None:
    sherpa_onnx = pytest.importorskip("sherpa_onnx", minversion=STACKS_ALIKE)
    path = folders["sensevoice-tiny"]
    recognizer = sherpa_onnx.OfflineRecognizer.from_sense_voice(
        model=str(path / "model.onnx"), tokens=str(path / "tokens.txt"), num_threads=1, language="en", use_itn=True
    )
    model = funasr(path)
    tags, texts, tokens = "<|en|><|NEUTRAL|><|Speech|><|withitn|>", [], 0
    for audio in segments():
        (text,), result = model(audio, language="en", textnorm="withitn"), sherpa(audio, recognizer)
        assert text.startswith(tags) and "<|" not in text[len(tags) :]
        assert result.text == "".join(result.tokens) == text[len(tags) :]
        assert (result.lang, result.emotion, result.event) == ("<|en|>", "<|NEUTRAL|>", "<|Speech|>")
        texts.append(text)
        tokens += len(result.tokens)
    assert len(set(texts)) == len(texts)
    assert 2 < tokens / (sum(len(audio) for audio in segments()) / RATE) < 7


def test_sensevoice_says_the_prompts_and_loads_quantized(folders: dict[str, Path]) -> None:
    model = funasr(folders["sensevoice-tiny"], quantize=True)
    for language, textnorm in (("auto", "woitn"), ("ja", "withitn"), ("nospeech", "woitn")):
        (text,) = model(segments()[0], language=language, textnorm=textnorm)
        spoken = "zh" if language == "auto" else language
        assert text.startswith(f"<|{spoken}|><|NEUTRAL|><|Speech|><|{textnorm}|>")


# What is in the way.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shape=tinny", "out=x"], "'tiny'"),
        (["shap=tiny", "out=x"], "'shape'"),
        (["shape=tiny"], "out= is missing"),
        (["shape=tiny", "out=x", "seed=-1"], "seed: '-1'"),
        (["shape=tiny", "out=x", "quantize=yes"], "quantize: 'yes'"),
        (["shape=tiny", "out=full"], "remove it or give another"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError) as caught:
        run(arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_the_command_line(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "capsexp.twin", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ})

    done = command("shape=tiny", f"out={tmp_path / 'new' / 'twin'}")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1
    assert "505,870 parameters" in done.stdout and "MB" in done.stdout
    wrong = command("shape=tiny", f"out={tmp_path / 'new' / 'twin'}")
    assert wrong.returncode == 2 and wrong.stderr.startswith("capsexp.twin: out: ") and wrong.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_build_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "capsexp.twin", "shape=paraformer-large", f"out={tmp_path / 'large'}"]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(tmp_path.glob(".large-*/model.onnx")):
            time.sleep(0.01)
        process.terminate()
        assert process.wait(PATIENCE) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_build_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = graph.Graph.chunks

    def cut(self: graph.Graph, seed: int) -> Iterator[bytes]:
        chunks = whole(self, seed)
        yield next(chunks)
        raise KeyboardInterrupt

    monkeypatch.setattr(graph.Graph, "chunks", cut)
    with pytest.raises(KeyboardInterrupt):
        build("tiny", tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    (tmp_path / "tiny").mkdir()  # empty, so free to take
    assert build("tiny", tmp_path / "tiny") == tmp_path / "tiny"
