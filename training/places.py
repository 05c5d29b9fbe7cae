"""Where characters end: the predictor alone, trained further with all else held still.

In a long input the errors of single characters add up until two are mixed. The encoder need not be run backwards to
mend this, so that many more inputs are seen in the same time.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from training.model import FAR, Network, misplaced
from training.train import Corpus, Recipe, Say, digest

RATE = 1e-3


def train(recipe: Recipe, corpus: Corpus, network: Network, folder: Path, steps: int, say: Say) -> None:
    """Train the predictor in place; what was trained before is read from `folder`."""
    predictor = network.predictor
    head = torch.nn.ModuleList([predictor.cif_conv1d, predictor.cif_output])
    done = folder / "places.pt"
    if done.is_file():
        head.load_state_dict(torch.load(done, weights_only=True))
        say(f"places: there already: {digest(head)}")
        return
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.0, fused=True)
    batches, silent = corpus.batches(recipe, 998), _silent(corpus)
    started, sums = time.monotonic(), np.zeros(2)
    network.eval()
    for step in range(steps):
        batch = silent[step // 4 % len(silent)] if step % 4 == 3 else batches[step % len(batches)]
        rng = np.random.default_rng((recipe.seed, 14, step))
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        speech, lengths = corpus.inputs(batch, rng)
        _, counts, middles = corpus.targets(batch)
        with torch.no_grad():
            hidden, mask = network.encode(speech, lengths)
        weights = predictor(hidden, mask)
        _, apart = misplaced(weights, mask, middles)
        wrong = (weights.sum(1) - counts).abs().clamp(max=FAR).mean()
        optimizer.zero_grad(set_to_none=True)
        (3 * apart + 0.3 * wrong).backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), recipe.clip)
        optimizer.step()
        sums += [float(part.detach()) for part in (apart, wrong)]
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / 50
            off_by = "sums {:.3f}, count {:.3f}".format(*sums / 50)
            say(f"places: step {step + 1} of {steps}: {off_by}; {pace:.2f} s a step")
            started, sums = time.monotonic(), np.zeros(2)
    torch.save(head.state_dict(), done)
    say(f"places: saved: {digest(head)}")


def _silent(corpus: Corpus) -> list[list[int]]:
    """Batches in which nothing is said: over a long silence little errors add up to a character too."""
    silent = [int(n) for n in np.argsort(corpus.lengths, kind="stable") if not corpus.examples[n].text]
    return [silent[n : n + 12] for n in range(0, len(silent), 12)]
