"""Cutting depends on the audio alone; merging the cut pieces gives the sequence back."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from capsexp.protocol import RATE, AudioMessage, ProtocolError, decode_audio, encode_audio
from capsexp.segments import PIECES, Cut, Cutter, Merger, Recognition, cut_all, join, longest_agreement


@given(st.integers(0, 400), st.integers(1, 40), st.integers(0, 40), st.lists(st.integers(0, 120), max_size=8))
def test_cut_depends_on_the_audio_alone(length: int, duration: int, overlap: int, pieces: list[int]) -> None:
    audio = np.arange(length, dtype=np.float32)
    cut = Cut(duration, min(overlap, duration))
    whole = cut_all(audio, cut)
    cutter, got, at = Cutter(cut), [], 0
    for piece in pieces:
        got += cutter.feed(audio[at : at + piece])
        at = min(length, at + piece)
    got += cutter.feed(audio[at:], final=True)
    assert [(s.index, s.start, s.shared, s.last, s.audio.tolist()) for s in got] == [
        (s.index, s.start, s.shared, s.last, s.audio.tolist()) for s in whole
    ]
    assert cutter.received == length
    assert [s.last for s in whole] == [False] * (len(whole) - 1) + [True]
    assert sum(len(s.audio) - s.shared for s in whole) == length
    assert sum(s.new_s for s in whole) * RATE == pytest.approx(length)
    assert whole[-1].offset_s + whole[-1].audio_s == pytest.approx(length / RATE)


@given(
    st.lists(
        st.tuples(st.integers(0, 60_000), st.sampled_from("abcdef")), max_size=60, unique_by=lambda t: t[0] // 300
    ),
    st.integers(1, 20),
    st.integers(0, 8),
)
def test_timed_merge_gives_the_sequence_back(heard: list[tuple[int, str]], duration_s: int, overlap_s: int) -> None:
    sequence = sorted(heard)  # times in ms, at least 300 ms apart within a token's own slot
    sequence = [t for i, t in enumerate(sequence) if not i or t[0] - sequence[i - 1][0] > 200]
    cut = Cut.of(duration_s, min(overlap_s, duration_s))
    audio = np.zeros(61 * RATE, np.float32)
    merger = Merger(cut)
    for segment in cut_all(audio, cut):
        low, high = segment.offset_s, segment.offset_s + segment.audio_s
        inside = [(ms / 1000, token) for ms, token in sequence if low <= ms / 1000 < high]
        merger.add(
            segment.start,
            segment.last,
            Recognition([token for _, token in inside], [round(time - low, 6) for time, _ in inside]),
        )
    assert merger.tokens == [token for _, token in sequence]
    assert np.allclose(merger.times, [ms / 1000 for ms, _ in sequence])


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 3))
def test_text_merge_gives_unique_words_back(count: int, step: int, shared: int) -> None:
    words = [f"w{i}" for i in range(count)]
    merger = Merger(Cut.of(step, 1))
    starts = list(range(0, count, step))
    for start in starts:
        last = start == starts[-1]
        merger.add(start * RATE, last, Recognition(words[start:] if last else words[start : start + step + shared]))
    assert merger.text == " ".join(words)


def test_longest_agreement() -> None:
    assert longest_agreement("abcd", "cdef") == (0, 2)
    assert longest_agreement("abcX", "Ybcd") == (1, 3)
    assert longest_agreement("abc", "xyz") == (0, 0)
    assert longest_agreement("", "xyz") == (0, 0)


def test_a_token_heard_twice_at_a_seam_is_one_and_a_real_repetition_stays() -> None:
    cut = Cut.of(10, 2)
    merger = Merger(cut)
    merger.add(0, False, Recognition(["very", "very"], [10.2, 10.95]))
    merger.add(10 * RATE, True, Recognition(["very", "good"], [1.05, 1.6]))
    assert merger.text_accu == "very very good"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["你", "好"], "你好"),
        (["very", "good"], "very good"),
        (["用", "Python", "3", "写", "，", "ok"], "用Python 3写，ok"),
        (["a", "", "b"], "a b"),
        ([], ""),
    ],
)
def test_a_space_between_words_but_not_beside_chinese(words: list[str], text: str) -> None:
    assert join(words) == text
    merger = Merger(Cut.of(10, 2))
    merger.add(0, True, Recognition(words, []))
    assert merger.text == merger.text_accu == text


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "very", "字", "", "c"]), max_size=8), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 12),
)
def test_the_latest_of_a_text_is_its_end_and_all_of_it_while_it_is_short(
    heard: list[list[str]], duration: int, overlap: int, seconds: int
) -> None:
    merger = Merger(Cut.of(duration, min(overlap, duration)))
    for number, tokens in enumerate(heard):
        times = [duration * n / len(tokens) for n in range(len(tokens))]
        merger.add(number * duration * RATE, False, Recognition(tokens, times, [f"tag {number}"]))
        latest, whole = merger.latest(seconds * RATE), merger.whole()
        since = number + 1 - max(1, seconds // duration)  # the segment that it begins with
        assert latest.text_accu == (join(latest.tokens) if merger.times else latest.text)
        assert latest.text == join(merger.words[len(merger.words) - _words_of(latest.text, merger) :])
        assert (latest.tokens, latest.times) == (
            whole.tokens[len(whole.tokens) - len(latest.tokens) :], whole.times[len(whole.times) - len(latest.times) :]
        )  # fmt: skip
        assert latest.tags == whole.tags[max(0, since) :]
        assert since > 0 or latest == whole


def _words_of(text: str, merger: Merger) -> int:
    """How many words at the end of all have this text."""
    return next(
        count for count in range(len(merger.words), -1, -1) if join(merger.words[len(merger.words) - count :]) == text
    )


def test_what_a_segment_adds_behind_words_that_it_takes_back_is_in_the_latest_text() -> None:
    merger = Merger(Cut.of(10, 2))
    merger.add(0, False, Recognition(list("abcx")))
    merger.add(10 * RATE, False, Recognition(list("bcy")))
    assert (merger.latest(0).text, merger.latest(10 * RATE).text, merger.latest(20 * RATE).text) == (
        "y",
        "y",
        "a b c y",
    )


def test_a_segment_is_remembered_without_its_audio() -> None:
    (segment,) = cut_all(np.ones(1000, np.float32), Cut(2000, 100))
    kept = segment.without_audio()
    assert (segment.length, kept.length, len(kept.audio)) == (1000, 1000, 0)
    assert kept.audio.base is None
    assert (kept.index, kept.start, kept.last) == (0, 0, True)


def test_words_that_were_thought_settled_can_still_be_taken_back() -> None:
    merger = Merger(Cut.of(10, 0.1))  # room for three words
    merger.add(0, False, Recognition(list("abcdefgh")))
    assert merger.text == "a b c d e f g h"
    for number, word in enumerate("fd"):  # each takes two words back and adds none
        merger.add((number + 1) * 10 * RATE, False, Recognition([word]))
        assert merger.text == join(merger.words)
    assert merger.text == "a b c d"


@given(st.floats(0.1, 3.0), st.floats(0.0, 1.0), st.floats(0.0, 30.0))
def test_no_segment_is_longer_than_what_a_server_is_asked_for(duration: float, share: float, seconds: float) -> None:
    """What server.max_segment_s promises of a worker's memory: the last one may have both overlaps."""
    overlap = duration * share
    cut = Cut.of(duration, overlap)
    longest = max(len(s.audio) for s in cut_all(np.zeros(round(seconds * RATE), np.float32), cut)) / RATE
    message = encode_audio(AudioMessage("t", np.zeros(0, np.float32), True, seg_duration=duration, seg_overlap=overlap))
    assume(longest > 0.1)
    with pytest.raises(ProtocolError, match="max_segment_s"):
        decode_audio(message, longest - 2e-4)


