"""Two sweeps side by side."""

from capsexp.analysis import differences


def metrics(speed: float) -> dict[str, object]:
    return {"throughput_xrt": speed, "memory": {"peak_mb": 100.0, "steady_peak_mb": None}}


def test_ratios_have_intervals_and_words() -> None:
    old = {"a": [metrics(s) for s in (10.0, 10.1, 9.9)], "b": [metrics(1.0)], "c": []}
    new = {"a": [metrics(s) for s in (12.0, 12.1, 11.9)], "b": [metrics(1.0)], "d": []}
    found = {(f["key"], f["figure"]): f for f in differences.ratios(old, new)}
    assert found["a", "throughput_xrt"]["different"] is True
    assert found["a", "peak_mb"]["different"] is False
    assert found["b", "throughput_xrt"]["different"] is None
    assert ("a", "steady_peak_mb") not in found


def test_what_was_different_to_begin_with() -> None:
    old, new = (
        {"trial": 1, "engine": {"rtf": 0.1, "name": "null"}},
        {"trial": 2, "engine": {"rtf": 0.2, "name": "null"}},
    )
    assert differences.changes(old, new) == [("engine.rtf", 0.1, 0.2)]
    assert differences.changes({"a": 1}, {}) == [("a", 1, None)]
