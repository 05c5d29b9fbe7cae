"""What the monitor itself costs: an older one and this one, in turns, over the same processes.

One process of four works for a few ms and takes and gives back 2 MB, twenty times a second; the others sleep. Each
holds 30 MB. The older monitor is that of a commit in this checkout's history (--before)."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).resolve().parent.parent
INTERVAL = 0.5
TREE = """
import os, sys, time
held = bytearray(b"x") * (30 * 2**20)
for number in range(1, int(sys.argv[1])):
    if os.fork() == 0:
        held = bytearray(b"y") * (30 * 2**20)
        while True:
            if number % 4 == 1:
                bytearray(b"z") * (2 * 2**20)
                end = time.perf_counter() + 0.003
                while time.perf_counter() < end: pass
                time.sleep(0.047)
            else:
                time.sleep(600)
print("up", flush=True)
sys.stdin.read()
os.killpg(0, 9)
"""
CONFIG = """
import sys
from omegaconf import OmegaConf
from capsexp.config import schema
tree = schema("null")
tree.monitor.interval = float(sys.argv[1])
print(OmegaConf.to_yaml(OmegaConf.structured(tree)))
"""


@contextlib.contextmanager
def processes(count: int) -> Iterator[int]:
    command = [sys.executable, "-c", TREE, str(count)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        try:
            assert gateway.stdout.readline() == "up\n"
            yield gateway.pid
        finally:
            gateway.stdin.close()  # and it ends its group


def share(code: Path, gateway: int, seconds: float) -> float:
    """Of a core, that the monitor of this code uses in the steady state."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, environment = Path(scratch), {**os.environ, "PYTHONPATH": str(code)}
        config = [sys.executable, "-c", CONFIG, str(INTERVAL)]
        text = subprocess.run(config, env=environment, cwd=code, check=True, capture_output=True, text=True).stdout
        (folder / "c.yaml").write_text(text)
        (folder / ".pids").mkdir()
        for number, child in enumerate(psutil.Process(gateway).children()):  # as our server says of its own
            (folder / ".pids" / str(child.pid)).write_text(f"worker {number}")
        command = [sys.executable, "-m", "capsexp.monitor", "--config", str(folder / "c.yaml"), "--run-dir", scratch]
        command += ["--stdin-guard", "--zero", "0", "--watch", f"gateway:{gateway}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=code) as monitor:
            while not (folder / ".monitor-ready").is_file():
                time.sleep(0.05)
            time.sleep(4 * INTERVAL)
            process = psutil.Process(monitor.pid)
            before, began = process.cpu_times(), time.monotonic()
            time.sleep(seconds)
            after, took = process.cpu_times(), time.monotonic() - began
            assert monitor.stdin is not None
            monitor.stdin.close()
            monitor.wait(30)
        return float(after.user + after.system - before.user - before.system) / took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", default="aa4299b", help="the commit to compare with")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    call = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch) / "before.tar"
        subprocess.run(["git", "-C", str(ROOT), "archive", "-o", str(packed), call.before], check=True)
        old = Path(scratch) / "before"
        with tarfile.open(packed) as archive:
            archive.extractall(old)
        for count in (4, 64):
            with processes(count) as gateway:
                pairs = [tuple(share(code, gateway, call.seconds) for code in (old, ROOT)) for _ in range(call.repeats)]
            before, now = (100 * median(side) for side in zip(*pairs, strict=True))
            ratio = median(a / b for a, b in pairs)
            print(f"{count:3} processes: {before:.2f} % of a core at {call.before}, {now:.2f} % now: 1/{ratio:.1f}")


if __name__ == "__main__":
    main()
