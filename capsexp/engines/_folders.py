"""Where a model's files are: in a folder of the user's, in a download, or in the cache of twins.

People have these folders as FunASR's exporter writes them, as ModelScope downloads them (some levels deeper), or as
CapsWriter ships them (for sherpa-onnx). Whichever is given is searched for the files that the engine needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from capsexp.errors import EngineError

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "paraformer-mini"  # what training/ makes
FETCH_S = 7200.0  # s, for a gigabyte over a slow line
BUILD_S = 900.0  # s, for a twin of the largest shape on a slow disk
BY_HAND = "download that model and give its folder as engine.model_dir"
DEPTH = 6  # levels below the given folder; ModelScope's cache has five
Needs = Sequence[Sequence[str]]  # each entry: names of which one must be there, the preferred first


class Named(Protocol):
    """How a model is named in the settings."""

    name: str
    model_dir: str | None
    model_id: str | None
    twin: str | None
    quantize: bool

    @property
    def shipped(self) -> bool: ...


def find(config: Named, needs: Needs, hint: str = "") -> list[Path]:
    """The files, one for each of `needs`, all of one folder; raises EngineError that says what is missing."""
    return search(*_root(config), needs, hint)


def search(root: Path, given: str, needs: Needs, hint: str) -> list[Path]:
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


def _root(config: Named) -> tuple[Path, str]:
    """The folder to search, and how the user named it."""
    if config.model_dir is not None:
        return Path(config.model_dir).expanduser(), f"engine.model_dir={config.model_dir}"
    if config.twin is not None:
        root = twin_folder(config)
        if not root.is_dir():
            raise EngineError(f"engine.twin={config.twin}: not built yet; python -m capsexp does it")
        return root, f"engine.twin={config.twin}"
    if config.model_id is not None:
        return _fetched(config.model_id), f"engine.model_id={config.model_id}"
    if config.shipped:
        return SHIPPED, f"engine={config.name}"
    raise EngineError(f"engine={config.name}: no model named")  # refused when the configuration was checked


def prepare(config: Named, say: Callable[[str], None]) -> None:
    """Build or fetch, once, what several processes will look for; raises EngineError."""
    if config.model_dir is not None:
        return
    if config.twin is not None and not twin_folder(config).is_dir():
        say(f"building a model of the shape of {config.twin}, once")
        _build(config, twin_folder(config))
    elif config.twin is None and config.model_id is not None:
        _fetch(config.model_id)


def twin_folder(config: Named) -> Path:
    home = os.environ.get("CAPSEXP_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "capsexp"
    )
    return Path(home) / "twins" / f"{config.twin}{'-int8' if config.quantize else ''}"


def is_twin(config: Named) -> bool:
    """Whether the weights are random: its text means nothing."""
    try:
        root, _ = _root(config)
    except EngineError:
        return config.twin is not None and config.model_dir is None
    return bool(_below(root, "twin.json"))


def _build(config: Named, folder: Path) -> None:
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
        said = (done.stderr.strip() or "no output").splitlines()[-1]
        raise EngineError(f"engine.twin={config.twin}: {said.removeprefix('capsexp.twin: ')}")


def _fetch(model_id: str) -> None:
    """In a process of its own, which can be ended: nobody knows how long its network stack waits."""
    _need_hub(model_id)
    command = [sys.executable, "-m", "capsexp.engines._fetch", model_id]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=FETCH_S)  # its progress is on stderr
    except subprocess.TimeoutExpired:
        raise EngineError(f"engine.model_id={model_id}: was not fetched within {FETCH_S:.0f} s; {BY_HAND}") from None
    if done.returncode:
        raise _unfetched(model_id, (done.stdout.splitlines() or [f"it ended with code {done.returncode}"])[-1])


def _need_hub(model_id: str) -> None:
    if find_spec("modelscope") is None:
        raise EngineError(
            f"engine.model_id={model_id}: needs the package modelscope (pip install modelscope), or {BY_HAND}"
        )


def _unfetched(model_id: str, reason: str) -> EngineError:
    return EngineError(
        f"engine.model_id={model_id}: cannot be fetched ({reason}); check the name and the network, or {BY_HAND}"
    )


def _fetched(model_id: str) -> Path:
    """Where it is, once it was fetched."""
    _need_hub(model_id)
    from modelscope.hub.snapshot_download import snapshot_download

    try:
        return Path(snapshot_download(model_id, local_files_only=True))
    except Exception as error:
        raise _unfetched(model_id, (str(error).splitlines() or [type(error).__name__])[0]) from None
