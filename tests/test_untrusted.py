"""Archives that would cost whoever opens them the memory, an evening, or a file that lies elsewhere."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp import untrusted
from capsexp.archive.packing import members
from capsexp.debug import kept_once
from capsexp.errors import ArchiveError, StorageError
from capsexp.files import portable
from capsexp.lock import locked
from capsexp.report.degrade import Survivor
from capsexp.report.exporters.markdown import _fenced
from capsexp.trust.composing import _harmless


def laughs(levels: int, first: str = "[x, x, x, x, x, x, x, x, x]") -> str:
    """Each line stands for nine of the one before."""
    lines = [f"l0: &l0 {first}"]
    lines += [f"l{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]" for n in range(levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (laughs(8), "its aliases stand for more"),
        (laughs(30, "{a: 1}"), "its aliases stand for more"),
        ("a: &a [*a]", "its aliases stand for more"),
        ("a: &a {b: *a}", "its aliases stand for more"),
        ("#" * (1 << 20), "it is larger than"),
    ],
)
def test_yaml_that_stands_for_more_than_it_is(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=says):
        untrusted.tree(tmp_path / "x.yaml")


@pytest.mark.parametrize("text", ["", "a: 1", "a: &a [1, 2]\nb: *a", laughs(2), "a: &a {x: 1}\nb: {<<: *a}"])
def test_a_few_aliases_are_nothing_odd(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    untrusted.tree(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("words", "preset", "trials"),
    [
        (["load.repeats=range(1,1000000000)"], {}, 1),
        (["load.seed=range(0,1,0)"], {}, 1),
        (["load.seed=interval(0,1)"], {}, 1),
        (["samples=glob(*)"], {}, 1),
        ([f"load.{key}=range(0,1000)" for key in ("seed", "repeats", "min_s", "timeout")], {}, 1),
        (["workers=1,2"], {}, 10**9),
        (["workers=1,2"], {"load.seed": "range(0,1000000)"}, 1),
        (["load.seed=" + ",".join(map(str, range(100_000)))], {}, 1),
        (["thresholds.caveats=" + "[" * 3000 + "]" * 3000], {}, 1),
    ],
)
def test_a_command_of_more_runs_than_anybody_waits_for(words: list[str], preset: dict[str, str], trials: int) -> None:
    with pytest.raises(ArchiveError, match="its command"):
        untrusted.runs(words, preset, trials)


def test_a_command_as_people_write_them() -> None:
    untrusted.runs(["workers=1,2,3", "load.seed=range(1,4)", "name='a, b'", "pool=process"], {"workers": "1,2"}, "auto")


@given(st.text("${}\\:.'a oc.env", max_size=30))
def test_what_hydra_reads_as_a_resolver_is_none_of_the_harmless(text: str) -> None:
    assert not _harmless(f"{text}$\\{{oc.env:HOME\\}}")
    assert not _harmless(f"$\\\\{{{text.replace('}', '')}oc.env:HOME\\}}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without FIFOs")
@pytest.mark.parametrize("what", ["link", "dangling", "fifo"])
def test_nothing_is_written_where_a_link_in_a_folder_leads(tmp_path: Path, what: str) -> None:
    """A folder that was unpacked elsewhere may hold links to files of whoever opens it."""
    folder, mine = tmp_path / "sweep", tmp_path / "mine"
    folder.mkdir()
    if what != "dangling":
        mine.write_text("mine")
    for name in (".lock", "debug.log"):
        if what == "fifo":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(mine)
    for _ in range(2):
        with kept_once(folder):
            Survivor()("what", None, lambda: 1 / 0)
    assert not (folder / "debug.log").is_symlink()
    assert (folder / "debug.log").read_text().count("ZeroDivisionError: ") == 1
    with pytest.raises(StorageError, match="is not a lock file of capsexp; remove it"), locked(folder):
        pass
    assert mine.exists() == (what != "dangling")
    assert what == "dangling" or mine.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["CON", "a/nul", "aux.txt", "com1.tar.gz/x", "LPT9", "prn .txt", "CONIN$", "com\u00b2"]
)
def test_names_that_are_devices_elsewhere(name: str) -> None:
    assert not portable(name)
    assert portable("/".join(f"x{part}" for part in name.split("/")))
    [member] = members([name])
    assert portable(member)


@pytest.mark.parametrize(
    ("tree", "fence"), [("a: 1\n", "```"), ("a: 'x\n\n  ```\n\n  <b>'\n", "````"), ("`````\n", "``````")]
)
def test_no_value_ends_the_fence_it_stands_in(tree: str, fence: str) -> None:
    assert _fenced(tree) == f"{fence}yaml\n{tree}{fence}"
