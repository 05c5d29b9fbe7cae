"""How much audio a file holds by its own frames, chunks and pages, whatever its first header says of all of them.

A header is written before what it describes, and by somebody who may not have known: streams to a pipe do not say how
long they will be, files that were joined keep the first one's length, and a copy can end early.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Bytes = mmap.mmap | bytes
UNKNOWN_SIZE = (0, 0xFFFFFFFF)  # what a WAV's writer leaves where it could not go back
KNOWN_CHUNKS = frozenset(
    {b"LIST", b"INFO", b"id3 ", b"ID3 ", b"bext", b"fact", b"cue ", b"smpl", b"iXML", b"JUNK", b"PEAK"}
)
EXACT_S = 5e-5  # less than a sample of what we decode to: frames of FLAC are numbered, and nothing is left out
FLAC_START = b"fLaC\0\0\0\x22"


@dataclass(frozen=True)
class Extent:
    """`held_s`: seconds that are there. `claimed_s`: what the header says, where it says more than nothing."""

    held_s: float
    claimed_s: float | None = None
    slack_s: float = 0.02  # what decoders may leave out at the ends
    size_at: int | None = None  # of a WAV whose data go on after their end: where that size stands


def measure(path: Path) -> Extent | None:
    """Of WAV, FLAC, MP3 and Ogg; None for what is none of them, or what cannot be followed."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return measure_bytes(data)
        except (struct.error, IndexError, ZeroDivisionError, OverflowError):
            return None


def measure_bytes(data: Bytes) -> Extent | None:
    """What a file's header says of its audio; None for what is none of the known forms."""
    start = _after_id3(data)
    if data[:4] in (b"RIFF", b"RF64", b"BW64") and data[8:12] == b"WAVE":
        return _wav(data)
    if data[start : start + 4] == b"fLaC":
        return _flac(data, start)
    if data[:4] == b"OggS":
        return _ogg(data)
    if _mp3_frame(data, start) is not None:
        return _mp3(data, start)
    return None


def _after_id3(data: Bytes) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size
    return at


