"""Ctrl-C at any moment: nothing that a signal asks for is lost on the way."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsexp import interrupts
from capsexp.cli import main
from capsexp.errors import ConfigError
from capsexp.experiment import job, sweep_folder
from capsexp.experiment.job import Jobs
from tests.support.bench import BASE


class Dropped:
    """Python drops what is raised while such an object is finalized."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def in_a_finalizer() -> None:
    one = Dropped()
    del one


def in_a_library() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("numpy.core failed to import") from None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_remembered() -> None:
    with interrupts.in_order() as asked:
        interrupts.check()
        in_a_finalizer()
        assert asked == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    interrupts.check()  # of another time


def test_what_was_deferred_takes_effect_after_an_error_too() -> None:
    def work() -> None:
        with interrupts.deferred():
            with interrupts.deferred():
                signal.raise_signal(signal.SIGINT)
            interrupts.check()
            raise OSError

    with interrupts.in_order(), pytest.raises(KeyboardInterrupt):
        work()
    with interrupts.in_order() as asked:
        with interrupts.ignored():
            signal.raise_signal(signal.SIGINT)
        assert asked == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("where", "lost"),
    [
        ("before a run", in_a_finalizer), ("in a run", in_a_finalizer), ("in a run", in_a_library),
        ("after a run", in_a_finalizer), ("after a run", in_a_library), ("in the report", in_a_finalizer),
    ],
)  # fmt: skip
def test_a_sweep_ends_though_the_interrupt_was_lost(
    audio_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, lost: Callable[[], None]
) -> None:
    places = {"in a run": (Jobs, "_prepare"), "in the report": (sweep_folder, "rebuild")}
    place, name = places.get(where, (job, "submit"))
    real, calls = getattr(place, name), []

    def lossy(*arguments: Any) -> Any:
        calls.append(name)
        if where != "after a run":
            lost()
        done = real(*arguments)
        if where == "after a run":
            lost()
        return done

    monkeypatch.setattr(place, name, lossy)
    given = [
        f"samples.dir={audio_dir}",
        f"hydra.sweep.dir={tmp_path / 'out'}",
        "reference=off",
        "archive.enabled=false",
    ]
    assert main([*BASE, *given, "workers=1,2", "trials_max=1", "engine.rtf=0.01", "-m"]) == 130
    assert len(calls) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["interrupted"] == (where != "in the report")
    if where == "in a run":
        assert [one["status"] for one in report["configurations"]] == ["interrupted", "missing"]


def test_what_a_library_makes_of_an_interrupt_is_no_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def composing(*arguments: Any, **more: Any) -> Any:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ConfigError("ConfigCompositionException") from None

    monkeypatch.setattr("capsexp.compose.raw", composing)
    assert main(["engine=null"]) == 130
    assert capsys.readouterr().err == "capsexp: interrupted\n"
