"""Fuzzed messages for a real server: it stays up, and every well-formed task among them gets its text."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support.storm import storm

parser = argparse.ArgumentParser()
parser.add_argument("--messages", type=int, default=100_000)
parser.add_argument("--connections", type=int, default=16)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--tiny", type=int, default=10_000, help="messages of a task that comes in crumbs")
given = parser.parse_args()
LIMIT = 2**20

with tempfile.TemporaryFile("w+") as log:
    server = subprocess.Popen(
        [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=null", "workers=2",
         f"server.max_message={LIMIT}", "server.max_audio_s=60"],
        stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    url = ""
    while not (said := re.match(r"listening on (\S+)", server.stdout.readline())):
        pass
    url = said[1]
    gateway, workers = psutil.Process(server.pid), [c.pid for c in psutil.Process(server.pid).children(recursive=True)]
    before, began = gateway.memory_info().rss, time.monotonic()
    try:
        tally = asyncio.run(storm(url, given.seed, given.messages, given.connections, given.tiny, LIMIT))
        took, after = time.monotonic() - began, gateway.memory_info().rss
        calm = asyncio.run(storm(url, given.seed + 1, 100, 1, 0, LIMIT))
        same = workers == [c.pid for c in psutil.Process(server.pid).children(recursive=True)]
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    log.seek(0)
    logged = log.read()
print(f"{tally.sent} messages over {given.connections} connections in {took:.1f} s, seed {given.seed}")
print(f"malformed: {tally.malformed}, answered with an error: {tally.errors}")
print(f"frames over server.max_message: {tally.oversized} of 5 closed with 1009, the other connections untouched")
print(f"well-formed tasks: {tally.tasks}, answered correctly: {tally.right}; wrong: {len(tally.wrong)}")
print(f"gateway: {before / 2**20:.0f} MB before, {after / 2**20:.0f} MB after; its log: {len(logged)} bytes")
print(f"afterwards: {calm.right} of {calm.tasks} tasks correct, the same workers: {same}, exit code {code}")
print("\n".join(tally.wrong[:5]))
fine = same and code == 0 and tally.right == tally.tasks and calm.right == calm.tasks and "Traceback" not in logged
sys.exit(0 if fine else 1)
