"""A fault of ours is one line for who looks on, and keeps its traceback where it can be found."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsexp import debug
from capsexp.errors import EngineError
from capsexp.server.delivery import internal
from capsexp.server.messages import Failed, failure
from tests.support import PATIENCE


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    debug.keep(tmp_path)
    yield tmp_path
    debug.keep(None)


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """What a server shows; of a run, or alone."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(debug.Brief(alone=False))
    logging.getLogger().addHandler(handler)
    yield out
    logging.getLogger().removeHandler(handler)


def _dictated() -> None:
    raise KeyError("what was said")


def _fault() -> None:
    try:
        _dictated()
    except KeyError as error:
        internal("task t", error)


def test_a_fault_of_the_gateway_is_a_line_and_a_traceback(run_dir: Path, shown: io.StringIO) -> None:
    _fault()
    assert shown.getvalue().startswith("ERROR task t: internal error: KeyError at test_debug.py:")
    assert shown.getvalue().count("\n") == 1
    kept = (run_dir / "debug.log").read_text()
    assert "in _dictated" in kept and "KeyError: 'what was said'" in kept


def test_a_server_alone_shows_the_way_to_a_fault_without_its_words() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(debug.Brief(alone=True))
    logging.getLogger().addHandler(handler)
    try:
        _fault()
    finally:
        logging.getLogger().removeHandler(handler)
    assert "in _dictated" in out.getvalue()
    assert "KeyError('" not in out.getvalue() and "KeyError: " not in out.getvalue()


def test_what_a_worker_did_not_foresee_keeps_its_traceback(run_dir: Path) -> None:
    try:
        _dictated()
    except KeyError as error:
        said = failure(3, error)
    assert said == Failed(3, "'what was said'")
    assert "in _dictated" in (run_dir / "debug.log").read_text()


def test_what_a_worker_says_in_words_has_none(run_dir: Path) -> None:
    assert failure(None, EngineError("no such model")) == Failed(None, "no such model")
    assert not (run_dir / "debug.log").exists()


def test_a_spawned_worker_keeps_its_tracebacks_in_its_run(tmp_path: Path) -> None:
    code = (
        "import os, sys, multiprocessing; from capsexp.server import worker\n"
        "ours, theirs = multiprocessing.Pipe()\n"
        "from capsexp.server.messages import WorkerSettings\n"
        "settings = WorkerSettings({'name': 'null'}, {}, sys.argv[1])\n"
        "worker.load = lambda *_: 1 / 0\n"
        "worker.main(theirs, settings, 1, os.getppid())\n"
        "print(ours.recv().reason)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert (done.stdout, done.stderr) == ("division by zero\n", "")
    assert "ZeroDivisionError" in (tmp_path / "debug.log").read_text()


def test_a_thing_done_again_is_kept_once(tmp_path: Path) -> None:
    for _ in range(3):
        with debug.kept_once(tmp_path):
            _fault()
    kept = (tmp_path / "debug.log").read_text()
    assert kept.count("Traceback") == 1 and kept.count("KeyError: ") == 1
    with debug.kept_once(tmp_path):
        debug.log.error("another")
    assert (tmp_path / "debug.log").read_text() == f"{kept}another\n\n"
