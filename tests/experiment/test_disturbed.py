"""Disturbances that really happen to a run: each makes it INVALID, with its reason."""

import contextlib
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.support import PATIENCE
from tests.support.bench import Bench

# A run of several seconds that needs hardly any CPU itself.
QUIET_RUN = ("engine.rtf=0.1", "workers=1", "reference=off", "trials_max=1", "validity=default")


def disturbed(bench: Bench) -> set[str]:
    runs = bench.configuration("workers=1")["validity"]["runs"]
    return {reason["code"] for run in runs for reason in run["reasons"]}


def client_of(bench: Bench, runner: "subprocess.Popen[str]") -> psutil.Process:
    """The client, once it has been given a server to load."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if list(bench.out.glob("*/server.json")):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(runner.pid).children(recursive=True):
                    if "capsexp.client" in child.cmdline():
                        return child
        time.sleep(0.02)
    raise AssertionError(f"no client within {PATIENCE} s")


def test_an_undisturbed_run_is_valid(bench: Bench) -> None:
    # Only what the two tests below are about: the machine that runs the tests may be anything but quiet.
    assert bench.run(*QUIET_RUN, "validity=off", "validity.client_lag_s=1.0", "engine.rtf=0.02") == 0, bench.stderr
    assert disturbed(bench) == set()


def test_a_hog_beside_the_run(bench: Bench) -> None:
    share = 0.4 / (psutil.cpu_count() or 1)  # a hog uses a whole CPU, or what the machine leaves it
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        code = bench.run(*QUIET_RUN, "validity=off", f"validity.other_cpu={share}")
    finally:
        hog.kill()
        hog.wait()
    assert code == 0, bench.stderr
    assert disturbed(bench) == {"OTHER_CPU"}
    assert bench.report()["verdict"] == "INVALID"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP here")
def test_a_client_that_was_paused(bench: Bench) -> None:
    runner = bench.start(*QUIET_RUN, "validity=off", "validity.client_lag_s=1.0")
    client = client_of(bench, runner)
    time.sleep(0.5)
    client.suspend()
    time.sleep(1.5)
    client.resume()
    assert bench.finish(runner) == 0, bench.stderr
    assert disturbed(bench) == {"CLIENT_LAG"}
