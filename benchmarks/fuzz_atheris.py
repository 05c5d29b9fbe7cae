"""Coverage-guided: atheris on the message handler and the merge (pip install atheris). Runs until it finds something:

python benchmarks/fuzz_atheris.py -max_total_time=60
"""

from __future__ import annotations

import math
import sys

import atheris

with atheris.instrument_imports(include=["capsexp", "json", "base64"]):
    from capsexp.protocol import ProtocolError, decode_audio, decode_result
    from capsexp.segments import Cut, Merger, Recognition, cut_all


def one(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    if given.ConsumeBool():
        cut = Cut.of(given.ConsumeFloatInRange(0.1, 20), given.ConsumeFloatInRange(0, 20))
        merger = Merger(cut)
        for number in range(pieces := given.ConsumeIntInRange(1, 6)):
            tokens = [given.ConsumeUnicode(2) for _ in range(given.ConsumeIntInRange(0, 6))]
            times = [given.ConsumeFloat() for _ in tokens] if given.ConsumeBool() else []
            merger.add(number * cut.duration, number == pieces - 1, Recognition(tokens, times))
        assert len(merger.tokens) == len(merger.times)
        assert all(map(math.isfinite, merger.times))
        assert isinstance(merger.text + merger.text_accu, str)
        return
    frame = given.ConsumeUnicodeNoSurrogates(sys.maxsize)
    for parse in (decode_result, decode_audio):
        try:
            message = parse(frame)
        except ProtocolError:
            continue
        message.task_id.encode()
        if parse is decode_audio:
            cut_all(message.audio, Cut.of(message.seg_duration, message.seg_overlap))  # type: ignore[union-attr]


atheris.Setup(sys.argv, one)
atheris.Fuzz()
