"""The doctor as a user calls it."""

import socket
import subprocess
import sys

import pytest

from tests.support import PATIENCE

pytestmark = pytest.mark.slow


def doctor(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "capsexp.doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE)


def test_it_looks_at_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = doctor(f"server.port={port}")
    assert made.returncode == ("FIX" in made.stdout)
    for wanted in (
        "CPUs:",
        "memory:",
        f"port {port}: process",
        "engine=sphinx: recognizes",
        "sensevoice: cannot be used",
    ):
        assert wanted in made.stdout, (wanted, made.stdout, made.stderr)
    assert "engine.model_dir" in made.stdout


def test_an_engine_that_cannot_be_used_is_to_be_mended() -> None:
    made = doctor("engine=paraformer", "engine.model_dir=/nowhere")
    assert made.returncode == 1
    assert "FIX   engine=paraformer: cannot be used" in made.stdout
    assert "/nowhere" in made.stdout
    assert "Traceback" not in made.stdout + made.stderr


def test_a_wrong_word_is_a_configuration_error() -> None:
    assert doctor("engin=paraformer").returncode == 2
