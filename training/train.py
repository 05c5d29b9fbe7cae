"""Training from features on disk to weights: seeded, logged, and it goes on from its last checkpoint.

Everything random of a step comes from (seed, step), so that a run that was interrupted ends as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training import data, features
from training.features import CENTRE_S, FRAME_S
from training.model import FARTHEST, Network

END_S = 0.3  # the weight of the end of text lies in this time after the last character
SAVE_EVERY = 250  # steps
SHORT, SHORT_EPOCHS = 100, 2  # frames
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """`frames` (of 60 ms, padding counted) and `utterances` bound a batch.

    The rate falls along cosines: towards `cosine`, from `settle` on towards `settled`, and from `last` on once more,
    from `last_rate` to zero at `steps`. From `settle` on, where the characters are counts in full, and from `last` on
    more so: by then they are nearly right, and in a long input small errors add up.
    """

    seed: int = 0
    steps: int = 6800
    cosine: int = 4800
    settle: int = 3500
    settled: int = 5200
    last: int = 4500
    last_rate: float = 4e-4
    frames: int = 1800
    utterances: int = 40
    rate: float = 2e-3
    warm_up: int = 400
    clip: float = 2.0
    decay: float = 0.01

    def rate_at(self, step: int) -> float:
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        if step >= self.last:
            done = (step - self.last) / (self.steps - self.last)
            return self.last_rate * 0.5 * (1 + math.cos(math.pi * done))
        if step >= self.settle:
            done = (step - self.settle) / (self.settled - self.settle)
            return self.rate_at(self.settle - 1) * 0.5 * (1 + math.cos(math.pi * done))
        done = (step - self.warm_up) / max(1, self.cosine - self.warm_up)
        return self.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def places(self, step: int) -> float | None:
        """What a character's distance from its place counts; None: relative to the length, at first."""
        return None if step < self.settle else 0.3 if step < self.last else 1.0

    def ctc_weight(self, step: int) -> float:
        return 0.5 if step < self.cosine // 4 else 0.2

    def as_heard(self, step: int) -> float:
        """The part of a batch whose weights are not scaled to the known count: as the model will be used."""
        return 0.7 if step >= self.settle else 0.5 * min(1.0, step / (self.cosine / 3))


