"""How far a load is, as it is kept and written."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capsexp.client.progress import BYTES, File, Note, Tally
from capsexp.client.request import Request
from capsexp.protocol import RATE
from capsexp.runfiles import PROGRESS


def request(number: int, seconds: float) -> Request:
    return Request(number, f"t{number}", "s", np.zeros(round(seconds * RATE), np.float32))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 20), st.booleans()), max_size=30))
def test_what_was_heard_grows_up_to_all_of_it(answers: list[tuple[int, float, bool]]) -> None:
    requests = [request(number, 10.0) for number in range(3)]
    tally, before = Tally(requests), 0.0
    for number, upto, final in answers:
        one = requests[number]
        one.heard_s = upto
        if final:
            one.final = 1.0
        tally.add(one)
        assert before <= tally.heard_s + 1e-9 and tally.heard_s <= 30.0 + 1e-9
        before = tally.heard_s
    assert tally.done == sum(one.final is not None for one in requests)
    assert tally.heard_s >= 10.0 * tally.done - 1e-9


def test_a_run_finds_it_in_its_file(tmp_path: Path) -> None:
    requests = [request(number, 10.0) for number in range(2)]
    shown = File(tmp_path, 0.0, requests)
    requests[0].final = 1.0
    shown.on_result(requests[0])
    shown.end()
    text = (tmp_path / PROGRESS).read_bytes()
    assert len(text) == BYTES
    said = json.loads(text)
    assert (said["done"], said["of"], said["heard_s"], said["of_s"]) == (1, 2, 10.0, 20.0)
    assert said["at_s"] >= said["start_s"]


def test_a_shorter_one_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    note = Note(tmp_path, 0.0)
    note.say(done=123456789, heard_s=9876543.2)
    note.say(done=1)
    note.close()
    assert json.loads((tmp_path / PROGRESS).read_bytes()).keys() == {"start_s", "at_s", "done"}


def test_it_is_worth_no_run(tmp_path: Path) -> None:
    note = Note(tmp_path / "nowhere", 0.0)
    note.say(done=1)
    assert not note.due()
    note.close()