def _wav(data: Bytes) -> Extent | None:
    at, per_second, whole = 12, 0.0, None
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = at + 8
        if name == b"ds64":
            whole = struct.unpack_from("<Q", data, body + 8)[0]
        elif name == b"fmt ":
            kind, channels, rate, byte_rate, _, bits = struct.unpack_from("<HHIIHH", data, body)
            plain = kind in (1, 3, 6, 7, 0xFFFE)
            per_second = rate * channels * ((bits + 7) // 8) if plain else byte_rate
        elif name == b"data":
            there = len(data) - body
            size = whole if size == 0xFFFFFFFF and whole is not None else size
            if size > there:
                claimed = None if size in UNKNOWN_SIZE or size >= 0x7FFFF000 else size / per_second
                return Extent(there / per_second, claimed)
            more = there - size - (size & 1)
            goes_on = more > 0 and not _chunks(data, body + size + (size & 1))
            return Extent((there if goes_on else size) / per_second, size_at=at + 4 if goes_on else None)
        at = body + size + (size & 1)
    return None


def _chunks(data: Bytes, at: int) -> bool:
    """Whether all that follows is chunks, and no audio: a second file at the end of the first one is.

    Samples can look like a chunk's name. One that nobody knows has to end where the file does or before.
    """
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name in (b"RIFF", b"RF64", b"data") or not all(0x20 <= byte < 0x7F for byte in name):
            return False
        if at + 8 + size > len(data) and name not in KNOWN_CHUNKS:
            return False
        at += 8 + size + (size & 1)
    return True


def _flac(data: Bytes, start: int) -> Extent | None:
    """By the number of the last frame; of files that were joined, the sum."""
    held, claimed = 0.0, None
    starts = [start]
    while (following := data.find(FLAC_START, starts[-1] + 8)) >= 0:
        starts.append(following)
    for begin, end in zip(starts, [*starts[1:], len(data)], strict=True):
        if data[begin + 4] & 0x7F:
            return None  # STREAMINFO has to be the first block
        info = data[begin + 8 : begin + 42]
        fixed = struct.unpack_from(">H", info)[0]
        packed = int.from_bytes(info[10:18], "big")
        rate, bits, total = packed >> 44, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
        last = _last_flac_frame(data, begin + 42, end, fixed, bits)
        if last is None:
            return None
        held += last / rate
        if begin == start and total:
            claimed = total / rate
    return Extent(held, claimed, EXACT_S)


def _last_flac_frame(data: Bytes, begin: int, end: int, fixed: int, bits: int) -> int | None:
    """The number of samples up to the end of the last frame between two places."""
    at = end
    while (at := max(data.rfind(b"\xff\xf8", begin, at), data.rfind(b"\xff\xf9", begin, at))) >= 0:
        if (samples := _flac_frame(data, at, fixed, bits)) is not None:
            return samples
    return None


def _flac_frame(data: Bytes, at: int, fixed: int, bits: int) -> int | None:
    head = data[at : at + 16]
    if len(head) < 6 or head[3] & 1:
        return None
    size_code, rate_code, bits_code = head[2] >> 4, head[2] & 15, head[3] >> 1 & 7
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10:
        return None
    if bits_code and {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}.get(bits_code) != bits:
        return None
    lead, more = head[4], 0
    while lead & 0x80 >> more and more < 7:
        more += 1
    if more == 1:
        return None
    number = lead & (0x7F >> more)
    here = 5
    for byte in head[5 : 5 + max(0, more - 1)]:
        if byte & 0xC0 != 0x80:
            return None
        number, here = number << 6 | byte & 0x3F, here + 1
    if size_code in (6, 7):
        width = size_code - 5
        size, here = int.from_bytes(head[here : here + width], "big") + 1, here + width
    else:
        size = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    here += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if here >= len(head) or _crc8(head[:here]) != head[here]:
        return None
    return (number if head[1] & 1 else number * fixed) + size


def _crc8(head: bytes) -> int:
    crc = 0
    for byte in head:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


_KBPS = {  # by MPEG-1 or not, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mp3_frame(data: Bytes, at: int) -> tuple[int, int, int] | None:
    """Bytes, samples and rate of the frame that begins here."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_code, bit_code = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate_code == 3 or not 0 < bit_code < 15:
        return None
    rate = (44100, 48000, 32000)[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBPS[version == 3, layer][bit_code - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4, 384, rate
    samples = 1152 if layer == 2 or version == 3 else 576
    return samples // 8 * bits // rate + padding, samples, rate


def _mp3(data: Bytes, start: int) -> Extent:
    held, slack, at = 0.0, 0.0, start
    while at < len(data):
        frame = _mp3_frame(data, at)
        if frame is None or (at + frame[0] < len(data) - 4 and not _plausible(data, at + frame[0])):
            at = data.find(b"\xff", at + 1)  # a tag, or damage
            if at < 0:
                break
            continue
        size, samples, rate = frame
        head = data[at : at + 200]
        if not (b"Xing" in head or b"Info" in head or b"VBRI" in head):  # about the stream, and no audio
            held += samples / rate
        slack = 4 * samples / rate  # an encoder's delay and padding
        at += size
    return Extent(held, None, slack)


def _plausible(data: Bytes, at: int) -> bool:
    """Whether a frame may end here: at another one, a tag, or padding."""
    tag = data[at : at + 3] in (b"TAG", b"ID3", b"APE")
    return tag or _mp3_frame(data, at) is not None or not any(data[at : at + 64])


def _ogg(data: Bytes) -> Extent | None:
    """By the last position of each stream: those that were joined follow one another."""
    rates: dict[tuple[int, int], tuple[int, int]] = {}
    ends: dict[tuple[int, int], int] = {}
    turn: dict[int, int] = {}
    for flags, position, serial, body in _ogg_pages(data):
        if flags & 2:
            turn[serial] = turn.get(serial, 0) + 1
            head = data[body : body + 20]
            if head[:7] == b"\x01vorbis":
                rates[serial, turn[serial]] = struct.unpack_from("<I", head, 12)[0], 0
            elif head[:8] == b"OpusHead":
                rates[serial, turn[serial]] = 48000, struct.unpack_from("<H", head, 10)[0]
            else:
                return None
        if position > 0 and serial in turn:
            ends[serial, turn[serial]] = position
    if not ends or not set(ends) <= set(rates):
        return None
    return Extent(sum(max(0, end - rates[key][1]) / rates[key][0] for key, end in ends.items()), None, 0.1)


def _ogg_pages(data: Bytes) -> Iterator[tuple[int, int, int, int]]:
    """Flags, granule position, serial number, and where the page's data begin."""
    at = 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        flags, position, serial = struct.unpack_from("<xBqI", data, at + 4)
        count = data[at + 26]
        body = at + 27 + count
        yield flags, position, serial, body
        at = body + sum(data[at + 27 : body])