class Corpus:
    """The training data in memory, with the numbers of its characters; `vocabulary` as in tokens.json."""

    def __init__(self, folder: Path, vocabulary: list[str]) -> None:
        self.examples = list(data.read(folder))
        if not self.examples:
            raise ValueError(f"{folder}: no training data")
        number = {character: n for n, character in enumerate(vocabulary)}
        self.tokens = [[number[c] for c in example.text] + [number["</s>"]] for example in self.examples]
        self.lengths = np.array([-(-len(example.features) // features.SHIFT) for example in self.examples])
        self.shift, self.scale = features.moments([e.features.astype(np.float32) for e in self.examples[:2000]])

    @property
    def hours(self) -> float:
        return float(self.lengths.sum() * FRAME_S / 3600)

    def batches(self, recipe: Recipe, epoch: int) -> list[list[int]]:
        """Every example once, those of about the same length together; at first, short ones alone: what sounds like
        what is learned sooner from them."""
        rng = np.random.default_rng((recipe.seed, 11, epoch))
        order = np.argsort(self.lengths * rng.uniform(0.95, 1.05, len(self.lengths)), kind="stable")
        if epoch < SHORT_EPOCHS:
            order = order[self.lengths[order] <= SHORT]
        made: list[list[int]] = []
        batch: list[int] = []
        longest = 0
        for index in map(int, order):
            longest = max(longest, int(self.lengths[index]))
            if batch and (longest * (len(batch) + 1) > recipe.frames or len(batch) == recipe.utterances):
                made.append(batch)
                batch, longest = [], int(self.lengths[index])
            batch.append(index)
        made.append(batch)
        return [made[n] for n in rng.permutation(len(made))]

    def inputs(self, batch: list[int], rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Normalized features (batch, frames, 560) and their lengths; with `rng`, a little is taken away."""
        speech = np.zeros((len(batch), int(self.lengths[batch].max()), features.MELS * features.WINDOW), np.float32)
        for row, index in enumerate(batch):
            plain = (self.examples[index].features.astype(np.float32) + self.shift) * self.scale
            if rng is not None:
                _mask(plain, rng)
            speech[row, : self.lengths[index]] = features.stack(plain)
        return torch.from_numpy(speech), torch.from_numpy(self.lengths[batch])

    def targets(self, batch: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (batch, longest) with -1 after their end, their counts, and how many have been said at each frame."""
        counts = np.array([len(self.tokens[index]) for index in batch])
        tokens = np.full((len(batch), int(counts.max())), -1, np.int64)
        places = np.zeros((len(batch), int(self.lengths[batch].max())), np.float32)
        for row, index in enumerate(batch):
            tokens[row, : counts[row]] = self.tokens[index]
            places[row] = said(self.examples[index], int(self.lengths[index]), places.shape[1])
        return torch.from_numpy(tokens), torch.from_numpy(counts), torch.from_numpy(places)


def said(example: data.Example, frames: int, longest: int) -> features.Array:
    """How many characters, and the end of the text as one more, have been said when each frame is over."""
    over = CENTRE_S + FRAME_S * (np.arange(longest) + 0.5)
    last = CENTRE_S + FRAME_S * (frames - 0.5)
    ended = min(float(example.ends[-1]) if len(example.ends) else 0.0, last - 2 * FRAME_S)
    starts, ends = np.append(example.starts, ended), np.append(example.ends, min(ended + END_S, last))
    return features.ramp(starts, ends, over)


def _mask(plain: features.Array, rng: np.random.Generator) -> None:
    """SpecAugment, lightly: bands and moments at their mean; and a tilt, as another microphone has."""
    plain += np.linspace(-1, 1, plain.shape[1], dtype=np.float32) * np.float32(rng.normal(0, 0.15)) + np.float32(
        rng.normal(0, 0.1)
    )
    for _ in range(int(rng.integers(0, 3))):
        low = int(rng.integers(0, plain.shape[1] - 10))
        plain[:, low : low + int(rng.integers(1, 11))] = 0
    for _ in range(int(rng.integers(0, 1 + max(1, len(plain) // 200)))):
        begin = int(rng.integers(0, len(plain)))
        plain[begin : begin + int(rng.integers(1, 9))] = 0


def train(recipe: Recipe, corpus: Corpus, network: Network, folder: Path, say: Say) -> None:
    """Train `network` in place; checkpoints go to `folder`, and the newest there is gone on from."""
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, (0.9, 0.98), weight_decay=recipe.decay, fused=True)
    step = _resume(recipe, network, optimizer, folder / "checkpoint.pt", say)
    schedule: list[list[int]] = []
    epoch = begin = 0
    started, sums = time.monotonic(), np.zeros(5)
    network.train()
    while step < recipe.steps:
        while step >= begin + len(schedule):
            begin += len(schedule)
            schedule = corpus.batches(recipe, epoch)
            epoch += 1
        batch = schedule[step - begin]
        rng = np.random.default_rng((recipe.seed, 12, step))
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        as_heard = torch.from_numpy(rng.random(len(batch)) < recipe.as_heard(step))
        first = int(rng.integers(1, FARTHEST)) if rng.random() < 0.5 else 1
        losses = network.losses(
            *corpus.inputs(batch, rng), *corpus.targets(batch), as_heard, first, recipe.places(step)
        )
        loss = losses.characters + recipe.ctc_weight(step) * losses.ctc + 2 * losses.count + losses.places
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        size = float(torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip))
        if not math.isfinite(size):
            raise ArithmeticError(f"step {step}: the gradient is {size}")
        optimizer.step()
        parts = (losses.characters, losses.ctc, losses.count, losses.places)
        sums += [*(float(part.detach()) for part in parts), 1]
        step += 1
        if step % 50 == 0:
            means = ", ".join(
                f"{name} {value:.3f}"
                for name, value in zip(("characters", "ctc", "count", "places"), sums[:4] / sums[4], strict=True)
            )
            pace = (time.monotonic() - started) / sums[4]
            say(f"step {step} of {recipe.steps}, epoch {epoch}: {means}; {pace:.2f} s a step")
            started, sums = time.monotonic(), np.zeros(5)
        if step % SAVE_EVERY == 0 or step == recipe.steps:
            _save(recipe, network, optimizer, step, folder / "checkpoint.pt", say)


def digest(network: torch.nn.Module) -> str:
    """Of all weights: two runs with the same are bit-identical."""
    import hashlib

    state = network.state_dict()
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()[:16]


def _save(recipe: Recipe, network: Network, optimizer: Any, step: int, path: Path, say: Say) -> None:
    state = {"recipe": asdict(recipe), "step": step}
    state |= {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    say(f"saved after step {step}: {digest(network)}")


def _resume(recipe: Recipe, network: Network, optimizer: Any, path: Path, say: Say) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise ValueError(f"{path} is of another recipe: {state['recipe']}; give an empty folder")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    say(f"going on after step {state['step']}")
    return int(state["step"])
