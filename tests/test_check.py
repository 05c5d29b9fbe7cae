"""python -m capsexp.check: what it says, in which forms, and how it ends."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest

from capsexp import check
from capsexp.errors import ConfigError
from capsexp.report.build import observe
from capsexp.results.read import SweepFiles
from capsexp.sweeps import Swept
from tests.support.reports import a_run, a_sweep

STEADY = (10.0, 10.1, 9.9, 10.05, 9.95)


def swept(*makespans: float, key: str = "workers=1", **more: Any) -> SweepFiles:
    return a_sweep([a_run(1, s, trial=n, key=key, **more) for n, s in enumerate(makespans, 1)])


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> dict[str, SweepFiles]:
    """What a test says is in a folder of that name."""
    from contextlib import contextmanager

    known: dict[str, SweepFiles] = {"base": swept(*STEADY)}

    @contextmanager
    def opened(words: list[str]) -> Any:
        yield [Swept(word, known[word], observe(known[word])) for word in words]

    monkeypatch.setattr(check, "opened", opened)
    return known


def test_the_exit_code_says_what_came_of_it(sweeps: dict[str, SweepFiles], capsys: pytest.CaptureFixture[str]) -> None:
    slow = [1.1 * s for s in STEADY]
    sweeps.update(same=swept(*STEADY), slow=swept(*slow), noisy=swept(10.0, 12.0, 8.7))
    assert check.main(["base", "same"]) == 0
    assert capsys.readouterr().out.startswith("SAME: nothing got worse, as far as that matters.")
    assert check.main(["base", "slow"]) == 3
    said = capsys.readouterr().out
    assert said.startswith("WORSE: the server got worse (workers=1: RTFx x 0.909; ") and "(10%)" in said
    assert check.main(["slow", "base"]) == 0
    assert capsys.readouterr().out.startswith("BETTER: ")
    assert check.main(["base", "noisy"]) == 4
    assert "vary too much to tell a change that matters from none; trials=" in capsys.readouterr().out
    assert check.main(["base", "same", "base", "slow"]) == 3
    assert check.main(["base", "slow", "--least", "0.5"]) == 0


def in_turn(*ratios: float, by: str = "server.cmd", **more: Any) -> SweepFiles:
    """Of each trial a run of the baseline and one that takes so many times as long, on a machine that gets slower."""
    runs, num = [], 0
    for trial, ratio in enumerate(ratios, 1):
        for side, times in (("./old serve", 1.0), ("./new serve", ratio)):
            seconds = 10.0 * 1.03**num * times * (1 + 0.004 * (-1) ** (num // 2))
            settings = {by: side, **more}
            runs.append(a_run(1, seconds, trial=trial, key=f"{by}={side[2:5]}-x", settings=settings))
            num += 1
    return a_sweep(runs)


def test_both_sides_of_one_sweep_are_told_apart_whatever_the_machine_did(
    sweeps: dict[str, SweepFiles], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sweeps.update(same=in_turn(*[1.0] * 5), slow=in_turn(*[1.1] * 5))
    assert check.main(["same", "--by", "server.cmd"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SAME: ") and "Baseline: server.cmd=./old serve\nNow: server.cmd=./new serve\n" in said
    assert check.main(["slow", "--by", "server.cmd", "--junit", str(tmp_path / "x.xml")]) == 3
    said = capsys.readouterr().out
    assert said.startswith("WORSE: the server got worse (workers=1: RTFx x 0.909; ")
    assert Tree.parse(tmp_path / "x.xml").getroot().get("name") == "slow, by server.cmd"


def test_of_two_sweeps_what_the_machine_did_between_them_counts_and_is_told(
    sweeps: dict[str, SweepFiles], capsys: pytest.CaptureFixture[str]
) -> None:
    check.main(["base", "base"])
    assert "One sweep that has both, checked with --by, leaves that out." in capsys.readouterr().out
    check.main(["base", "base", "base", "base"])
    assert "--by" not in capsys.readouterr().out


def test_it_writes_junit_and_markdown(sweeps: dict[str, SweepFiles], tmp_path: Path) -> None:
    nasty = "workers=1,x=<b>|\x1b"
    sweeps.update(base=swept(*STEADY, key=nasty), slow=swept(*[1.2 * s for s in STEADY], key=nasty))
    junit, page = tmp_path / "junit.xml", tmp_path / "check.md"
    assert check.main(["base", "slow", "--junit", str(junit), "--markdown", str(page)]) == 3
    root = Tree.parse(junit).getroot()
    assert (root.get("name"), root.get("failures"), root.get("tests")) == ("slow against base", "2", "4")
    failure = next(root.iter("failure"))
    assert "0.83 now, 1.00 in the baseline, limit 0.953" in str(failure.get("message"))
    said = page.read_text("utf-8")
    assert said.startswith("## ❌ capsexp: WORSE\n") and "<b>" not in said and "\x1b" not in said
    row = next(line for line in said.splitlines() if line.startswith("|") and "RTFx" in line)
    cells = [cell.strip() for cell in row.replace("\\|", "").split("|")]
    assert cells[3:6] == ["1.00", "0.83", "0.833"] and cells[-2] == "WORSE"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"engine.beam": 3}}, "other settings of engine"),
        ({"key": "workers=9"}, "no configuration is in both"),
        ({}, r"another machine \(cpu CPU and None"),
    ],
)
def test_what_is_not_alike_is_refused(sweeps: dict[str, SweepFiles], change: dict[str, Any], said: str) -> None:
    sweeps["other"] = swept(*STEADY, **change)
    if not change:
        sweeps["other"].environment.clear()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=rf"^base and other are not alike: {said}.*capsexp.compare shows both"):
        check.main(["base", "other"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["base"], "give one sweep that has both sides, with --by SETTING; or one baseline, or three and more"),
        (["base", "base", "base"], "one baseline, or three and more"),
        (["base", "base", "--least", "2"], "--least 2"),
        (["base", "base", "--by", "server.cmd"], "--by server.cmd: compares two sides of one sweep"),
        (["base", "--by", "server.cmd"], "has 1 value in this sweep; name a setting that has two values"),
        (["base", "--by", "server.cdm"], "--by server.cdm: is no setting of this sweep"),
        (["base", "--by", "engine"], "--by engine: has 1 value in"),
    ],
)
def test_what_cannot_be_checked_is_told(sweeps: dict[str, SweepFiles], line: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check.main(line)


def test_what_failed_is_worse_and_not_another_thing(
    sweeps: dict[str, SweepFiles], capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps["dead"] = a_sweep([a_run(1, None, status="failed", error="it died", samples=[])])
    assert check.main(["base", "dead"]) == 3
    assert "WORSE: the server got worse (workers=1: runs failed now: it died)." in capsys.readouterr().out


def test_what_else_differs_is_told(sweeps: dict[str, SweepFiles], capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(1, s, trial=n, settings={"server.queue": 9}) for n, s in enumerate(STEADY, 1)]
    sweeps["more"] = a_sweep([*runs, a_run(2, 5.0, key="workers=2")])
    assert check.main(["base", "more"]) == 0
    said = capsys.readouterr().out
    assert "Not in the baseline, so not judged: workers=2." in said
    assert "Settings: server.queue None -> 9." in said
    assert "The same work without a server: 10.00 RTFx in the baseline, 10.00 RTFx now." in said
