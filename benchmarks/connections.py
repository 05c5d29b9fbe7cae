"""A thousand clients at once, and one file of ten hours: is everybody answered, and what does it cost the gateway?

With `--tls` over TLS, with a certificate that openssl makes for this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from websockets.asyncio.client import connect

from capsexp.client.load import run
from capsexp.client.request import OPEN, ConnectionOptions, Request
from capsexp.config import LoadConfig
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.protocol import RATE, AudioMessage, encode_audio
from capsexp.segments import Cut, Cutter, Merger

MINUTE = 60.0


def start(*overrides: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=null", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.match(r"listening on (\S+)", line):
            return process, found[1]
    raise SystemExit("".join(said))


def certificate(folder: Path) -> tuple[ConnectionOptions, list[str]]:
    """Of this machine alone: what the clients and the server are told."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return ConnectionOptions(certfile=str(cert)), [f"server.certfile={cert}", f"server.keyfile={key}"]


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(60)


class Memory:
    """The gateway's resident memory, MB, looked at every 0.1 s."""

    def __init__(self, pid: int) -> None:
        self._process, self.before = psutil.Process(pid), 0.0
        self.before = self.peak = self.now()

    def now(self) -> float:
        return float(self._process.memory_info().rss) / 2**20

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.now())
            await asyncio.sleep(0.1)


def noise(seconds: float, *seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def expected(audio: np.ndarray[Any, Any], load: LoadConfig) -> str:
    cut, engine = Cut.of(load.seg_duration, load.seg_overlap), NullEngine(NullConfig())
    merger, cutter = Merger(cut), Cutter(cut)
    for s in cutter.feed(audio, final=True):
        merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
    return merger.text


def secured(url: str, way: ConnectionOptions) -> dict[str, Any]:
    return {"ssl": way.tls()} if url.startswith("wss:") else {}


async def idle(url: str, way: ConnectionOptions, count: int, memory: Memory) -> float:
    """MB of the gateway for each of so many connections that say nothing."""
    before, given = memory.now(), secured(url, way)
    connections = []
    for at in range(0, count, 50):
        coming = (connect(url, compression=None, **given) for _ in range(min(50, count - at)))
        connections += await asyncio.gather(*coming)
    await asyncio.sleep(0.3)
    each = (memory.now() - before) / count
    await asyncio.gather(*(c.close() for c in connections))
    return each


async def crowd(url: str, way: ConnectionOptions, count: int, seconds: float, memory: Memory) -> None:
    load = LoadConfig(timeout=240.0)
    audio = noise(seconds, 1)  # of all clients: a client's memory is not what is looked at
    made = [Request(n, f"task-{n}", "noise", audio) for n in range(count)]
    watching = asyncio.create_task(memory.watch())
    began = time.monotonic()
    await run(made, url, load, way=way)
    took = time.monotonic() - began
    watching.cancel()
    text = expected(audio, load)
    right = sum(
        r.ok and r.finals == 1 and not r.foreign and r.result is not None and r.result.text == text for r in made
    )
    for r in [r for r in made if not r.ok][:3]:
        print(f"  {r.task_id}: {r.error}")
    grown = memory.peak - memory.before
    print(
        f"{count} connections at once with {seconds:g} s of audio each: {right} right, in {took:.1f} s; gateway "
        f"{memory.before:.0f} MB before, {memory.peak:.0f} MB at most: {1024 * grown / count:.0f} KB per connection "
        f"(its message is {1.33 * seconds * RATE * 4 / 1024:.0f} KB)",
        flush=True,
    )
    if right < count:
        raise SystemExit(1)


async def long_file(url: str, way: ConnectionOptions, hours: float, memory: Memory) -> None:
    """Made minute by minute and sent: neither side ever has the file."""
    minutes, task = round(60 * hours), "long"
    watching = asyncio.create_task(memory.watch())
    cut, engine, seen = Cut.of(15, 2), NullEngine(NullConfig()), []
    merger, cutter = Merger(cut), Cutter(cut)
    began = time.monotonic()
    given = {"compression": None, "max_size": None, "max_queue": 1, "ping_interval": None, **secured(url, way)}
    async with connect(url, **given) as connection:

        async def send() -> None:
            for minute in range(minutes):
                audio, last = noise(MINUTE, 2, minute), minute == minutes - 1
                for s in cutter.feed(audio, last):
                    merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
                await connection.send(encode_audio(AudioMessage(task, audio, last)))

        sending = asyncio.create_task(send())
        results, step = 0, max(1, minutes // 10)
        async for frame in connection:
            results += 1
            if '"is_final": true' in frame[:200]:  # a late result is megabytes: parsing all would be what is measured
                break
            if results % (4 * step) == 0:
                seen.append((results / 240, memory.now()))
        await sending
    took = time.monotonic() - began
    watching.cancel()
    final = json.loads(frame)
    right = final["text"] == merger.text and final["text_accu"] == merger.text_accu
    size = minutes * MINUTE * RATE * 4 / 2**20
    shown = ", ".join(f"{mb:.0f} MB after {hour:.1f} h" for hour, mb in seen)
    print(
        f"one file of {hours:g} h ({size:.0f} MB of audio) in {took:.0f} s, {results} results, "
        f"text of {len(final['text']) / 2**20:.1f} MB {'right' if right else 'WRONG'}; gateway "
        f"{memory.before:.0f} MB before, {memory.peak:.0f} MB at most: {shown}",
        flush=True,
    )
    if not right:
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio for each")
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--tls", action="store_true")
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = asked.connections + 100
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(f"{asked.connections} connections need {needed} open files, and only {hard} are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    with tempfile.TemporaryDirectory() as folder:
        way, given = certificate(Path(folder)) if asked.tls else (OPEN, [])
        if asked.connections:
            process, url = start("workers=2", *given)
            try:
                memory = Memory(process.pid)
                each = asyncio.run(idle(url, way, asked.connections, memory))
                print(f"{asked.connections} idle connections: {1024 * each:.0f} KB of the gateway each", flush=True)
                asyncio.run(crowd(url, way, asked.connections, asked.seconds, Memory(process.pid)))
            finally:
                stop(process)
        if asked.hours:
            process, url = start("workers=2", *given)
            try:
                asyncio.run(long_file(url, way, asked.hours, Memory(process.pid)))
            finally:
                stop(process)


if __name__ == "__main__":
    main()