@given(st.integers(1, 40), st.integers(0, 40), st.lists(st.integers(0, 200), max_size=12))
def test_what_a_cutter_holds_is_what_no_segment_has_yet(duration: int, overlap: int, pieces: list[int]) -> None:
    cut = Cut(duration, min(overlap, duration))
    cutter, emitted = Cutter(cut), 0
    for piece in pieces:
        emitted += len(list(cutter.feed(np.zeros(piece, np.float32))))
        assert cutter.held == cutter.received - emitted * cut.duration  # its overlap is of the next one too
        assert cutter.held < cut.duration + 2 * cut.overlap
    list(cutter.feed(np.zeros(0, np.float32), final=True))
    assert cutter.held == 0


def test_dropped_audio_is_in_no_segment() -> None:
    cutter = Cutter(Cut(10, 2))
    assert list(cutter.feed(np.ones(9, np.float32))) == []
    cutter.drop()
    assert cutter.held == 0
    (last,) = cutter.feed(np.zeros(3, np.float32), final=True)
    assert last.audio.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("count", [PIECES - 1, PIECES, PIECES + 1, 3 * PIECES + 2])
def test_many_small_pieces_are_held_as_few_and_lose_nothing(count: int) -> None:
    audio = np.arange(count, dtype=np.float32)
    cutter = Cutter(Cut(10 * PIECES, 0))
    for at in range(count):
        assert list(cutter.feed(audio[at : at + 1])) == []
        assert len(cutter._held) <= PIECES
    (last,) = cutter.feed(audio[:0], final=True)
    assert last.audio.tolist() == audio.tolist()


@pytest.mark.parametrize("astray", [-1.0, 11.0, 12.5, float("nan"), float("inf")])
def test_a_token_belongs_to_the_segment_that_holds_its_start(astray: float) -> None:
    """Between the middles of its overlaps: 1 s and 11 s of the second of three segments of 10 s that overlap by 2 s."""
    merger = Merger(Cut.of(10, 2))
    merger.add(0, False, Recognition(["a"], [1.0]))
    merger.add(10 * RATE, False, Recognition(["b", "astray"], [1.0, astray]))
    assert (merger.tokens, merger.times) == (["a", "b"], [1.0, 11.0])
