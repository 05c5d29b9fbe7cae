"""What others wrote reaches a terminal as something to read, and as nothing else."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp import escape
from capsexp.files import tell

ANY = st.text(st.characters(), max_size=40) | st.text(st.sampled_from("a\x1b[2J\r\n\t\x00\x9b\u202e\u2028\udc80é你"))


@given(ANY)
def test_nothing_foreign_moves_the_cursor(text: str) -> None:
    shown = escape.one_line(text)
    shown.encode("utf-8")
    assert not [c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202a\u202b\u202d\u202e\u2028\u2029"]
    assert len(escape.lines(text).split("\n")) == len(text.split("\n"))
    assert escape.lines(text).replace("\n", "\\n") == shown


@pytest.mark.parametrize("text", ["你好 世界.wav", "a\u3000b", "नमस्ते", "می\u200cخواهم", "naïve — “x”", "\\n"])
def test_what_can_be_read_is_left_alone(text: str) -> None:
    assert escape.one_line(text) == text


@given(ANY, st.sampled_from(["utf-8", "ascii", "latin-1", "gbk", "cp1252"]))
def test_telling_never_fails_whatever_the_terminal_can_show(text: str, encoding: str) -> None:
    written = io.BytesIO()
    out = io.TextIOWrapper(written, encoding=encoding, newline="")
    tell(text, out)
    out.flush()
    assert written.getvalue().decode(encoding).count("\n") == text.count("\n") + 1
    assert b"\x1b" not in written.getvalue()
