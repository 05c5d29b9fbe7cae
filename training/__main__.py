"""python -m training out=DIR work=DIR [seed=0] [utterances=12000] [steps=7000] [processes=2] [quantize=false]

From nothing to a model folder: speech is made, the network is trained, then its timestamp head, and all is written to
`out`. What is in `work` already is gone on from. The log is on the screen and in work/log.txt.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

NUMBERS = {"seed": 0, "utterances": 12000, "steps": 7000, "places_steps": 1000, "times_steps": 600, "processes": 2}


def main(arguments: Sequence[str]) -> int:
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if set(given) - {*NUMBERS, "out", "work", "quantize"} or not {"out", "work"} <= set(given):
        print(__doc__)
        return 2
    numbers = {name: int(given.get(name, default)) for name, default in NUMBERS.items()}
    work, out = Path(given["work"]), Path(given["out"])
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (work / "log.txt").open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            line = f"{time.monotonic() - began:7.0f} s  {line}"
            print(line, flush=True)
            print(line, file=log, flush=True)

        from training import data

        data.build(work / "data", numbers["seed"], numbers["utterances"], numbers["processes"], say)
        _train(work, out, numbers, given.get("quantize", "false") == "true", say)
    return 0


def _train(work: Path, out: Path, numbers: dict[str, int], quantize: bool, say: Callable[[str], None]) -> None:
    import torch

    from training import data, export, model, places, texts, timestamps, train

    # One thread, and nothing whose order of adding depends on chance: a rerun on the same machine gives the same bits.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.manual_seed(numbers["seed"])
    vocabulary = ["<blank>", "<s>", "</s>", *texts.read().characters, "<unk>"]
    corpus = train.Corpus(work / "data", vocabulary)
    network = model.Network(model.shape(len(vocabulary) - 4))
    recipe = train.Recipe(seed=numbers["seed"], steps=numbers["steps"])
    made = data.digest(work / "data")
    say(f"{len(corpus.examples)} utterances, {corpus.hours:.1f} h; data {made}; torch {torch.__version__}")
    train.train(recipe, corpus, network, work, say)
    places.train(recipe, corpus, network, work, numbers["places_steps"], say)
    timestamps.train(recipe, corpus, network, work, numbers["times_steps"], say)
    facts: dict[str, object] = {
        **{name: numbers[name] for name in NUMBERS if name != "processes"},
        "hours": round(corpus.hours, 2), "data": made, "weights": train.digest(network),
        "torch": torch.__version__, "machine": platform.machine(),
    }  # fmt: skip
    export.write(network, out, vocabulary, np.asarray(corpus.shift), np.asarray(corpus.scale), facts, quantize)
    speech, _ = corpus.inputs([int(np.argsort(corpus.lengths)[len(corpus.lengths) // 2])], None)
    say(f"{out}: torch and ONNX Runtime differ by {export.check(network, out, speech):.1e}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
