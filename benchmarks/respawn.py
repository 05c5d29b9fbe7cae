"""kill -9 of a forked worker under load: how soon it is replaced, and whether any text is lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from statistics import median

from common import repeats

from capsexp import samples
from capsexp.client.load import run
from capsexp.client.request import Request
from capsexp.compose import compose

kills = repeats(10)
server = subprocess.Popen(
    [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=paraformer", "engine.twin=paraformer-large",
     "pool=prefork", "workers=2"],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
)  # fmt: skip
assert server.stdout is not None
workers: dict[int, int] = {}
ready: dict[int, float] = {}
url = ""


def hear(line: str) -> None:
    global url
    if said := re.match(r"worker (\d+) ready .*\(pid (\d+)\)", line):
        workers[int(said[1])] = int(said[2])
        ready[int(said[2])] = time.monotonic()
    if line.startswith("listening on "):
        url = line.split()[2]


for line in server.stdout:
    hear(line)
    if url:
        break
threading.Thread(target=lambda: [hear(line) for line in server.stdout or ()], daemon=True).start()

clips = samples.load(compose([]).samples).samples
config = compose(["load.repeats=1"]).load


def made(times: int) -> list[Request]:
    return [Request(n, f"t{n}", c.name, c.audio) for n, c in enumerate(list(clips) * times)]


before = made(1)
asyncio.run(run(before, url, config))
right = {r.sample: (r.result.text, r.result.text_accu) for r in before if r.result}
took: list[float] = []


def strike() -> None:
    for number in range(kills):
        time.sleep(1.5)
        victim = workers[number % 2]
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        while workers[number % 2] == victim:
            time.sleep(0.001)
        took.append(ready[workers[number % 2]] - began)


striking = threading.Thread(target=strike)
striking.start()
requests = made(1 + kills // 4)
asyncio.run(run(requests, url, config))
striking.join()
same = sum(r.result is not None and (r.result.text, r.result.text_accu) == right[r.sample] for r in requests)
server.send_signal(signal.SIGINT)
server.wait()
print(f"{kills} workers killed: replaced after {median(took):.3f} s (median), {max(took):.3f} s (longest)")
print(f"texts as before: {same} of {len(requests)}")
