"""The network in torch, for training. Its parameters are named as those of the graph in `capsexp.twin`, which is what
is exported: one definition of each part here, one there, and `export` checks that they agree.

The torch package of FunASR is not used: it is large, and its integrate-and-fire fails in training where nothing fires.
Layouts are (batch, time, features); masks are 1.0 where a frame is real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from capsexp.twin.paraformer import BLANK, END
from capsexp.twin.sanm import EPSILON
from capsexp.twin.shapes import Paraformer

BESIDE = 0.2  # of a character's weight lies on each side of its middle, as predicted weights do
FAR = 2.0  # characters: sums that are further off count no more; their slopes would drown all others
FARTHEST = 1000  # frames: positions in training begin anywhere below, so that long inputs have none never seen


def shape(vocabulary: int) -> Paraformer:
    """The geometry, for so many characters; the special tokens come on top."""
    return Paraformer(
        "paraformer-mini", vocabulary=vocabulary + 4, width=128, ffn=384, blocks=6, decoder_blocks=2,
        smooth_factor2=0.5, noise_threshold2=0.01,
    )  # fmt: skip


def frame_mask(lengths: Tensor) -> Tensor:
    """(batch,) to (batch, longest)."""
    return (torch.arange(int(lengths.max())) < lengths[:, None]).float()


def norm(size: int) -> nn.LayerNorm:
    return nn.LayerNorm(size, eps=EPSILON)


class Memory(nn.Module):
    """The FSMN memory: x and a depthwise convolution of it."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.fsmn_block = nn.Conv1d(width, width, kernel, groups=width, bias=False)
        self.sides = ((kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x * mask[:, :, None]
        around = functional.pad(x.transpose(1, 2), self.sides)
        return (self.fsmn_block(around).transpose(1, 2) + x) * mask[:, :, None]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor) -> Tensor:
    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    allowed = mask[:, None, None, :].bool()
    mixed = functional.scaled_dot_product_attention(split(query), split(key), split(value), attn_mask=allowed)
    return mixed.transpose(1, 2).flatten(2)


class SelfAttention(Memory):
    """Attention, and the memory of its values."""

    def __init__(self, size: int, width: int, heads: int, kernel: int) -> None:
        super().__init__(width, kernel)
        self.linear_q_k_v = nn.Linear(size, 3 * width)
        self.linear_out = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.linear_q_k_v(x).chunk(3, -1)
        memory = super().forward(value, mask)
        return memory + self.linear_out(attend(query, key, value, self.heads, mask))


class CrossAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.linear_q = nn.Linear(width, width)
        self.linear_k_v = nn.Linear(width, 2 * width)
        self.linear_out = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        key, value = self.linear_k_v(hidden).chunk(2, -1)
        return self.linear_out(attend(self.linear_q(x), key, value, self.heads, mask))


class FeedForward(nn.Module):
    """With a layer norm inside and no last bias if `normed`, as in the decoder."""

    def __init__(self, width: int, inner: int, normed: bool) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width, bias=not normed)
        self.norm = norm(inner) if normed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.norm(self.w_1(x).relu()))


class EncoderBlock(nn.Module):
    def __init__(self, size: int, s: Paraformer) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(size), norm(s.width)
        self.self_attn = SelfAttention(size, s.width, s.heads, s.kernel)
        self.feed_forward = FeedForward(s.width, s.ffn, normed=False)
        self.first = size != s.width

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        attended = self.self_attn(self.norm1(x), mask)
        x = attended if self.first else x + attended
        return x + self.feed_forward(self.norm2(x))


class Encoder(nn.Module):
    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.encoders0 = nn.ModuleList([EncoderBlock(s.features, s)])
        self.encoders = nn.ModuleList([EncoderBlock(s.width, s) for _ in range(s.blocks - 1)])
        self.after_norm = norm(s.width)
        self.scale = s.width**0.5

    def forward(self, speech: Tensor, mask: Tensor, first: int) -> Tensor:
        x = speech * self.scale + positions(speech, first)
        for block in (*self.encoders0, *self.encoders):
            x = block(x, mask)
        return self.after_norm(x)


