"""What a command says that it would do, and how long that takes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from capsexp.config import Config, LoadConfig, ReferenceConfig
from capsexp.experiment import expected, reference
from capsexp.experiment.foresee import forecast
from capsexp.experiment.repeats import Pace
from capsexp.live.eta import BESIDE_S, BETWEEN_S
from tests.support import PATIENCE

BESIDE = BESIDE_S + BETWEEN_S
PACE = Pace(took_s=10.0, cpu_s=10.0, threads=1, samples=4, audio_s=40.0)


def config(workers: int, **more: object) -> Config:
    return replace(Config(), **{"workers": workers, "reference": ReferenceConfig("engine"), **more})


def load(**more: object) -> LoadConfig:
    return replace(Config().load, **more)


def test_an_earlier_reference_tells_how_long_loads_and_the_reference_take() -> None:
    # Two workers take 5 s for all samples, so that 10 s want them twice: 20 s for one worker; the texts take 10 s, and
    # timing one process and two a tenth of both runs each.
    sweep = ReferenceConfig("engine", processes="sweep")
    both = [config(1, reference=sweep), config(2, reference=sweep)]
    told = forecast(both, lambda config: PACE, [1, 2], cpus=2.0)
    assert told.seconds == pytest.approx(20 + 10 + 2 * BESIDE + 10 + 2 * 0.1 * (20 + 10 + 2 * BESIDE_S))
    assert not told.at_least


def test_without_one_the_fastest_takes_what_is_asked_for() -> None:
    told = forecast([config(1), config(2), config(3)], lambda config: None, [1, 2, 3], cpus=2.0)
    assert told.seconds == pytest.approx(20 + 10 + 10 + 3 * BESIDE)
    assert told.at_least


def test_what_is_asked_for_by_number_or_by_hours() -> None:
    three = forecast([config(1, load=load(repeats=3), reference=off())], lambda config: PACE, [1], cpus=2.0)
    assert three.seconds == 30 + BESIDE
    hours = forecast([config(1, hours=0.5, cooldown=7.0, reference=off())], lambda config: None, [1], 2.0)
    assert hours.seconds == 1800 + 7 + BESIDE
    assert not hours.at_least


def test_a_load_with_times_of_its_own_takes_them_at_least() -> None:
    dictation = config(1, load=load(pacing="realtime"), reference=off())
    told = forecast([dictation], lambda config: PACE, [1], 2.0, lambda config: 90.0)
    assert told.seconds == 90 + BESIDE
    assert told.at_least and not told.reference_tells  # nor is there one
    assert forecast([config(1)], lambda config: None, [1], 2.0).reference_tells


def off() -> object:
    return ReferenceConfig("off")


def test_the_newest_sweep_with_the_same_reference_is_asked(tmp_path: Path) -> None:
    wanted = config(1)
    for moment, took in (("10-00-00-a", 9.0), ("11-00-00-b", 7.0), ("12-00-00-c", None)):
        place = tmp_path / "2026-01-01" / moment / "reference" / reference.digest(wanted)
        place.mkdir(parents=True)
        runs = [{"processes": 1, "makespan_s": took, "cpu_s": took, "audio_s": 40.0}] if took else []
        (place / "reference.json").write_text(
            json.dumps({"runs": runs, "threads": 1, "texts": {"a": {"text": ""}, "b": {"text": ""}}})
        )
    found = expected.earlier(tmp_path, wanted)
    assert found == (Pace(7.0, 7.0, 1, 2, 40.0), tmp_path / "2026-01-01" / "11-00-00-b")
    assert expected.earlier(tmp_path, config(1, reference=off())) is None
    assert expected.earlier(tmp_path, config(1, threads=2)) is None


def asked(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "capsexp", "engine=null", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, env=os.environ)


@pytest.mark.slow
def test_a_dry_run_says_what_it_would_do_and_leaves_nothing(tmp_path: Path) -> None:
    made = asked(tmp_path, "workers=1,2", "trials=4", "-m", "--dry-run")
    assert made.returncode == 0, made.stderr
    machine, runs, time = made.stdout.splitlines()
    assert machine.startswith("machine: ") and "usable" in machine
    assert runs.startswith("runs: 8: workers=1, workers=2, 4 trials of each; server=local, engine=null,")
    assert time.startswith("time: at least about ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_somebody_elses_server_it_says_what_texts_are_compared_with(tmp_path: Path) -> None:
    server = ("server=command", "server.cmd=sleep {port} {workers}", "workers=1,2", "--dry-run")
    unread = "engine: not used, because the server is not capsexp's and reference=server"
    made = asked(tmp_path, *server)
    assert ", target=capswriter," in made.stdout and made.stdout.splitlines()[1].endswith("reference=server")
    assert unread in made.stderr  # an engine was named
    clips = int(made.stdout.split("(")[1].split(" ")[0])
    assert f"before the loads, the server answers {2 * 2 * clips} requests, one at a time" in made.stdout
    made = asked(tmp_path, *server, "reference=engine")
    assert ", engine=null," in made.stdout and made.stdout.splitlines()[1].endswith("reference=engine")
    assert made.stderr == ""


@pytest.mark.slow
def test_a_dry_run_refuses_what_cannot_be_done(tmp_path: Path) -> None:
    for words in (["samples=dir", "samples.dir=nowhere"], ["engine=sensevoice"], ["resume=here"]):
        made = asked(tmp_path, *words, "--dry-run")
        assert made.returncode == 2, made.stdout
        assert len(made.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
