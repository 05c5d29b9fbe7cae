"""How many workers fit."""

import pytest

from capsexp.errors import RunRefused
from capsexp.server import room
from capsexp.server.room import refuse_or_reduce


@pytest.mark.parametrize(("count", "used", "fits"), [(4, 100, 4), (4, 300, 4), (6, 300, 4), (2, 5000, 1), (9, 0, 9)])
def test_a_tenth_of_the_memory_stays_free(monkeypatch: pytest.MonkeyPatch, count: int, used: float, fits: int) -> None:
    monkeypatch.setattr(room, "available_mb", lambda: 1000.0)
    monkeypatch.setattr(room, "total_mb", lambda: 1000.0)
    said: list[str] = []
    assert refuse_or_reduce("reduce", said.append)(count, used) == fits
    assert bool(said) == (fits < count)
    if fits < count:
        assert f"reduced to {fits}" in said[0]
        with pytest.raises(RunRefused, match="do not fit"):
            refuse_or_reduce("refuse", said.append)(count, used)
