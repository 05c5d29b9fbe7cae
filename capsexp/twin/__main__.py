"""python -m capsexp.twin shape=paraformer-large out=DIR [quantize=true] [seed=0]"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path

from capsexp.errors import ConfigError, EngineError
from capsexp.plugins import nearest
from capsexp.tool import entry
from capsexp.twin import SHAPES, build, shape_named

KEYS = ("shape", "out", "quantize", "seed")


def run(argv: Sequence[str]) -> int:
    """Build one twin and say in one line what was written. Raises ConfigError."""
    values = dict(_pair(argument) for argument in argv)
    for key in ("shape", "out"):
        if not values.get(key):
            raise ConfigError(f"{key}= is missing; usage: {__doc__}")
    shape, out = shape_named(values["shape"]).name, Path(values["out"])
    try:
        build(shape, out, _number(values.get("seed", "0")), _flag(values.get("quantize", "false")))
    except OSError as error:
        raise EngineError(f"{out}: {error.strerror or error}; nothing was written") from error
    facts = json.loads((out / "twin.json").read_text("utf-8"))
    sizes = ", ".join(f"{file.name} {file.stat().st_size / 1e6:.1f} MB" for file in sorted(out.glob("*.onnx")))
    print(f"{out}: {facts['shape']}, {facts['parameters']:,} parameters, {sizes}; {facts['note']}")
    return 0


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if key not in KEYS:
        raise ConfigError(f"{key}: there is no such argument{nearest(key, KEYS)}")
    if not equals:
        raise ConfigError(f"{key}: give {key}=VALUE")
    return key, value


def _number(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"seed: {text!r} is not a whole number from 0")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ConfigError(f"quantize: {text!r} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a build that is stopped cleans up behind it
    raise SystemExit(entry(run, "capsexp.twin", f"{__doc__}\nshapes: {', '.join(SHAPES)}"))
