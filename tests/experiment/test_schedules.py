"""The tables of load=schedule: kept in the folder of their sweep, and known by what they hold."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capsexp.compose import compose
from capsexp.config import Config
from capsexp.errors import ConfigError
from capsexp.experiment import own_schedules, schedules
from capsexp.experiment.fingerprint import fingerprint
from capsexp.load import LOADS
from capsexp.trust import Tree, surprises
from tests.support import PATIENCE
from tests.support.bench import Bench

DAY = "due_s,sample\n0,\n0.2,\n0.3,\n"


def asked(path: Path) -> Config:
    return compose(["engine=null", "load=schedule", f"load.csv={path}"])


def test_an_edited_table_makes_another_run_and_a_moved_one_does_not(tmp_path: Path) -> None:
    day, moved = tmp_path / "day.csv", tmp_path / "moved.csv"
    for path in (day, moved):
        path.write_text(DAY)
    before = fingerprint(asked(day))
    assert fingerprint(asked(moved)) == before
    day.write_text(DAY.replace("0.2", "0.1"))
    now = fingerprint(asked(day))
    assert {part for part in now if now[part] != before[part]} == {"schedule"}
    assert "schedule" not in fingerprint(compose(["engine=null"]))  # what reads none has none


def test_a_table_that_cannot_be_read_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^load\.csv=.*none\.csv: cannot be read"):
        schedules.check([asked(tmp_path / "none.csv")])
    with pytest.raises(ConfigError, match="no regular file"):
        schedules.check([asked(tmp_path)])


def test_a_folder_names_its_own_tables_in_place_of_those_of_another_machine(tmp_path: Path) -> None:
    one, two, sweep = tmp_path / "one.csv", tmp_path / "two, of it.csv", tmp_path / "sweep"
    one.write_text(DAY)
    two.write_text(DAY + "0.4,\n")
    sweep.mkdir()
    named = schedules.keep(sweep, [asked(one), Config(load=LOADS.settings("schedule")(csv=str(two)))])
    kept = {path: sweep / name for path, name in named["load.csv"].items()}
    assert {path: file.read_text() for path, file in kept.items()} == {str(one): DAY, str(two): DAY + "0.4,\n"}
    both = f"load.csv='{one}','{two}'"
    assert own_schedules.own(sweep, named, ["workers=1", both])["load.csv"] == (
        f"load.csv='{kept[str(one)]}','{kept[str(two)]}'"
    )
    assert own_schedules.own(sweep, named, [f"load.csv={one}"])["load.csv"] == f"load.csv='{kept[str(one)]}'"
    assert own_schedules.own(sweep, named, ["load.csv=/of/nobody.csv"]) == {}  # stays what it is, and is asked about
    kept[str(one)].unlink()
    assert own_schedules.own(sweep, named, [f"load.csv={one}"]) == {}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "schedules/../x.csv", "conf/config.yaml"])
def test_a_folder_of_somebody_elses_names_no_file_outside(name: str, tmp_path: Path) -> None:
    assert own_schedules.brought(tmp_path, {"load.csv": {"day.csv": name}}) == {}


def test_a_folder_of_somebody_elses_names_tables_alone(tmp_path: Path) -> None:
    (tmp_path / "schedules").mkdir()
    name = f"schedules/{'0' * 16}.csv"
    (tmp_path / name).write_text(DAY)
    link = tmp_path / f"schedules/{'1' * 16}.csv"
    link.symlink_to("/etc/passwd")
    said = {"server.cmd": {"x": name}, "load.csv": {"a": name, "b": f"schedules/{'1' * 16}.csv"}}
    assert own_schedules.brought(tmp_path, said) == {"load.csv": {"a": tmp_path / name}}


def test_a_table_that_a_command_names_elsewhere_is_still_asked_about() -> None:
    found = surprises(Tree(None, "config"), ["load=schedule", "load.csv=/somebody/else.csv"], [])
    assert any("/somebody/else.csv" in line for line in found)


@pytest.mark.slow
def test_an_archive_brings_its_table_so_that_it_runs_again_where_that_is_not(bench: Bench, tmp_path: Path) -> None:
    day, again = tmp_path / "day.csv", tmp_path / "again"
    day.write_text(DAY)
    given = ("load=schedule", f"load.csv={day}", "load.repeats=auto")
    assert bench.run("workers=1", "engine.rtf=0.01", "archive.samples=true", *given) == 0, bench.stderr
    zipped = shutil.move(bench.out.with_name("out.zip"), tmp_path / "sent.zip")
    shutil.rmtree(bench.out)
    day.unlink()
    line = [sys.executable, "-m", "capsexp.replay", str(zipped), f"hydra.sweep.dir={again}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=2 * PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert json.loads((again / "report.json").read_text())["configurations"][0]["requests"]["total"] == 3
    runs = [json.loads(path.read_text()) for path in again.glob("0-*/run.json")]
    assert runs[0]["fingerprint"]["schedule"] == schedules.hashed(DAY.encode())
    assert list((again / "schedules").iterdir())  # and brings it again


@pytest.mark.slow
def test_runs_that_an_edited_table_makes_are_no_trials_of_the_same(bench: Bench, tmp_path: Path) -> None:
    day = tmp_path / "day.csv"
    day.write_text(DAY)
    given = ("load=schedule", f"load.csv={day}", "load.repeats=auto", "engine.rtf=0.01")
    assert bench.run("workers=1", *given) == 0, bench.stderr
    day.write_text(DAY.replace("0.2", "0.1"))
    assert bench.finish(bench.start(f"resume={bench.out}", "trials=2", bare=True)) == 2
    assert "workers=1 was made with other schedule" in bench.stderr and "redo=changed" in bench.stderr
