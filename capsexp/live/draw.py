"""What is shown, as it looks on a terminal of any width, and in one line where there is none."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from capsexp.escape import one_line
from capsexp.live.eta import further, spoken
from capsexp.live.standing import Standing
from capsexp.live.state import Shown
from capsexp.monitor.sparkline import sparkline

NARROW = 100  # columns; below, what a standing has to say stands under its figures
SPARK = 40  # columns of a sparkline at most
TONES = {"good": "green", "bad": "bold red", "open": "yellow", "plain": "dim"}
FIXED = 9  # rows that are there beside the standings


def drawn(shown: Shown, width: int, height: int, now: float) -> RenderableType:
    """`now` in epoch seconds, by which the end is told."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(ratio=1, overflow="fold")
    rows.add_row("sweep", _plain(_left(shown, now)))
    rows.add_row("run", _plain(f"{shown.where}{_left_of_run(shown)}"))
    rows.add_row("phase", _phase(shown, width))
    room = max(10, min(SPARK, width - 42))
    if shown.memory:
        rows.add_row("memory", _spark(sparkline(shown.memory, room), shown.memory_said))
    if shown.cpu:
        rows.add_row("CPU", _spark(sparkline(shown.cpu, room), shown.cpu_said))
    if shown.memory:
        said = one_line("; ".join(shown.disturbed))
        rows.add_row("others", Text(said, style="yellow") if said else Text("nothing disturbs it", style="dim"))
    parts: list[RenderableType] = [Rule(_plain(shown.name), style="dim", align="left"), rows]
    if shown.standings:
        parts += [Text(""), _standings(shown.standings, width, max(2, height - FIXED - 2))]
    return Group(*parts)


def line(shown: Shown, now: float) -> str:
    """The same in one line."""
    if shown.phase == "over":
        return one_line(f"{shown.where}; over")
    share = "" if shown.share is None else f" {100 * shown.share:.0f} %"
    return one_line(f"{shown.where}; {shown.phase}{share}; {_left(shown, now)}")


def _left(shown: Shown, now: float) -> str:
    if shown.phase == "over":
        return "over"
    if shown.sweep_left_s is None:
        return "how long it will take is not known yet"
    clock = time.strftime("%H:%M", time.localtime(now + shown.sweep_left_s))
    least = " at least" if shown.at_least else ""
    return f"about {spoken(shown.sweep_left_s)} left{least}, until {clock}{further(shown.further_s)}"


def _left_of_run(shown: Shown) -> str:
    return "" if shown.run_left_s is None else f", about {spoken(shown.run_left_s)} left"


def _phase(shown: Shown, width: int) -> RenderableType:
    if shown.share is None:
        return _plain(shown.phase)
    row = Table.grid(padding=(0, 2, 0, 0))
    wide = max(8, min(30, width // 5))
    row.add_row(
        "load", ProgressBar(total=1.0, completed=shown.share, width=wide), f"{100 * shown.share:.0f} %",
        _plain(shown.requests),
    )  # fmt: skip
    return row


def _spark(bars: str, said: str) -> Text:
    return Text.assemble((bars, "cyan"), "  ", said)


def _plain(text: str) -> Text:
    """What others named may hold what would act on a terminal, or look like markup."""
    return Text(one_line(text))


def _standings(found: Sequence[Standing], width: int, room: int) -> RenderableType:
    wide = width >= NARROW
    most = room - 1 if wide else (room - 1) // 2
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("so far", overflow="ellipsis", no_wrap=True, max_width=width // 3)
    for name in ("trials", "speedup", "RTFx", "peak MB", "correct"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("judged", overflow="ellipsis", no_wrap=True)
    for one in found[:most]:
        cells = [
            _plain(one.key), Text(str(one.trials)), Text(one.speedup), Text(one.throughput), Text(one.memory),
            Text(one.right),
        ]  # fmt: skip
        table.add_row(*cells, *([Text(one_line(one.said), style=TONES[one.tone])] if wide else []))
    parts: list[RenderableType] = [table]
    if not wide:
        parts += [
            Text(f"{one_line(one.key)}: {one_line(one.said)}", style=TONES[one.tone], overflow="ellipsis", no_wrap=True)
            for one in found[:most]
        ]
    if len(found) > most:
        parts.append(Text(f"and {len(found) - most} more", style="dim"))
    return Group(*parts)
