"""python -m training.evaluate [model=DIR] [quantize=true] [engine=sherpa] [sets=heard,long] [cut=15] [out=FILE.json]
python -m training.evaluate [model=DIR] against=sherpa [sets=heard,long]
python -m training.evaluate sets=long write=DIR

How well a model folder does on sentences that nothing was trained on. Every set has a seed; nothing is selected on it.
Measured through the engines of capsexp, so through funasr-onnx (or sherpa-onnx) as it is installed. With `cut`, also
what segments of so many seconds and 2 s of overlap are merged into. `against` counts the texts that two engines give
alike. `write` writes the audio and its transcripts, for
samples=dir.
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
from training.augment import RATE, Audio
from training.data import Utterance


@dataclass(frozen=True)
class TestSet:
    """`count` held-out utterances of one kind, by `variants` of the voice."""

    seed: int
    kind: str
    count: int
    variants: tuple[str, ...]


SETS = {
    "heard": TestSet(1021, "one", 400, voice.HEARD),
    "unheard": TestSet(1022, "one", 400, voice.UNHEARD),
    "long": TestSet(1023, "long", 300, voice.HEARD),
    "long-unheard": TestSet(1024, "long", 300, voice.UNHEARD),
    "nothing": TestSet(1025, "nothing", 200, voice.HEARD),
}
OVERLAP_S = 2.0


def utterances(name: str) -> list[Utterance]:
    """A set, made in a process of its own, as espeak-ng's voices keep a state."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_make, (SETS[name],))


def _make(of: TestSet) -> list[Utterance]:
    speaker = data.Speaker((of.seed,), of.variants, held_out=True)
    return [speaker.utterance(of.kind) for _ in range(of.count)]


def measure(engine: Any, made: list[Utterance], seconds_cut: float | None = None) -> dict[str, Any]:
    """CER in percent over all characters, start errors in ms over the texts that are right, the real-time factor."""
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
        right = sum(r == h for r, h in spoken)
        result |= {"characters": sum(len(r) for r, _ in spoken), "cer": _cer(spoken)}
        result |= {"texts_right": round(100 * right / len(spoken), 1)}
    if errors:
        result |= {"start_ms_median": round(float(np.median(errors)), 1)}
        result |= {"start_ms_p95": round(float(np.percentile(errors, 95)), 1)}
    if seconds_cut is not None and spoken:
        both = [(u.text, *_merged(engine, u.audio, seconds_cut)) for u in made if u.text]
        result |= {
            "cer_merged": _cer([(r, t) for r, t, _ in both]),
            "cer_merged_accu": _cer([(r, t) for r, _, t in both]),
        }
    result["times_not_rising"] = int(falling)
    result["said_in_nothing"] = sum(bool(h) for r, h in zip(references, heard, strict=True) if not r)
    return result


def _cer(pairs: list[tuple[str, str]]) -> float:
    import jiwer

    return round(100 * jiwer.process_characters([r for r, _ in pairs], [h for _, h in pairs]).cer, 3)


def _merged(engine: Any, audio: Audio, seconds: float) -> tuple[str, str]:
    """`text` and `text_accu`, as a server gives them."""
    from capsexp.segments import Cut, Merger, cut_all

    cut = Cut.of(seconds, OVERLAP_S)
    merger = Merger(cut)
    for segment in cut_all(audio, cut):
        merger.add(segment.start, segment.last, engine.recognize(segment.audio, segment.start, segment.shared))
    return merger.text, merger.text_accu


def write(folder: Path, name: str) -> None:
    """The set as wav files, each with its transcript beside it."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for number, made in enumerate(utterances(name)):
        soundfile.write(folder / f"{name}-{number:03d}.wav", made.audio, RATE, "PCM_16")
        (folder / f"{name}-{number:03d}.txt").write_text(made.text + "\n", "utf-8")


def engine(kind: str, folder: str | None, quantize: bool) -> Any:
    from capsexp.engines import base
    from capsexp.engines.paraformer import ParaformerConfig
    from capsexp.engines.sherpa import SherpaConfig

    config = {"paraformer": ParaformerConfig, "sherpa": SherpaConfig}[kind]
    return base.load(config(model_dir=folder, quantize=quantize), threads=1)


def alike(one: Any, other: Any, made: list[Utterance]) -> str:
    """How many texts are the same, and those that are not."""
    both = [["".join(engine.recognize(u.audio).tokens) for engine in (one, other)] for u in made]
    differing = [f"{a} / {b}" for a, b in both if a != b]
    return "\n  ".join([f"{len(both) - len(differing)} of {len(both)} texts alike", *differing])


def results(
    kind: str, folder: str | None, quantize: bool, names: Sequence[str], seconds_cut: float | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures of one set after another."""
    loaded = engine(kind, folder, quantize)
    for name in names:
        yield name, measure(loaded, utterances(name), seconds_cut)


def main(arguments: Sequence[str]) -> int:
    given = dict(argument.split("=", 1) for argument in arguments)
    names = given["sets"].split(",") if "sets" in given else list(SETS)
    if "write" in given:
        for name in names:
            write(Path(given["write"]), name)
        return 0
    if "against" in given:
        one, other = (engine(kind, given.get("model"), False) for kind in ("paraformer", given["against"]))
        for name in names:
            print(f"{name:14}{alike(one, other, utterances(name))}", flush=True)
        return 0
    found = {}
    seconds_cut = float(given["cut"]) if "cut" in given else None
    quantize = given.get("quantize", "false") == "true"
    kind = given.get("engine", "paraformer")
    for name, result in results(kind, given.get("model"), quantize, names, seconds_cut):
        found[name] = result
        print(f"{name:14}" + "  ".join(f"{key} {value}" for key, value in result.items()), flush=True)
    if "out" in given:
        Path(given["out"]).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
