"""The client keeps a schedule, and says where it did not."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from capsexp.client.app import write_run
from capsexp.client.load import Outcome, of_each_user, plan, run, too_late
from capsexp.client.request import Request
from capsexp.compose import compose
from capsexp.config import Config, LoadConfig
from capsexp.errors import ConfigError
from capsexp.files import read_json
from capsexp.load import LOADS
from capsexp.load.base import Turn
from capsexp.results.tables import read_rows
from capsexp.samples import Sample, SampleSet
from tests.support import PATIENCE

SAMPLES = [Sample(f"s{n}", np.zeros(8000 + 800 * n, np.float32), "") for n in range(3)]  # 0.5, 0.55 and 0.6 s


async def answers(connection: ServerConnection) -> None:
    """A partial result half a second of audio behind, and the final one 0.1 s after the end."""
    heard = 0.0
    with contextlib.suppress(ConnectionClosed):
        async for frame in connection:
            message = json.loads(frame)
            before, heard = heard, heard + len(message["data"]) / 16 * 3 / 16000
            common = {"task_id": message["task_id"], "text": message["source"], "text_accu": "", "tokens": []}
            times = {"timestamps": [], "time_start": 0, "time_submit": 0, "time_complete": 0}
            if before < 0.25 <= heard:
                await connection.send(json.dumps({**common, **times, "duration": 0.2, "is_final": False}))
            if message["is_final"]:
                await asyncio.sleep(0.1)
                await connection.send(json.dumps({**common, **times, "duration": heard, "is_final": True}))


def sent(
    load: LoadConfig, handler: Callable[[ServerConnection], Awaitable[None]] = answers, beside: Any = None
) -> Outcome:
    async def all_of_it() -> Outcome:
        async with serve(handler, "127.0.0.1", 0, max_size=None) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            other = asyncio.create_task(beside()) if beside else None
            found = await run(plan(SAMPLES, load), url, load)
            if other:
                await other
            return found

    return asyncio.run(all_of_it())


def load(name: str, **own: Any) -> LoadConfig:
    return LOADS.settings(name)(**{"timeout": PATIENCE, **own})


def test_audio_is_sent_as_it_is_spoken_and_what_came_of_it_is_told_from_then() -> None:
    began = time.monotonic()
    outcome = sent(load("all", pacing="realtime", packet_s=0.05, repeats=1))
    for request in outcome.requests:
        assert request.ok and request.result is not None and request.result.text == "mic"
        assert request.due is not None and request.final is not None and request.stop is not None
        packets = [m for m in request.moments if m.kind == "sent"]
        assert [m.audio_s for m in packets] == pytest.approx(
            [*(0.05 * n for n in range(1, len(packets))), request.duration_s]
        )
        assert all(m.due == pytest.approx(request.due + m.audio_s) and m.at >= m.due - 1e-3 for m in packets)
        assert request.stop == packets[-1].due and request.final - request.stop >= 0.09
        first, last = (m for m in request.moments if m.kind == "result")
        assert (first.audio_s, last.audio_s) == (0.2, pytest.approx(request.duration_s, abs=1e-3))
        assert first.due == pytest.approx(request.due + 0.2) and 0.04 <= first.at - first.due < PATIENCE
    assert time.monotonic() - began >= 0.7  # it was not sent faster


def test_a_burst_is_told_as_a_file_and_has_no_moment_at_which_anybody_stopped() -> None:
    outcome = sent(load("all", repeats=1))
    assert all(
        r.ok and r.result and r.result.text == "file" and not r.moments and r.stop is None for r in outcome.requests
    )
    assert all(r.due == r.begun for r in outcome.requests)  # due as soon as there is a place for it


def test_a_user_waits_for_the_text_then_thinks() -> None:
    outcome = sent(load("dictation", users=3, turns=3, think_s=0.1))
    users = {r.turn.user: [one for one in outcome.requests if one.turn.user == r.turn.user] for r in outcome.requests}
    assert len(users) == 3 and all(len(own) == 3 for own in users.values())
    for own in users.values():
        for before, after in pairwise(own):
            assert before.final is not None and after.due is not None and after.begun is not None
            wait = after.turn.wait_s or 0.0
            assert 0 <= after.due - before.final - wait < 0.1 * PATIENCE
            assert after.begun >= after.due - 1e-3


def test_who_arrives_does_not_wait_for_those_before() -> None:
    async def never(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.wait_closed()

    outcome = sent(load("rate", rate=50.0, process="constant", duration_s=0.3, timeout=0.8), never)
    assert len(outcome.requests) >= 14 and all(r.begun is not None for r in outcome.requests)
    dues = [r.due for r in outcome.requests]
    assert [b - a for a, b in pairwise(dues)] == pytest.approx([0.02] * (len(dues) - 1))  # type: ignore[operator]


def test_a_load_ends_as_soon_as_enough_are_late_and_what_still_waits_is_told(tmp_path: Path) -> None:
    async def never(connection: ServerConnection) -> None:
        await connection.wait_closed()

    own = load("dictation", users=3, turns=2, think_s=0.0, give_up_s=0.3, give_up_late=2)
    began = time.monotonic()
    outcome = sent(own, never)
    assert time.monotonic() - began < 30 * PATIENCE  # and not load.timeout
    assert outcome.gave_up_at is not None and not outcome.requests and len(outcome.unfinished) >= 2
    config = Config(load=own)
    write_run(tmp_path, 0.0, outcome, SampleSet(SAMPLES, [], []), config)
    facts = read_json(tmp_path / "client.json")
    waited = sorted(one["until_s"] - one["stop_s"] for one in facts["unfinished"])
    assert facts["gave_up"] and waited[-2] > 0.3
    patient = sent(load("dictation", users=3, turns=2, think_s=0.0, give_up_s=30.0, give_up_late=2), answers)
    assert patient.gave_up_at is None and len(patient.requests) == 6 and not patient.unfinished


def test_how_many_are_late_is_counted_as_an_slo_counts() -> None:
    def request(turn: Turn, late: bool | None) -> Request:
        """It ended 10 s ago; None: it has not begun."""
        made = Request(0, "", "s0", SAMPLES[0].audio, turn=turn)
        if late is not None:
            now = time.monotonic()
            made.due = made.begun = now - 10
            made.final = now - (0 if late else 9.9)
        return made

    def user(*late: bool | None, kind: str = "") -> list[Request]:
        return [request(Turn(user=1, kind=kind), each) for each in late]

    assert too_late([user(True, True, False, True)], 1.0) == 2  # not the first, who found nobody there
    assert too_late([user(True), user(False)], 1.0) == 1  # the only one of a user
    waits = user(True, None)
    waits[0].final = None
    assert too_late([waits], 1.0) == 1  # there may never be another
    both = [*user(True, True, kind="mic"), *user(True, True, True, kind="file")]
    assert [too_late(of_each_user(both, kind), 1.0) for kind in (None, "mic", "file", "x")] == [3, 1, 2, 0]


def test_files_do_not_end_a_load_that_is_about_who_speaks() -> None:
    mix = {
        "mic": {"name": "dictation", "users": 1, "turns": 2, "think_s": 0.0},
        "file": {"name": "closed", "concurrency": 1, "repeats": 1},
    }
    own = {"classes": mix, "give_up_s": 0.01, "give_up_late": 2}
    assert sent(load("mixed", **own), answers).gave_up_at is not None
    assert sent(load("mixed", **own, give_up_class="mic"), answers).gave_up_at is None  # it has one that counts


@pytest.mark.parametrize(("name", "known"), [("dictation", "none"), ("mixed", "mic, file")])
def test_a_class_that_a_load_has_not_is_refused(name: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"load.give_up_class: load={name} has no class x; it has {known}"):
        compose([f"load={name}", "load.give_up_class=x"])


def test_places_are_a_classes_own() -> None:
    mix = {
        "mic": {"name": "closed", "concurrency": 3, "repeats": 2},
        "file": {"name": "closed", "concurrency": 1, "repeats": 1},
    }
    outcome = sent(load("mixed", classes=mix))

    def at_once(kind: str) -> int:
        spans = [(r.begun, r.final) for r in outcome.requests if r.turn.kind == kind]
        return max(sum(b <= begun < f for b, f in spans) for begun, _ in spans)  # type: ignore[operator]

    assert all(r.ok for r in outcome.requests)
    assert at_once("file") == 1 and at_once("mic") == 3


def test_a_client_that_stood_still_says_so_and_one_that_was_held_back_does_not() -> None:
    async def stalls() -> None:
        await asyncio.sleep(0.2)
        time.sleep(0.3)

    spoken = load("all", pacing="realtime", packet_s=0.01, repeats=1)
    stalled = sent(spoken, beside=stalls)
    late = [m.late_s or 0.0 for r in stalled.requests for m in r.moments if m.kind == "sent"]
    assert max(late) > 0.25 and sum(own > 0.01 for own in late) > len(late) / 5  # all that were due meanwhile


def test_what_was_due_stands_beside_what_happened_in_the_tables(tmp_path: Path) -> None:
    settings = load("dictation", users=2, turns=2, think_s=0.1, seed=3, arrival_seed=4, think_seed=5)
    outcome = sent(settings)
    write_run(tmp_path, 0.0, outcome, SampleSet(SAMPLES, []), Config(load=settings, trial=2))
    rows = read_rows(tmp_path / "requests.csv")
    assert {row["user"] for row in rows} == {0, 1} and {row["class"] for row in rows} == {None}
    assert all(row["due_s"] <= row["begun_s"] + 1e-3 < row["stop_s"] < row["final_s"] for row in rows)
    packets = read_rows(tmp_path / "packets.csv")
    assert {row["kind"] for row in packets} == {"sent", "result"}
    assert sum(row["kind"] == "sent" for row in packets) == sum(len(r.moments) for r in outcome.requests) - 8
    said = read_json(tmp_path / "client.json")
    assert [said[f"{name}_seed"] for name in ("order", "arrival", "think")] == [4, 5, 6]
    assert said["packets_every"] == 1
    few = compose(["report.max_rows=100"])
    many = Outcome(outcome.requests * 10, 0.0, 0.0)
    write_run(tmp_path, 0.0, many, SampleSet(SAMPLES, []), few)
    assert 50 < len(read_rows(tmp_path / "packets.csv")) <= 100
    assert read_json(tmp_path / "client.json")["packets_every"] > 1


def test_a_days_table_is_read_and_a_run_is_one(tmp_path: Path) -> None:
    outcome = sent(load("rate", rate=20.0, duration_s=0.5, seed=1))
    write_run(tmp_path, 0.0, outcome, SampleSet(SAMPLES, []), Config())
    again = plan(SAMPLES, load("schedule", csv=str(tmp_path / "requests.csv")))
    assert [r.sample for r in again] == [r.sample for r in outcome.requests]
    first = outcome.requests[0].due or 0.0
    assert [r.turn.wait_s for r in again] == pytest.approx([(r.due or 0.0) - first for r in outcome.requests], abs=1e-5)
    with pytest.raises(ConfigError, match=r"^load\.csv=/nowhere/x\.csv: cannot be read: "):
        plan(SAMPLES, load("schedule", csv="/nowhere/x.csv"))
