"""Tokens that look real: distinct Chinese characters, which both libraries join without spaces."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from capsexp.twin.sensevoice import specials
from capsexp.twin.shapes import Paraformer, SenseVoice

SENTENCEPIECE = "chn_jpn_yue_eng_ko_spectok.bpe.model"  # the name funasr-onnx opens


def tokens(shape: Paraformer | SenseVoice) -> list[str]:
    """`shape.vocabulary` distinct tokens; the place is the number."""
    if isinstance(shape, Paraformer):
        characters = _characters()
        words = [next(characters) for _ in range(shape.vocabulary - 4)]
        return ["<blank>", "<s>", "</s>", *words, "<unk>"]
    special = specials(shape)
    syllables = _distinct()
    first = min(special)
    words = [next(syllables) for _ in range(first - 3)]
    rest = [special.get(number, f"<|SPECIAL_TOKEN_{number}|>") for number in range(first, shape.vocabulary)]
    return ["<unk>", "<s>", "</s>", *words, *rest]


def _characters() -> Iterator[str]:
    """The 6763 characters of GB 2312, common ones first, then the others between U+4E00 and U+9FFF."""
    seen = set()
    for high in range(0xB0, 0xF8):
        for low in range(0xA1, 0xFF):
            character = bytes([high, low]).decode("gb2312", "ignore")
            if character:
                seen.add(character)
                yield character
    yield from (chr(code) for code in range(0x4E00, 0xA000) if chr(code) not in seen)


def _distinct() -> Iterator[str]:
    """All of them, then Korean syllables: SenseVoice has more tokens than there are Chinese characters."""
    yield from _characters()
    yield from (chr(code) for code in range(0xAC00, 0xD7A4))


def sentencepiece(words: list[str]) -> bytes:
    """A SentencePiece model that decodes number n to words[n], special tokens included."""
    pb = import_module("sentencepiece.sentencepiece_model_pb2")  # generated code, whose names no checker sees
    model = pb.ModelProto()
    model.trainer_spec.model_type = pb.TrainerSpec.BPE
    model.trainer_spec.vocab_size = len(words)
    model.normalizer_spec.name = "identity"
    kind = pb.ModelProto.SentencePiece
    for number, word in enumerate(words):
        special = kind.USER_DEFINED if word.startswith("<|") else kind.NORMAL
        piece = {0: kind.UNKNOWN, 1: kind.CONTROL, 2: kind.CONTROL}.get(number, special)
        model.pieces.add(piece=word, score=-float(number), type=piece)
    return bytes(model.SerializeToString(deterministic=True))
