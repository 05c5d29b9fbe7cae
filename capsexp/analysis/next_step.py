"""What the next larger number of workers adds: measured if possible, otherwise predicted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.analysis import gates, validity
from capsexp.analysis.choice import speed
from capsexp.counts import counted
from capsexp.results.report import Configuration, Scaling, Step
from capsexp.results.verdicts import Reading, Status, Verdict


def line(chosen: Configuration, found: Sequence[Configuration]) -> list[Configuration]:
    """Those that differ from it in having more workers only, fewest first."""
    alike = [
        c for c in found
        if c.baseline == chosen.baseline and c.pool == chosen.pool and c.threads == chosen.threads
        and (c.workers or 0) > (chosen.workers or 0)
    ]  # fmt: skip
    return sorted(alike, key=lambda c: c.workers or 0)


def following(chosen: Configuration, found: Sequence[Configuration], scaling: Scaling | None) -> Step | None:
    """The next larger number of workers: measured where it was, else predicted."""
    for one in line(chosen, found):
        reached, but = one.value("throughput_rtfx"), None
        if one.status != Status.OK or not reached:
            but = "not all requests completed"
            if one.status != Status.OK:
                but = "its run failed" if one.status == Status.FAILED else f"its run was {one.status}"
        elif failed := gates.said(one, Reading.FAIL):
            but = f"it fails {', '.join(failed)}"
        elif one.verdict == Verdict.INVALID:
            useless = {one.key: one, chosen.key: chosen}.values()
            what = validity.kinds(validity.codes(c for c in useless if not c.validity.valid))
            but = f"this is not certain: its runs were {what or 'disturbed'}"
        elif one.verdict == Verdict.INCONCLUSIVE:
            but = "it is not decided"
        return _step(chosen, one.workers or 0, reached, one.value("peak_memory_mb"), but)
    for row in scaling.predicted if scaling else ():
        return _step(chosen, row.workers, row.throughput_rtfx, row.peak_memory_mb, None, predicted=True)
    return None


def _step(
    chosen: Configuration,
    workers: int,
    reached: float | None,
    peak: float | None,
    but: str | None,
    predicted: bool = False,
) -> Step:
    mine, own = chosen.value("peak_memory_mb"), speed(chosen)
    return Step(
        workers=workers,
        gain=reached / own - 1 if reached and own else None,
        more_mb=peak - mine if peak is not None and mine is not None else None,
        predicted=predicted,
        but=but,
    )


_NAMES = {2: "a second", 3: "a third", 4: "a fourth", 5: "a fifth", 6: "a sixth"}


def sentence(chosen: Configuration, following: Step | None, decided: bool) -> str | None:
    if following is None:
        return None
    workers = chosen.workers or 1
    more = following.workers - workers
    name = _NAMES.get(following.workers, "one more") if more == 1 else f"{more} more"
    but, mb = following.but, following.more_mb
    first = f"Run {workers};" if decided else f"With {counted(workers, 'worker')}:"
    if following.gain is None:
        return f"{first} {name} has no figure, as {but}."
    cost = "" if mb is None else f" for {mb / 1024:+.1f} GB" if abs(mb) >= 1000 else f" for {mb:+.0f} MB"
    adds = "adds" if more == 1 else "add"
    if (percent := round(100 * following.gain)) < 0:
        adds, percent = ("makes" if more == 1 else "make") + " it slower,", percent
    said = f"{name} {adds} {percent:+d} %{cost}"
    said += " (predicted, not measured)" if following.predicted else f", but {but}" if but else ""
    return f"{first} {said}."
