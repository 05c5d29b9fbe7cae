"""Training from features on disk to weights: seeded, logged, and it goes on from its last checkpoint.

Everything random of a step comes from (seed, step), so that a run that was interrupted ends as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training import data, features
from training.features import CENTRE_S, FRAME_S
from training.model import FARTHEST, Network

SAVE_EVERY = 250  # steps
JUMP_EVERY, JUMP, DRIFT = 40, 0.25, 0.45  # frames, characters, characters
SHORT, SHORT_EPOCHS = 100, 2  # frames
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """`frames` (of 60 ms, padding counted) and `utterances` bound a batch; the rate falls along a cosine.

    From `settle` on, the frames that stand for characters are nearly right, and what counts is their running sum: in a
    long input small errors add up. It also makes weights nearly 0 or 1 where frames are about as good as each other.
    """

    seed: int = 0
    steps: int = 7000
    settle: int = 3000
    frames: int = 1800
    utterances: int = 40
    rate: float = 2e-3
    warm_up: int = 400
    clip: float = 2.0
    decay: float = 0.01

    def rate_at(self, step: int) -> float:
        done = (step - self.warm_up) / (self.steps - self.warm_up)
        return self.rate * min((step + 1) / self.warm_up, 0.5 * (1 + math.cos(math.pi * max(0.0, done))))

    def frames_weight(self, step: int) -> float:
        return 1.0 if step < self.settle else 0.1

    def sums_weight(self, step: int) -> float:
        return 0.3 if step < self.settle else 2.0

    def ctc_weight(self, step: int) -> float:
        return 0.5 if step < self.steps // 4 else 0.2

    def as_heard(self, step: int) -> float:
        """The part of a batch that is cut by predicted weights: as the model will be used."""
        return 0.7 * min(1.0, step / self.settle)


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
        """Tokens (batch, longest) with -1 after their end, their counts, and the frames (batch, frames) that stand for
        one each."""
        counts = np.array([len(self.tokens[index]) for index in batch])
        tokens = np.full((len(batch), int(counts.max())), -1, np.int64)
        middles = np.zeros((len(batch), int(self.lengths[batch].max())), np.float32)
        for row, index in enumerate(batch):
            tokens[row, : counts[row]] = self.tokens[index]
            middles[row, middle(self.examples[index], int(self.lengths[index]))] = 1
        return torch.from_numpy(tokens), torch.from_numpy(counts), torch.from_numpy(middles)


def middle(example: data.Example, frames: int) -> npt.NDArray[np.int64]:
    """The frame of each character's middle, and the last for the end of the text; no frame twice."""
    at = np.rint(((example.starts + example.ends) / 2 - CENTRE_S) / FRAME_S).astype(np.int64)
    order = np.arange(len(at))
    at = np.maximum.accumulate(at - order) + order  # later, where two are in one
    return np.append(np.clip(at, 0, frames - 1 - len(at) + order), frames - 1)


def drifts(rng: np.random.Generator, rows: int, frames: int) -> Tensor:
    """By how much running sums are off in (rows, frames), half of the rows: it jumps now and then, but stays below half
    a character. So small errors add up in a long input, which must not keep its characters from being told."""
    jumps = (rng.random((rows, frames)) < 1 / JUMP_EVERY) * rng.normal(0, JUMP, (rows, frames))
    within = np.abs((jumps.cumsum(1) - DRIFT) % (4 * DRIFT) - 2 * DRIFT) - DRIFT
    return torch.from_numpy((within * (rng.random((rows, 1)) < 0.5)).astype(np.float32))


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
    started, sums = time.monotonic(), np.zeros(6)
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
        drift = drifts(rng, len(batch), int(corpus.lengths[batch].max()))
        losses = network.losses(*corpus.inputs(batch, rng), *corpus.targets(batch), as_heard, drift, first)
        loss = (
            losses.characters
            + recipe.ctc_weight(step) * losses.ctc
            + 2 * losses.count
            + recipe.frames_weight(step) * losses.frames
        )
        loss = loss + recipe.sums_weight(step) * losses.sums
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        size = float(torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip))
        if not math.isfinite(size):
            raise ArithmeticError(f"step {step}: the gradient is {size}")
        optimizer.step()
        parts = {part.name: float(getattr(losses, part.name).detach()) for part in fields(losses)}
        sums += [*parts.values(), 1]
        step += 1
        if step % 50 == 0:
            means = ", ".join(f"{name} {value:.3f}" for name, value in zip(parts, sums[:-1] / sums[-1], strict=True))
            pace = (time.monotonic() - started) / sums[-1]
            say(f"step {step} of {recipe.steps}, epoch {epoch}: {means}; {pace:.2f} s a step")
            started, sums = time.monotonic(), np.zeros(6)
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
