"""The folder of a twin: everything that funasr-onnx and sherpa-onnx open, laid out as FunASR's exporter does it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from capsexp.errors import ConfigError
from capsexp.files import write_json
from capsexp.twin import paraformer, sensevoice, vocabulary
from capsexp.twin.graph import Graph
from capsexp.twin.quantize import quantized
from capsexp.twin.shapes import Paraformer, SenseVoice, Shape

# Log-mel energies of 16-bit speech are about 14.5 on average and spread by about 5; this makes them unit features.
SHIFT, SCALE = -14.5, 0.2
NOTE = "random weights: its text means nothing"


def graph_of(shape: Paraformer | SenseVoice) -> Graph:
    """The network with its metadata; no weight is made yet."""
    g = paraformer.network(shape) if isinstance(shape, Paraformer) else sensevoice.network(shape)
    g.metadata |= _metadata(shape)
    return g


def write(shape: Paraformer | SenseVoice, out: Path, seed: int, quantize: bool) -> Path:
    """As `capsexp.twin.build`. All is written beside `out` first, so that a build that is cut short leaves nothing."""
    _check_free(out)
    target = out.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _fill(shape, beside, seed, quantize)
        beside.chmod(0o755)
        _check_free(out)
        if target.exists():
            target.rmdir()  # renaming onto an empty folder works on Linux only
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return out


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"out: {out} is there already and not an empty folder; remove it or give another")


def _fill(shape: Paraformer | SenseVoice, folder: Path, seed: int, quantize: bool) -> None:
    g = graph_of(shape)
    g.save(folder / "model.onnx", seed)
    if quantize:
        quantized(g, folder / "model.onnx", folder / "model_quant.onnx")
    tokens = vocabulary.tokens(shape)
    describe(shape, folder, tokens, [SHIFT] * shape.features, [SCALE] * shape.features)
    if isinstance(shape, SenseVoice):
        (folder / vocabulary.SENTENCEPIECE).write_bytes(vocabulary.sentencepiece(tokens))
    facts = {"shape": shape.name, "seed": seed, "parameters": g.parameters, "note": NOTE}
    write_json(folder / "twin.json", {"twin": True, **facts})


def describe(
    shape: Paraformer | SenseVoice, folder: Path, tokens: list[str], shift: Sequence[float], scale: Sequence[float]
) -> None:
    """What stands beside the network: its configuration, its tokens, and what is added to features and multiplied."""
    (folder / "am.mvn").write_text(_cmvn(shape, shift, scale), "utf-8")
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(_config(shape))), "utf-8")
    lines = "".join(f"{token} {number}\n" for number, token in enumerate(tokens))
    (folder / "tokens.txt").write_text(lines, "utf-8")
    (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), "utf-8")


def _cmvn(shape: Shape, shift: Sequence[float], scale: Sequence[float]) -> str:
    """Kaldi's nnet text, of which the readers take the lines after <AddShift> and <Rescale>."""
    size = shape.features

    def layer(name: str, values: Sequence[float]) -> str:
        return f"<{name}> {size} {size}\n<LearnRateCoef> 0 [ {' '.join(map(str, values))} ]\n"

    splice = f"<Splice> {size} {size}\n[ 0 ]\n"
    return f"<Nnet>\n{splice}{layer('AddShift', shift)}{layer('Rescale', scale)}</Nnet>\n"


def _config(shape: Paraformer | SenseVoice) -> dict[str, Any]:
    blocks = {"attention_heads": shape.heads, "linear_units": shape.ffn, "kernel_size": shape.kernel}
    encoder = {"output_size": shape.width, "num_blocks": shape.blocks, **blocks}
    frontend = {"fs": 16000, "window": "hamming", "n_mels": shape.mels, "frame_length": 25, "frame_shift": 10}
    config: dict[str, Any] = {
        "frontend": "WavFrontend",
        "frontend_conf": {**frontend, "lfr_m": shape.lfr_window, "lfr_n": shape.lfr_shift},
        "input_size": shape.features,
    }
    if isinstance(shape, SenseVoice):
        encoder["tp_blocks"] = shape.tp_blocks
        return {"model": "SenseVoiceSmall", "encoder": "SenseVoiceEncoderSmall", "encoder_conf": encoder, **config}
    predictor = {
        "idim": shape.width,
        "threshold": 1.0,
        "l_order": 1,
        "r_order": 1,
        "tail_threshold": shape.tail_threshold,
        "smooth_factor2": shape.smooth_factor2,
        "noise_threshold2": shape.noise_threshold2,
        "upsample_times": shape.upsample,
        "upsample_type": "cnn_blstm",
        "use_cif1_cnn": False,
    }
    return {
        "model": "BiCifParaformer",
        "model_conf": {"predictor_bias": shape.predictor_bias},
        "encoder": "SANMEncoder",
        "encoder_conf": encoder,
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": {"num_blocks": shape.decoder_blocks, "att_layer_num": shape.decoder_blocks, **blocks},
        "predictor": "CifPredictorV3",
        "predictor_conf": predictor,
        **config,
    }


def _metadata(shape: Paraformer | SenseVoice) -> dict[str, str]:
    """What sherpa-onnx reads from the model file, which funasr-onnx reads from the files beside it."""
    common = {
        "vocab_size": shape.vocabulary,
        "lfr_window_size": shape.lfr_window,
        "lfr_window_shift": shape.lfr_shift,
        "neg_mean": ",".join([str(SHIFT)] * shape.features),
        "inv_stddev": ",".join([str(SCALE)] * shape.features),
        "model_author": "capsexp.twin",
        "comment": f"twin of {shape.name}, {NOTE}",
        "version": 1,
    }
    if isinstance(shape, Paraformer):
        return {key: str(value) for key, value in {"model_type": "paraformer", **common}.items()}
    languages = {f"lang_{name}": row for name, row in sensevoice.LANGUAGES.items()}
    norms = {"with_itn": sensevoice.TEXT_NORMS["withitn"], "without_itn": sensevoice.TEXT_NORMS["woitn"]}
    # Samples are to be scaled to 16 bit before the features, as funasr-onnx does it.
    own = {"model_type": "sense_voice_ctc", "normalize_samples": 0, **languages, **norms}
    return {key: str(value) for key, value in {**own, **common}.items()}
