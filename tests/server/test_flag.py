"""A flag does what asyncio.Event does, in any order of what is done to both."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from capsexp.server.flag import Flag

STEPS = st.lists(st.sampled_from(["set", "clear", "wait", "cancel", "run"]), max_size=30)


@given(STEPS, st.booleans())
def test_whoever_waits_is_woken_as_by_an_event(steps: list[str], begins_set: bool) -> None:
    async def both() -> None:
        flag, event = Flag(begins_set), asyncio.Event()
        if begins_set:
            event.set()
        waiting: list[tuple[asyncio.Task[object], asyncio.Task[object]]] = []
        for step in [*steps, "run"]:
            if step == "wait":
                waiting.append((asyncio.ensure_future(flag.wait()), asyncio.ensure_future(event.wait())))
            elif step == "cancel" and waiting:
                for one in waiting[0]:
                    one.cancel()
            elif step == "run":
                for _ in range(3):
                    await asyncio.sleep(0)
            elif step in ("set", "clear"):
                getattr(flag, step)()
                getattr(event, step)()
            assert flag.is_set() == event.is_set()
        assert [one.done() for one, _ in waiting] == [other.done() for _, other in waiting]
        assert [one.done() and one.cancelled() for one, _ in waiting] == [
            other.done() and other.cancelled() for _, other in waiting
        ]
        for pair in waiting:
            for one in pair:
                one.cancel()

    asyncio.run(both())
