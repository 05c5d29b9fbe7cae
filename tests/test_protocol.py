"""Messages of both CapsWriter generations, round trips, and everything that is malformed."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.protocol import (
    MAX_TASK_ID,
    MAX_VALUES,
    AudioMessage,
    ProtocolError,
    Result,
    decode_audio,
    decode_result,
    encode_audio,
    encode_error,
    encode_result,
    in_url,
)

finite = st.floats(-1e6, 1e6, width=32)
names = st.text(min_size=1, max_size=20).filter(str.isprintable)
PCM = base64.b64encode(np.array([0.5, -0.5], "<f4").tobytes()).decode()

# As a client of 2025 writes it, and as one of today does: more keys, which are not ours to judge.
OF_2025 = {
    "task_id": "6fd2", "seg_duration": 15, "seg_overlap": 2, "is_final": False, "time_start": 1735689600.25,
    "source": "file", "data": PCM,
}  # fmt: skip
OF_TODAY = {**OF_2025, "is_final": True, "time_frame": 1790000000.5, "context": "names", "language": "auto", "new": [1]}


@pytest.mark.parametrize("recorded", [OF_2025, OF_TODAY])
def test_recorded_messages_of_both_generations(recorded: dict[str, Any]) -> None:
    message = decode_audio(json.dumps(recorded))
    assert (message.task_id, message.is_final, message.source) == ("6fd2", recorded["is_final"], "file")
    assert (message.seg_duration, message.seg_overlap, message.time_start) == (15, 2, 1735689600.25)
    assert message.audio.tolist() == [0.5, -0.5]


def test_what_a_client_may_leave_out() -> None:
    message = decode_audio('{"task_id": "a"}')
    assert (message.seg_duration, message.seg_overlap, message.is_final, len(message.audio)) == (15, 2, False, 0)


@given(names, st.lists(finite, max_size=30), st.booleans(), st.sampled_from(["file", "mic"]), st.floats(0.1, 600))
def test_audio_round_trip(task: str, samples: list[float], final: bool, source: str, duration: float) -> None:
    sent = AudioMessage(task, np.array(samples, np.float32), final, source, 1.5, duration, duration / 2)
    got = decode_audio(encode_audio(sent))
    assert got.audio.tobytes() == sent.audio.tobytes()
    assert (got.task_id, got.is_final, got.source, got.time_start) == (task, final, source, 1.5)
    assert (got.seg_duration, got.seg_overlap) == (duration, duration / 2)


@given(names, st.booleans(), st.text(), st.lists(st.tuples(st.text(), st.floats(0, 1e6)), max_size=10))
def test_result_round_trip(task: str, final: bool, text: str, tokens: list[tuple[str, float]]) -> None:
    sent = Result(task, final, 3.0, 1.0, 2.0, 3.0, text, text, [t for t, _ in tokens], [s for _, s in tokens])
    assert decode_result(encode_result(sent)) == sent


def test_a_result_of_2025_has_no_text_accu() -> None:
    old = {
        "task_id": "a",
        "duration": 2.5,
        "time_start": 1,
        "text": "so",
        "tokens": ["so"],
        "timestamps": [0.1],
        "is_final": True,
    }
    got = decode_result(json.dumps(old))
    assert (got.text, got.text_accu, got.is_final, got.duration) == ("so", "", True, 2.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task_id": None}, "task_id"),
        ({"task_id": ""}, "task_id"),
        ({"task_id": 3}, "task_id"),
        ({"task_id": "x" * (MAX_TASK_ID + 1)}, f"at most {MAX_TASK_ID} printable"),
        ({"task_id": "a\nb"}, "printable"),
        ({"task_id": "\ud800"}, "printable"),
        ({"is_final": "yes"}, "is_final"),
        ({"data": 3}, "base64 text"),
        ({"data": "?"}, "not base64"),
        ({"data": "AAA="}, "whole float32"),
        ({"data": base64.b64encode(np.array([np.nan], "<f4").tobytes()).decode()}, "finite"),
        ({"seg_duration": 0}, "seg_duration"),
        ({"seg_duration": 1e9}, "seg_duration"),
        ({"seg_overlap": -1}, "seg_overlap"),
        ({"seg_overlap": 16}, "seg_overlap"),
        ({"seg_duration": "15"}, "a number"),
        ({"seg_duration": True}, "a number"),
        ({"time_start": 10**400}, "finite"),
        ({"time_start": float("inf")}, "finite"),
    ],
)
def test_malformed_audio(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        decode_audio(json.dumps({**OF_TODAY, **change}))
    assert caught.value.task_id == (None if "task_id" in change else "6fd2")


@pytest.mark.parametrize("frame", ["", "{", "[]", "3", "[" * 100_000, b"{}"])
def test_frames_that_are_no_object(frame: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_audio(frame)


@pytest.mark.parametrize(
    "fields", [{}, {"task_id": 3}, {"task_id": "a", "tokens": "x"}, {"task_id": "a", "timestamps": ["x"]}]
)
def test_malformed_results(fields: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_result(json.dumps(fields))


@pytest.mark.parametrize("task_id", ["a", None])
def test_an_error_arrives_as_one(task_id: str | None) -> None:
    with pytest.raises(ProtocolError, match="no room") as caught:
        decode_result(encode_error("no room", task_id))
    assert caught.value.task_id == task_id


@pytest.mark.parametrize("value", ["[]", "{}", "0", '{"a": 0}'])
def test_a_message_of_many_values_is_refused_unread(value: str) -> None:
    """Twenty million empty lists are 64 MB of text and 1.5 GB of objects, and nobody else is served meanwhile."""

    def message(count: int) -> str:
        return f'{{"task_id": "x", "a": [{", ".join([value] * count)}]}}'

    assert decode_audio(message(MAX_VALUES // 3)).task_id == "x"
    with pytest.raises(ProtocolError, match=f"more than {MAX_VALUES} values"):
        decode_audio(message(MAX_VALUES))
    with pytest.raises(ProtocolError, match="more than"):
        decode_audio("[" * (MAX_VALUES + 1))
    with pytest.raises(ProtocolError, match="more than"):
        decode_audio('{"a":' * (MAX_VALUES + 1))


def test_the_longest_task_id_is_taken() -> None:
    assert decode_audio(json.dumps({"task_id": "x" * MAX_TASK_ID})).task_id == "x" * MAX_TASK_ID


@pytest.mark.parametrize(
    ("host", "written"), [("127.0.0.1", "127.0.0.1"), ("server.lan", "server.lan"), ("::1", "[::1]")]
)
def test_an_address_holds_a_host_so_that_its_port_can_be_told(host: str, written: str) -> None:
    assert in_url(host) == written
    assert (urlsplit(f"ws://{in_url(host)}:6016").hostname, urlsplit(f"ws://{written}:6016").port) == (host, 6016)


LARGE = np.arange(20_000, dtype="<f4")
LARGE_PCM = base64.b64encode(LARGE.tobytes()).decode()


@pytest.mark.parametrize(
    "frame",
    [
        encode_audio(AudioMessage("a", LARGE, True)),
        json.dumps({"data": LARGE_PCM, "task_id": "a", "is_final": True}),
        f'{{"task_id": "a", "data"\n:  "{LARGE_PCM}", "is_final": true}}',
        json.dumps({"task_id": "a", "is_final": True, "data": LARGE_PCM}).replace("/", "\\/"),  # as PHP writes it
        json.dumps({"task_id": "a", "is_final": True, "context": {"data": LARGE_PCM}, "data": LARGE_PCM}),
        json.dumps({"task_id": "a", "is_final": True, 'my"data': LARGE_PCM, "data": LARGE_PCM}),
        json.dumps({"task_id": "a", "is_final": True, "context": "x@example.org", "data": LARGE_PCM}),
        json.dumps({"task_id": "a", "is_final": True, "data": LARGE_PCM, "context": "y" * 40_000}),
        f'{{"task_id": "a", "data": "{PCM}", "is_final": true, "data": "{LARGE_PCM}"}}',  # the last one counts
    ],
)
def test_audio_that_is_much_is_read_as_any_other(frame: str) -> None:
    message = decode_audio(frame)
    assert (message.task_id, message.is_final) == ("a", True)
    assert message.audio.tobytes() == LARGE.tobytes()


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (f'{{"task_id": "a", "data": "{LARGE_PCM}', "not JSON"),
        (f'{{"task_id": "a", "data": "{LARGE_PCM}"', "not JSON"),
        (f'{{"task_id": "a", "data": "{LARGE_PCM}!"}}', "not base64"),
        (f'{{"task_id": "a", "data": "{LARGE_PCM}", "data": "!"}}', "not base64"),
        (f'{{"task_id": "a", "data": "{LARGE_PCM}", "x": [{"1," * MAX_VALUES}1]}}', "values in one message"),
        ("x" * 40_000, "not JSON"),
    ],
)
def test_what_is_wrong_with_a_large_message_is_said(frame: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        decode_audio(frame)


def test_a_hole_is_no_audio() -> None:
    assert decode_audio(f'{{"task_id": "a", "data": "{LARGE_PCM}", "context": "@"}}').audio.tobytes() == LARGE.tobytes()
    with pytest.raises(ProtocolError, match="not base64"):
        decode_audio(f'{{"task_id": "a", "data": "@", "context": {{"data": "{LARGE_PCM}"}}}}')


def test_a_segment_may_be_as_long_as_the_server_says() -> None:
    frame = encode_audio(AudioMessage("a", LARGE, True, seg_duration=60.0, seg_overlap=4.0))
    assert decode_audio(frame, 68.0).seg_duration == 60.0
    with pytest.raises(ProtocolError, match=r"more than server\.max_segment_s = 67 s"):
        decode_audio(frame, 67.0)
