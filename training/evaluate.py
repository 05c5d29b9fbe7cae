"""python -m training.evaluate [model=DIR] [quantize=true] [engine=sherpa] [sets=heard,long] [out=FILE.json]

How well a model folder does on sentences that nothing was trained on. Every set has a seed; nothing is selected on it.
Measured through the engines of capsexp, so through funasr-onnx (or sherpa-onnx) as it is installed.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training import data, voice
from training.augment import RATE
from training.data import Utterance


@dataclass(frozen=True)
class TestSet:
    """`count` held-out utterances of one kind, by `variants` of the voice."""

    seed: int
    kind: str
    count: int
    variants: tuple[str, ...]


SETS = {
    "heard": TestSet(1001, "one", 400, voice.HEARD),
    "unheard": TestSet(1002, "one", 400, voice.UNHEARD),
    "long": TestSet(1003, "long", 300, voice.HEARD),
    "long-unheard": TestSet(1004, "long", 300, voice.UNHEARD),
    "nothing": TestSet(1005, "nothing", 200, voice.HEARD),
}
LONGEST_UNIT_S = 0.5  # a start further off than this is another character's


def utterances(name: str) -> list[Utterance]:
    """A set, made in a process of its own, as espeak-ng's voices keep a state."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_make, (SETS[name],))


def _make(of: TestSet) -> list[Utterance]:
    speaker = data.Speaker((of.seed,), of.variants, held_out=True)
    return [speaker.utterance(of.kind) for _ in range(of.count)]


def measure(engine: Any, made: list[Utterance]) -> dict[str, Any]:
    """CER in percent over all characters, start errors in ms over the texts that are right, the real-time factor."""
    import jiwer

    references, heard, errors, falling, spent = [], [], [], 0, 0.0
    for utterance in made:
        began = time.perf_counter()
        found = engine.recognize(utterance.audio)
        spent += time.perf_counter() - began
        references.append(utterance.text)
        heard.append("".join(found.tokens))
        falling += found.times != sorted(found.times)
        if heard[-1] == utterance.text:
            errors += list(1000 * np.abs(np.array(found.times) - utterance.starts))
    seconds = sum(len(u.audio) for u in made) / RATE
    spoken = [(r, h) for r, h in zip(references, heard, strict=True) if r]
    result: dict[str, Any] = {"utterances": len(made), "seconds": round(seconds, 1), "rtf": round(spent / seconds, 5)}
    if spoken:
        counted = jiwer.process_characters([r for r, _ in spoken], [h for _, h in spoken])
        right = sum(r == h for r, h in spoken)
        result |= {"characters": sum(len(r) for r, _ in spoken), "cer": round(100 * counted.cer, 3)}
        result |= {"texts_right": round(100 * right / len(spoken), 1)}
    if errors:
        result |= {"start_ms_median": round(float(np.median(errors)), 1)}
        result |= {"start_ms_p95": round(float(np.percentile(errors, 95)), 1)}
    result["times_not_rising"] = int(falling)
    result["said_in_nothing"] = sum(bool(h) for r, h in zip(references, heard, strict=True) if not r)
    return result


def engine(kind: str, folder: str | None, quantize: bool) -> Any:
    from capsexp.config import ParaformerConfig, SherpaConfig
    from capsexp.engines import base

    config = {"paraformer": ParaformerConfig, "sherpa": SherpaConfig}[kind]
    return base.load(config(model_dir=folder, quantize=quantize), threads=1)


def results(
    kind: str, folder: str | None, quantize: bool, names: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures of one set after another."""
    loaded = engine(kind, folder, quantize)
    for name in names:
        yield name, measure(loaded, utterances(name))


def main(arguments: Sequence[str]) -> int:
    given = dict(argument.split("=", 1) for argument in arguments)
    names = given["sets"].split(",") if "sets" in given else list(SETS)
    found = {}
    quantize = given.get("quantize", "false") == "true"
    for name, result in results(given.get("engine", "paraformer"), given.get("model"), quantize, names):
        found[name] = result
        print(f"{name:14}" + "  ".join(f"{key} {value}" for key, value in result.items()), flush=True)
    if "out" in given:
        Path(given["out"]).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
