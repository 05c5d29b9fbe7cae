"""The path of a second of audio through client and server without a recognizer: an older checkout against this one,
interleaved, each with its own client. RTFx, CPU of client and gateway per second of audio, and where the rest goes.

    git worktree add /somewhere COMMIT; python benchmarks/path.py /somewhere
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CLIENT = """
import asyncio, json, sys, time
import numpy as np, psutil
from capsexp.client.load import run
from capsexp.client.request import Request
from capsexp.config import LoadConfig

url, pid, files, minutes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
audio = np.tile(np.random.default_rng(0).normal(0, 0.1, 60 * 16000).astype(np.float32), minutes)
load = LoadConfig()
load.concurrency = 0  # all at once
requests = [Request(number, f"t{number}", "noise", audio) for number in range(files)]
server = psutil.Process(pid)
workers = server.children(recursive=True)

def used():
    times = [time.process_time(), *(sum(one.cpu_times()[:2]) for one in (server, *workers))]
    return np.array([times[0], times[1], sum(times[2:])])

cpu, began = used(), time.monotonic()
asyncio.run(run(requests, url, load))
took, seconds = time.monotonic() - began, 60.0 * files * minutes
cpu = 1e3 * (used() - cpu) / seconds
assert all(request.ok and request.result.duration == 60 * minutes for request in requests), requests
print(json.dumps({"rtfx": seconds / took, "client": cpu[0], "gateway": cpu[1], "worker": cpu[2]}))
"""


def measure(code: Path, files: int, minutes: int) -> dict[str, float]:
    """With one worker that recognizes in no time; CPU in ms per second of audio."""
    settings = {"cwd": code, "env": {**os.environ, "PYTHONPATH": str(code)}, "text": True}
    command = [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=null", "workers=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **settings) as server:  # type: ignore[call-overload]
        try:
            url = next(line.split()[2] for line in server.stdout if line.startswith("listening on "))
            client = [sys.executable, "-c", CLIENT, url, str(server.pid), str(files), str(minutes)]
            done = subprocess.run(client, capture_output=True, check=True, timeout=300, **settings)  # type: ignore[call-overload]
            return dict(json.loads(done.stdout))
        finally:
            server.terminate()


STAGES = """
import json, statistics, time
import multiprocessing, secrets
import numpy as np
from websockets.frames import Frame, Opcode
from websockets.speedups import apply_mask
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.protocol import AudioMessage, Result, decode_audio, decode_result, encode_audio_utf8, encode_result
from capsexp.segments import Cut, Merger, cut_all
from capsexp.server.messages import SegmentJob, receive_job, send_job

audio = np.random.default_rng(0).normal(0, 0.1, 60 * 16000).astype(np.float32)
cut, engine = Cut.of(15, 2), NullEngine(NullConfig())
message = AudioMessage("t", audio, True)
sent = encode_audio_utf8(message)
text, key, frame = sent.decode(), secrets.token_bytes(4), Frame(Opcode.TEXT, sent)
masked, segments = apply_mask(sent, key), cut_all(audio, cut)
heard = [engine.recognize(one.audio, one.start, one.shared) for one in segments]

def merged():
    merger = Merger(cut)
    for one, words in zip(segments, heard):
        merger.add(one.start, one.last, words)
        yield one, merger.latest(30 * 16000)

def results():
    return [encode_result(Result("t", False, 1.0, 1.0, 1.0, 1.0, *vars(said).values())) for _, said in merged()]

answers = results()
stages = {
    "client: message as JSON with base64": lambda: encode_audio_utf8(message),
    "client: masked and framed (websockets)": lambda: frame.serialize(mask=True),
    "client: results read": lambda: [decode_result(one) for one in answers],
    "gateway: frame unmasked": lambda: apply_mask(masked, key),
    "gateway: text of it": lambda: str(sent, "utf-8"),
    "gateway: message read": lambda: decode_audio(text),
    "gateway: cut into segments": lambda: cut_all(audio, cut),
    "gateway: merged, results written": results,
    "worker: engine=null": lambda: [engine.recognize(one.audio, one.start, one.shared) for one in segments],
}
found = {}
for name, stage in stages.items():
    times = []
    for _ in range(25):
        began = time.thread_time()
        stage()
        times.append(time.thread_time() - began)
    found[name] = 1e6 * statistics.median(times) / 60
print(json.dumps(found))
"""


def stages() -> dict[str, float]:
    """us of CPU per second of audio of this checkout's steps, each by itself."""
    done = subprocess.run([sys.executable, "-c", STAGES], cwd=ROOT, capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout))


def middle(found: list[dict[str, float]], *keys: str) -> float:
    return statistics.median(sum(one[key] for key in keys) for one in found)


def compare(before: Path, files: int, minutes: int, repeats: int) -> None:
    found: dict[Path, list[dict[str, Any]]] = {before: [], ROOT: []}
    for _ in range(repeats):
        for code in found:
            found[code].append(measure(code, files, minutes))
    for name, code in zip(("before", "now"), found, strict=True):
        each = ", ".join(f"{key} {middle(found[code], key):.3f}" for key in ("client", "gateway", "worker"))
        print(f"{name}: {middle(found[code], 'rtfx'):.0f} x real time; ms of CPU for a second of audio: {each}")
    pairs = list(zip(*found.values(), strict=True))
    faster = statistics.median(now["rtfx"] / old["rtfx"] for old, now in pairs)
    less = statistics.median((now["client"] + now["gateway"]) / (old["client"] + old["gateway"]) for old, now in pairs)
    print(f"ratio: {faster:.2f} times the throughput, {less:.3f} of the CPU of client and gateway")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=10)
    asked = parser.parse_args()
    compare(asked.before.resolve(), asked.files, asked.minutes, asked.repeats)
    alone = stages()
    for name, us in alone.items():
        print(f"{us:7.1f} us  {name}")
    print("The rest of client and gateway is the system's (sockets, pipes, new pages) and the event loops'.")
