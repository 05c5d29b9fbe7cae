"""How large a message is, told from any bytes of it."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from websockets.frames import Frame, Opcode

from capsexp.server.core.frames import HEAD, FrameMeter

SIZES = st.sampled_from([0, 1, 125, 126, 1000, 65_535, 65_536, 70_000])


def message(opcode: Opcode, sizes: list[int], pings: list[bool]) -> list[Frame]:
    """In as many fragments as there are sizes, with a ping before some of them."""
    frames = []
    for number, (size, ping) in enumerate(zip(sizes, pings, strict=True)):
        if ping:
            frames.append(Frame(Opcode.PING, b"ping"))
        frames.append(Frame(Opcode.CONT if number else opcode, b"x" * size, number == len(sizes) - 1))
    return frames


messages = st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=4).flatmap(
    lambda parts: st.builds(
        message,
        st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
        st.just([size for size, _ in parts]),
        st.just([ping for _, ping in parts]),
    )
)


@given(st.lists(messages, max_size=4), st.lists(st.integers(1, 20), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_sizes(sent: list[list[Frame]], steps: list[int]) -> None:
    frames = [frame for parts in sent for frame in parts]
    wire, ends, announced, total = b"", [], [], 0
    for frame in frames:
        wire += frame.serialize(mask=True)
        total += len(frame.data) if frame.opcode is not Opcode.PING else 0
        ends.append(len(wire))
        announced.append(total)
        if frame.fin and frame.opcode is not Opcode.PING:
            total = 0
    meter, at = FrameMeter(), 0
    while at < len(wire):
        step = steps.pop() if steps else 9_999
        meter.feed(bytearray(wire[at : at + step]))
        at = min(at + step, len(wire))
        number = next((n for n, end in enumerate(ends) if end > at), len(ends))  # the frame that is coming in
        begin = ends[number - 1] if number else 0
        assert meter.held == at - begin
        before = announced[number - 1] if number else 0
        if number and frames[number - 1].fin and frames[number - 1].opcode is not Opcode.PING:
            before = 0
        if at - begin >= HEAD:  # its head has come
            assert meter.left == ends[number] - at
            assert meter.message == announced[number]
        else:
            assert meter.message in (before, announced[number] if number < len(frames) else before)
    assert not meter.closed
    assert (meter.left, meter.held, meter.message) == (0, 0, 0)


@pytest.mark.parametrize("size", [65_536, 2**40])
def test_a_head_alone_tells_how_large_its_message_is(size: int) -> None:
    meter = FrameMeter()
    meter.feed(bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + b"mask")
    assert (meter.message, meter.left) == (size, size)


def test_fragments_of_a_message_are_counted_together() -> None:
    meter = FrameMeter()
    for number in range(10):
        meter.feed(Frame(Opcode.CONT if number else Opcode.TEXT, b"x" * 1000, False).serialize(mask=True))
    assert meter.message == 10_000


def test_a_goodbye_is_seen_behind_a_message() -> None:
    meter = FrameMeter()
    wire = Frame(Opcode.TEXT, b"x" * 1000).serialize(mask=True) + Frame(Opcode.CLOSE, b"").serialize(mask=True)
    for byte in wire[:-1]:
        meter.feed(bytes([byte]))
        assert not meter.closed
    meter.feed(wire[-1:])
    assert meter.closed