def positions(x: Tensor, first: int) -> Tensor:
    """Sines, then cosines, counted from `first`."""
    size = x.shape[-1]
    rate = torch.exp(torch.arange(size // 2) * (-math.log(10000) / (size / 2 - 1)))
    angle = torch.arange(first, first + x.shape[1])[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)


class Bidirectional(nn.LSTM):
    """One layer over padded sequences, batch first, each read to its own end."""

    def run(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class Predictor(nn.Module):
    """What a frame weighs, so that a character ends where the weights add up to one; and, finer, when it begins."""

    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.cif_conv1d = nn.Conv1d(s.width, s.width, 3, padding=1)
        self.cif_output = nn.Linear(s.width, 1)
        self.upsample_cnn = nn.ConvTranspose1d(s.width, s.width, s.upsample, stride=s.upsample)
        self.blstm = Bidirectional(s.width, s.width, batch_first=True, bidirectional=True)
        self.cif_output2 = nn.Linear(2 * s.width, 1)
        self.s = s
        nn.init.constant_(self.cif_output.bias, -1.2)  # about 4 characters a second to begin with

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Weights, (batch, frames)."""
        near = self.cif_conv1d((hidden * mask[:, :, None]).transpose(1, 2)).relu().transpose(1, 2)
        return self.cif_output(near).sigmoid().squeeze(-1) * mask

    def times(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The finer weights, (batch, frames x upsample), not yet scaled to the number of characters."""
        up = self.upsample_cnn(hidden.transpose(1, 2)).transpose(1, 2)
        score = self.cif_output2(self.blstm.run(up, lengths * self.s.upsample)).sigmoid().squeeze(-1)
        weights = (score * self.s.smooth_factor2 - self.s.noise_threshold2).relu()
        return weights * frame_mask(lengths * self.s.upsample)


def fire(weights: Tensor, hidden: Tensor, count: int) -> Tensor:
    """The first `count` characters' vectors (batch, count, width): frames summed by what of them lies in each unit.

    The same as integrating and firing frame by frame where no weight is above one.
    """
    after = weights.cumsum(1)
    unit = torch.arange(count)[None, :, None]
    low = torch.maximum((after - weights)[:, None, :], unit)
    high = torch.minimum(after[:, None, :], unit + 1)
    return (high - low).clamp(min=0) @ hidden


def astray(weights: Tensor, middles: Tensor) -> Tensor:
    """How far the running sum (batch, frames) is from what it would be if each middle were a frame earlier or later."""
    sums, wanted = weights.cumsum(1), middles.cumsum(1)
    late = functional.pad(wanted, (1, 0))[:, :-1]
    early = torch.cat([wanted[:, 1:], wanted[:, -1:]], 1)
    return (late - sums).clamp(min=0) + (sums - early).clamp(min=0)


def as_cut(weights: Tensor, counts: Tensor, middles: Tensor, as_heard: Tensor, drift: Tensor) -> Tensor:
    """The weights as predicted, as in use, for rows of `as_heard` that are right enough; for others, true ones, whose
    running sums are off by `drift`.

    Where the count is wrong, or the place by more than half a character, each would be taught another's name.
    """
    right = ((weights.sum(1) - counts).abs() < 0.5) & (astray(weights, middles).amax(1) < 0.6)
    beside = functional.pad(middles, (1, 1))
    true = (1 - 2 * BESIDE) * middles + BESIDE * (beside[:, 2:] + beside[:, :-2])
    sums = (true.cumsum(1) + drift).clamp(min=0).cummax(1).values
    return torch.where((as_heard & right)[:, None], weights, torch.diff(sums, prepend=torch.zeros_like(sums[:, :1])))


def misplaced(weights: Tensor, mask: Tensor, middles: Tensor) -> tuple[Tensor, Tensor]:
    """On average over frames: the cross entropy of weights and middles, and how far their sums are apart."""
    here = functional.binary_cross_entropy(weights, middles, reduction="none")
    apart = (weights.cumsum(1) - middles.cumsum(1)).abs().clamp(max=FAR)
    return (here * mask).sum() / mask.sum(), (apart * mask).sum() / mask.sum()


def naming(scores: Tensor, tokens: Tensor) -> Tensor:
    """The cross entropy of scores (batch, longest, vocabulary) and tokens (batch, longest), -1 where there is none."""
    return functional.cross_entropy(scores.flatten(0, 1), tokens.flatten(), ignore_index=-1, label_smoothing=0.05)


class DecoderBlock(nn.Module):
    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = norm(s.width), norm(s.width), norm(s.width)
        self.feed_forward = FeedForward(s.width, s.ffn, normed=True)
        self.self_attn = Memory(s.width, s.kernel)
        self.src_attn = CrossAttention(s.width, s.heads)

    def forward(self, x: Tensor, real: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        fed = self.norm2(self.feed_forward(self.norm1(x)))
        x = x + self.self_attn(fed, real)
        return x + self.src_attn(self.norm3(x), hidden, mask)


class LastBlock(nn.Module):
    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.norm1 = norm(s.width)
        self.feed_forward = FeedForward(s.width, s.ffn, normed=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.feed_forward(self.norm1(x))


class Decoder(nn.Module):
    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.decoders = nn.ModuleList([DecoderBlock(s) for _ in range(s.decoder_blocks)])
        self.decoders3 = nn.ModuleList([LastBlock(s)])
        self.after_norm = norm(s.width)
        self.output_layer = nn.Linear(s.width, s.vocabulary)

    def forward(self, x: Tensor, real: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        for block in self.decoders:
            x = block(x, real, hidden, mask)
        return self.output_layer(self.after_norm(self.decoders3[0](x)))


@dataclass
class Losses:
    """Each a scalar: of characters, of their alignment-free reading, of how many there are, of which frames stand for
    them, and of the sum of these, which must not run away."""

    characters: Tensor
    ctc: Tensor
    count: Tensor
    frames: Tensor
    sums: Tensor


class Network(nn.Module):
    def __init__(self, s: Paraformer) -> None:
        super().__init__()
        self.s = s
        self.encoder, self.predictor, self.decoder = Encoder(s), Predictor(s), Decoder(s)
        self.ctc = nn.Linear(s.width, s.vocabulary)  # for training only

    def encode(self, speech: Tensor, lengths: Tensor, first: int = 1) -> tuple[Tensor, Tensor]:
        mask = frame_mask(lengths)
        return self.encoder(speech, mask, first), mask

    def losses(
        self,
        speech: Tensor,
        lengths: Tensor,
        tokens: Tensor,
        counts: Tensor,
        middles: Tensor,
        as_heard: Tensor,
        drift: Tensor,
        first: int,
    ) -> Losses:
        """speech (batch, frames, features); tokens (batch, longest), END last, -1 after it, `counts` of them; middles
        (batch, frames), 1 where one of them is. Where `as_heard` (batch,), characters are cut by the predicted weights,
        as in use, if those are right enough; elsewhere by true ones whose running sums are off by `drift` (batch,
        frames).
        """
        hidden, mask = self.encode(speech, lengths, first)
        weights = self.predictor(hidden, mask)
        vectors = fire(as_cut(weights, counts, middles, as_heard, drift), hidden, tokens.shape[1])
        characters = naming(self.decoder(vectors, frame_mask(counts), hidden, mask), tokens)
        logs = self.ctc(hidden).log_softmax(-1).transpose(0, 1)
        spoken = (counts - 1).clamp(min=0)  # without END
        targets = tokens.clamp(min=0)
        ctc = functional.ctc_loss(logs, targets, lengths, spoken, BLANK, reduction="none", zero_infinity=True)
        short = (weights.sum(1) - counts).abs().mean() / counts.float().mean()
        return Losses(characters, (ctc / counts).mean(), short, *misplaced(weights, mask, middles))

    def scores(self, speech: Tensor) -> tuple[Tensor, Tensor]:
        """As the exported graph: of one input, log scores (1, tokens, vocabulary) and fine weights (1, frames x 3)."""
        lengths = torch.tensor([speech.shape[1]])
        hidden, mask = self.encode(speech, lengths)
        weights = self.predictor(hidden, mask)
        count = (weights.sum(1) + self.s.tail_threshold).floor().long()
        vectors = fire(weights, hidden, int(count))
        logs = self.decoder(vectors, frame_mask(count), hidden, mask).log_softmax(-1)
        fine = self.predictor.times(hidden, lengths)
        return logs, fine * count / fine.sum()

    @torch.no_grad()
    def read(self, speech: Tensor, lengths: Tensor) -> list[list[int]]:
        """The characters' numbers of each input, as the exported graph gives them."""
        hidden, mask = self.encode(speech, lengths)
        weights = self.predictor(hidden, mask)
        counts = (weights.sum(1) + self.s.tail_threshold).floor().long()
        if not int(counts.max()):
            return [[] for _ in counts]
        vectors = fire(weights, hidden, int(counts.max()))
        best = self.decoder(vectors, frame_mask(counts), hidden, mask).argmax(-1)
        kept = [row[:count].tolist() for row, count in zip(best, counts.tolist(), strict=True)]
        return [[n for n in row if n not in (BLANK, END)] for row in kept]
