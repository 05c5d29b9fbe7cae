"""When each character begins: the finer head of the predictor, trained with everything else held still.

The head's weights add up to one more at every beginning, and once more at the end of the last character. They are
trained against a slope from one beginning to the next: put on the beginnings alone, a sum that falls short by a
rounding fires a whole character late.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import features
from training.features import Array
from training.model import Network, frame_mask
from training.train import Corpus, Recipe, Say, digest

STEP_S = 0.02  # s a weight stands for
READ_AT = 1.0  # weights: readers subtract 1.5, and the first weight that is past a time is half a one late on average
LEAD_S = 0.25  # before the first character, the slope begins so long before it
REST_S = 0.15  # after a pause, so long before the next
PAUSE_S = 0.1  # a gap from which it is a pause


def slope(starts: Array, ends: Array, length: int) -> Array:
    """(length,): i + 1 where character i begins, level in silence, whose length then need not be counted."""
    points, counts = [max(0.0, starts[0] - LEAD_S), starts[0]], [0.0, 1.0]
    for number, (end, start) in enumerate(zip(ends[:-1], starts[1:], strict=True), 1):
        if start - end >= PAUSE_S:
            points += [end, max(end, start - REST_S)]
            counts += [number + 0.5, number + 0.5]
        points.append(start)
        counts.append(number + 1.0)
    points.append(ends[-1])
    counts.append(len(starts) + 1.0)
    return np.interp((np.arange(length) - READ_AT) * STEP_S, np.maximum.accumulate(points), counts)


def train(recipe: Recipe, corpus: Corpus, network: Network, folder: Path, steps: int, say: Say) -> None:
    """Train the head in place; what was trained before is read from `folder`."""
    predictor = network.predictor
    head = torch.nn.ModuleList([predictor.upsample_cnn, predictor.blstm, predictor.cif_output2])
    done = folder / "timestamps.pt"
    if done.is_file():
        head.load_state_dict(torch.load(done, weights_only=True))
        say(f"timestamps: there already: {digest(head)}")
        return
    torch.nn.init.constant_(predictor.cif_output2.bias, -1.5)  # about 4 characters a second to begin with
    optimizer = torch.optim.AdamW(head.parameters(), recipe.rate, weight_decay=0.0, fused=True)
    batches = [[n for n in batch if corpus.examples[n].text] for batch in corpus.batches(recipe, 0)]  # short ones
    batches = [batch[: max(1, len(batch) // 3)] for batch in batches if batch]
    started, total = time.monotonic(), 0.0
    network.eval()
    for step in range(steps):
        batch = batches[step % len(batches)]
        rng = np.random.default_rng((recipe.seed, 13, step))
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / steps))
        speech, lengths = corpus.inputs(batch, rng)
        with torch.no_grad():
            hidden, _ = network.encode(speech, lengths)
        loss = _loss(network, hidden, lengths, *_targets(corpus, batch, lengths))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), recipe.clip)
        optimizer.step()
        total += float(loss.detach())
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / 50
            say(f"timestamps: step {step + 1} of {steps}: {total / 50:.4f}; {pace:.2f} s a step")
            started, total = time.monotonic(), 0.0
    torch.save(head.state_dict(), done)
    say(f"timestamps: saved: {digest(head)}")


def _targets(corpus: Corpus, batch: list[int], lengths: Tensor) -> tuple[Tensor, Tensor]:
    longest = int(lengths.max()) * 3
    wanted = np.zeros((len(batch), longest), np.float32)
    for row, index in enumerate(batch):
        example = corpus.examples[index]
        wanted[row] = slope(example.starts, example.ends, longest)
    return torch.from_numpy(wanted), torch.tensor([len(corpus.tokens[index]) for index in batch])


def _loss(network: Network, hidden: Tensor, lengths: Tensor, wanted: Tensor, counts: Tensor) -> Tensor:
    weights = network.predictor.times(hidden, lengths)
    mask = frame_mask(lengths * network.s.upsample)
    total = weights.sum(1)
    scaled = weights * (counts / total.clamp(min=1e-3))[:, None]
    steps = torch.diff(wanted, prepend=torch.zeros_like(wanted[:, :1]))
    places = ((scaled.cumsum(1) - wanted).abs() * mask).sum() / mask.sum()
    return places + 2 * ((scaled - steps).abs() * mask).sum() / mask.sum() + 0.1 * (total / counts - 1).abs().mean()


assert features.FRAME_S == 3 * STEP_S
