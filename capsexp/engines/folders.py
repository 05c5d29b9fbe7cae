"""Where a model's files are: in a folder of the user's, in a download, or in the cache of twins.

People have these folders as FunASR's exporter writes them, as ModelScope downloads them (some levels deeper), or as
CapsWriter ships them (for sherpa-onnx). Whichever is given is searched for the files that the engine needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from capsexp.config import EngineConfig, ModelConfig, ParaformerConfig, PunctuationConfig, SherpaConfig
from capsexp.errors import EngineError

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "paraformer-mini"  # what training/ makes
BUILD_S = 900.0  # s, for a twin of the largest shape on a slow disk
DEPTH = 6  # levels below the given folder; ModelScope's cache has five
Needs = Sequence[Sequence[str]]  # each entry: names of which one must be there, the preferred first

# sherpa-onnx' model types: the keyword each file is given as, and what its name begins with.
SHERPA_PARTS: dict[str, dict[str, str]] = {
    "paraformer": {"paraformer": "model"},
    "sense_voice": {"model": "model"},
    "fire_red_asr": {"encoder": "encoder", "decoder": "decoder"},
    "whisper": {"encoder": "encoder", "decoder": "decoder"},
    "transducer": {"encoder": "encoder", "decoder": "decoder", "joiner": "joiner"},
}


def files(config: ModelConfig) -> list[Path]:
    """The files that the engine loads, the model first; raises EngineError saying what is missing."""
    if isinstance(config, SherpaConfig):
        parts = SHERPA_PARTS[config.model_type].values()
        return find(config, [*(_sherpa_names(part, config.quantize) for part in parts), ["tokens.txt"]])
    model, other = ("model_quant.onnx", "model.onnx") if config.quantize else ("model.onnx", "model_quant.onnx")
    words = "tokens.json" if isinstance(config, ParaformerConfig) else "chn_jpn_yue_eng_ko_spectok.bpe.model"
    kind = "paraformer" if isinstance(config, ParaformerConfig) else "sense_voice"
    hint = (
        f"; a folder made for sherpa-onnx, as CapsWriter ships them, needs engine=sherpa engine.model_type={kind}, "
        f"and one with {other} alone engine.quantize={str(not config.quantize).lower()}"
    )
    return find(config, [[model], ["config.yaml"], ["am.mvn"], [words]], hint)


def punctuation_files(config: PunctuationConfig) -> list[Path]:
    """As `files`, of the punctuation model."""
    model = "model_quant.onnx" if config.quantize else "model.onnx"
    root = Path(config.model_dir or "").expanduser()
    given = f"punctuation.model_dir={config.model_dir}"
    return _search(root, given, [[model], ["config.yaml"], ["tokens.json"]], "")


def _sherpa_names(part: str, quantize: bool) -> list[str]:
    """The names a part goes by, in releases for sherpa-onnx and in FunASR's export."""
    small, full = [f"{part}.int8.onnx", f"{part}_quant.onnx"], [f"{part}.onnx"]
    return small + full if quantize else full + small


def find(config: ModelConfig, needs: Needs, hint: str = "") -> list[Path]:
    """The files, one for each of `needs`, all of one folder; raises EngineError that says what is missing."""
    return _search(*_root(config), needs, hint)


def _search(root: Path, given: str, needs: Needs, hint: str) -> list[Path]:
    if not root.is_dir():
        raise EngineError(f"{given}: there is no such folder")
    candidates = sorted(
        {path.parent for name in needs[0] for path in _below(root, name)}, key=lambda p: (len(p.parts), p)
    )
    complete = [files for folder in candidates if (files := _files(folder, needs))]
    if len(complete) == 1 or (complete and complete[0][0].parent == root):
        return complete[0]
    if complete:
        names = ", ".join(str(files[0].parent.relative_to(root)) for files in complete)
        raise EngineError(f"{given}: several models below it: {names}; give one of them")
    where = candidates[0] if candidates else root
    missing = next((names for names in needs if not any((where / name).is_file() for name in names)), needs[0])
    raise EngineError(f"{given}: no {' or '.join(missing)} in {where.name or where}{hint}")


def _files(folder: Path, needs: Needs) -> list[Path] | None:
    found = [next((folder / name for name in names if (folder / name).is_file()), None) for names in needs]
    return [path for path in found if path is not None] if None not in found else None


def _below(root: Path, name: str) -> list[Path]:
    return [path for path in root.rglob(name) if len(path.relative_to(root).parts) <= DEPTH]


def _root(config: ModelConfig) -> tuple[Path, str]:
    """The folder to search, and how the user named it."""
    if config.model_dir is not None:
        return Path(config.model_dir).expanduser(), f"engine.model_dir={config.model_dir}"
    if config.twin is not None:
        root = twin_folder(config)
        if not root.is_dir():
            raise EngineError(f"engine.twin={config.twin}: not built yet; python -m capsexp does it")
        return root, f"engine.twin={config.twin}"
    if config.model_id is not None:
        return _downloaded(config.model_id, local_only=True), f"engine.model_id={config.model_id}"
    if config.shipped:
        return SHIPPED, f"engine={config.name}"
    raise EngineError(f"engine={config.name}: no model named")  # refused when the configuration was checked


def prepare(config: EngineConfig, say: Callable[[str], None]) -> None:
    """Build or fetch, once, what several processes will look for; raises EngineError."""
    if not isinstance(config, ModelConfig) or config.model_dir is not None:
        return
    if config.twin is not None and not twin_folder(config).is_dir():
        say(f"building a model of the shape of {config.twin}, once")
        _build(config, twin_folder(config))
    elif config.twin is None and config.model_id is not None:
        _downloaded(config.model_id, local_only=False)


def twin_folder(config: ModelConfig) -> Path:
    home = os.environ.get("CAPSEXP_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capsexp"
    )
    return Path(home) / "twins" / f"{config.twin}{'-int8' if config.quantize else ''}"


def is_twin(config: EngineConfig) -> bool:
    """Whether the weights are random: its text means nothing."""
    if not isinstance(config, ModelConfig):
        return False
    try:
        root, _ = _root(config)
    except EngineError:
        return config.twin is not None and config.model_dir is None
    return bool(_below(root, "twin.json"))


def _build(config: ModelConfig, folder: Path) -> None:
    """In a process of its own: it takes memory that this one would keep."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "capsexp.twin", f"shape={config.twin}", f"out={folder}",
             f"quantize={config.quantize}"],
            capture_output=True, text=True, timeout=BUILD_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"engine.twin={config.twin}: was not made within {BUILD_S:.0f} s; "
            f"is the disk of {folder.parent} slow or full?"
        ) from None
    if done.returncode and not folder.is_dir():  # another process may have been faster
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise EngineError(f"engine.twin={config.twin}: {said.removeprefix('capsexp.twin: ')}")


def _downloaded(model_id: str, local_only: bool) -> Path:
    by_hand = "or download that model and give its folder as engine.model_dir"
    try:
        from modelscope.hub.snapshot_download import snapshot_download
    except ImportError:
        raise EngineError(
            f"engine.model_id={model_id}: needs the package modelscope (pip install modelscope), {by_hand}"
        ) from None
    try:
        return Path(snapshot_download(model_id, local_files_only=local_only))
    except Exception as error:  # whatever its network stack raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EngineError(
            f"engine.model_id={model_id}: cannot be fetched ({reason}); check the name and the network, {by_hand}"
        ) from None
