"""A library that tells of a failure on stderr alone: heard, passed on, and an error of its segment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from capsexp.engines._overheard import overheard
from tests.support import PATIENCE

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="address space as Linux limits it")


def test_what_is_written_meanwhile_is_heard_and_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    for line in (b"one\n", b"two\n"):
        with overheard() as said:
            os.write(2, line)
            assert said() == line.decode()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\none\ntwo\nafter\n"


def test_threads_that_listen_together_lose_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    heard: dict[int, str] = {}
    ready = threading.Barrier(4)

    def listen(number: int) -> None:
        with overheard() as said:
            ready.wait(PATIENCE)
            os.write(2, f"thread {number}\n".encode())
            heard[number] = said()
            ready.wait(PATIENCE)

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"thread {number}\n" in heard[number] for number in range(4))
    assert sorted(capfd.readouterr().err.splitlines()) == [f"thread {number}" for number in range(4)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_process_hears_itself_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with overheard():
        pass  # before the fork, as a loader warms up
    pid = os.fork()
    if pid == 0:
        with overheard() as said:
            os.write(2, b"child\n")
            os._exit(0 if said() == "child\n" else 1)
    with overheard() as said:
        _, status = os.waitpid(pid, 0)
        assert said() == ""
    assert os.waitstatus_to_exitcode(status) == 0


def test_an_exception_meanwhile_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with overheard():
            os.write(2, b"said\n")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "said\nafter\n"


SHORT_OF_MEMORY = """
import resource, sys
import numpy as np, psutil
from capsexp.engines.sherpa import SherpaConfig
from capsexp.engines.base import load
from capsexp.errors import EngineError
engine = load(SherpaConfig(), 1)
audio = np.random.default_rng(0).normal(0, 0.01, 16_000 * 60).astype(np.float32)
most = psutil.Process().memory_info().vms + 30 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
try:
    print("heard", engine.recognize(audio).tokens)
except EngineError as error:
    print("error", error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("silence", engine.recognize(np.zeros(16_000, np.float32)).tokens)
"""


@LINUX
def test_a_segment_that_the_memory_does_not_hold_is_an_error_and_no_silence() -> None:
    pytest.importorskip("sherpa_onnx")
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, timeout=PATIENCE)
    said = done.stdout.splitlines()
    assert said[0].startswith("error engine=sherpa: "), done
    assert "Failed to allocate memory" in said[0]
    assert "Caught exception" in done.stderr  # the log has it all
    assert said[1] == "silence []"
