"""The path of a second of audio through client and server without a recognizer: an older checkout against this one,
interleaved. RTFx, and CPU of client and gateway per second of audio.

    git worktree add /somewhere COMMIT; python benchmarks/path.py /somewhere
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = """
import asyncio, json, sys, time
import numpy as np, psutil
from websockets.asyncio.client import connect
from capsexp.protocol import AudioMessage, encode_audio

url, pid, files, minutes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
audio = np.random.default_rng(0).normal(0, 0.1, 60 * 16000).astype(np.float32)

async def one(number):
    async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
        for minute in range(minutes):
            await socket.send(encode_audio(AudioMessage(f"t{number}", audio, minute == minutes - 1)))
        while not json.loads(await socket.recv()).get("is_final"):
            pass

async def all_of_them():
    await asyncio.gather(*map(one, range(files)))

def used():
    server = psutil.Process(pid).cpu_times()
    return time.process_time() + server.user + server.system

cpu, began = used(), time.monotonic()
asyncio.run(all_of_them())
took, seconds = time.monotonic() - began, 60.0 * files * minutes
print(json.dumps({"rtfx": seconds / took, "ms": 1e3 * (used() - cpu) / seconds}))
"""


def measure(code: Path, files: int, minutes: int) -> dict[str, float]:
    """With one worker that recognizes in no time."""
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=10)
    asked = parser.parse_args()
    found: dict[Path, list[dict[str, float]]] = {asked.before.resolve(): [], ROOT: []}
    for _ in range(asked.repeats):
        for code in found:
            found[code].append(measure(code, asked.files, asked.minutes))
    for name, code in zip(("before", "now"), found, strict=True):
        rtfx, ms = (statistics.median(one[key] for one in found[code]) for key in ("rtfx", "ms"))
        print(f"{name}: {rtfx:.0f} x real time; client and gateway use {ms:.3f} ms of CPU for a second of audio")
    print(f"ratio: {statistics.median(b['rtfx'] / a['rtfx'] for a, b in zip(*found.values(), strict=True)):.2f}")
