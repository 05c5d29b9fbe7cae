"""What it looks like, on terminals of several widths."""

from io import StringIO

import pytest
from rich.console import Console

from capsexp.live.draw import drawn, line
from capsexp.live.standing import Standing
from capsexp.live.state import Shown

OPEN = "speedup 1.90 (limit 1.5): about 2 more trials would decide it"
SEEN = Shown(
    name="2026-01-01/10-00-00-sweep", where="run 4 of 9: workers=2, trial 2", phase="load", share=0.5,
    requests="4 of 9 requests, 80 of 160 s of audio", run_left_s=12, sweep_left_s=150, memory=(90, 120, 110),
    memory_said="110 MB, at most 120", cpu=(0.5, 1.9), cpu_said="1.90 CPUs of 2",
    disturbed=("cc1 used 1.50 CPUs (now 0.20)",),
    standings=(
        Standing("workers=1", 2, "-", "4.50", "209", "18/18", "this is the baseline", "plain"),
        Standing("workers=2", 1, "1.90", "9.15", "343", "9/9", OPEN, "open"),
    ),
)  # fmt: skip


def text(shown: Shown, width: int, height: int = 30) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, force_terminal=False).print(drawn(shown, width, height, now=0.0))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_all_of_it_fits_the_terminal(width: int) -> None:
    lines = text(SEEN, width)
    assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    for wanted in ("about 2 min left", "run 4 of 9: workers=2, trial 2, about 12 s left", "50 %", "110 MB, at most 120",
                   "1.90 CPUs of 2", "cc1 used 1.50 CPUs", "9.15", "18/18"):  # fmt: skip
        assert wanted in said, (wanted, lines)
    if width >= 80:
        assert OPEN in said


def test_what_does_not_fit_is_counted() -> None:
    many = [Standing(f"workers={n}", 1, "-", "-", "-", "-", "passes so far", "good") for n in range(40)]
    lines = text(Shown(name="", where="", phase="load", standings=tuple(many)), 120, height=24)
    assert len(lines) < 24
    shown = sum("workers=" in row for row in lines)
    assert f"and {40 - shown} more" in lines[-1]


def test_names_cannot_act_on_the_terminal() -> None:
    hostile = Shown(name="[bold]x", where="\x1b[2Jworkers=1[/]", phase="starting")
    out = "\n".join(text(hostile, 80))
    assert "\x1b" not in out
    assert "workers=1[/]" in out and "[bold]x" in out


def test_a_line_says_the_same() -> None:
    assert line(SEEN, 0.0).startswith("run 4 of 9: workers=2, trial 2; load 50 %; about 2 min left, until ")
