"""A CapsWriter-protocol server as the practice of 2025 was: one queue shared by N processes, each merging what it got.

It shares nothing with ours but the tokens of engine=null. With one process it is right; with more, a file of several
segments loses text: `python tests/support/legacy_server.py WORKERS PORT [RTF]`.
"""

import asyncio
import base64
import json
import multiprocessing
import sys
import time

import numpy as np
import websockets

RATE = 16000


def recognizer(tasks, results, rtf):  # type: ignore[no-untyped-def]
    from capsexp.engines.null import NullConfig, NullEngine

    engine = NullEngine(NullConfig())
    known = {}
    while True:
        task = tasks.get()
        audio = np.frombuffer(task["data"], dtype=np.float32)
        time.sleep(rtf * len(audio) / RATE)
        heard = engine.recognize(audio, round(task["offset"] * RATE))
        state = known.setdefault(task["task_id"], {"tokens": [], "timestamps": [], "duration": 0.0})
        # Half of each overlap belongs to either side; what this process never saw is simply not there.
        low = task["offset"] + task["overlap"] / 2 if task["offset"] else -1
        high = 1e9 if task["is_final"] else task["offset"] + len(audio) / RATE - task["overlap"] / 2
        for token, at in zip(heard.tokens, heard.times, strict=True):
            if low <= task["offset"] + at < high:
                state["tokens"].append(token)
                state["timestamps"].append(task["offset"] + at)
        state["duration"] = task["offset"] + len(audio) / RATE
        results.put(
            {
                "socket": task["socket"],
                "message": {
                    "task_id": task["task_id"], "duration": state["duration"], "time_start": task["time_start"],
                    "time_submit": task["time_submit"], "time_complete": time.time(), "text": " ".join(state["tokens"]),
                    "tokens": state["tokens"], "timestamps": state["timestamps"], "is_final": task["is_final"],
                },
            }
        )  # fmt: skip
        if task["is_final"]:
            del known[task["task_id"]]


async def serve(workers, port, rtf):  # type: ignore[no-untyped-def]
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    for _ in range(workers):
        multiprocessing.Process(target=recognizer, args=(tasks, results, rtf), daemon=True).start()
    sockets = {}

    async def receive(socket):  # type: ignore[no-untyped-def]
        sockets[str(socket.id)] = socket
        cache = {}
        async for frame in socket:
            message = json.loads(frame)
            held = cache.setdefault(message["task_id"], {"data": b"", "offset": 0.0})
            held["data"] += base64.b64decode(message["data"])
            duration, overlap = message["seg_duration"], message["seg_overlap"]
            common = {
                "task_id": message["task_id"], "socket": str(socket.id), "time_start": message["time_start"],
                "time_submit": time.time(), "overlap": overlap,
            }  # fmt: skip
            if message["is_final"]:
                tasks.put({**common, **held, "is_final": True})
                del cache[message["task_id"]]
                continue
            second = RATE * 4
            while len(held["data"]) >= int((duration + 2 * overlap) * second):
                piece = held["data"][: int((duration + overlap) * second)]
                tasks.put({**common, "data": piece, "offset": held["offset"], "is_final": False})
                held["data"] = held["data"][int(duration * second) :]
                held["offset"] += duration

    async def answer():  # type: ignore[no-untyped-def]
        while True:
            result = await asyncio.to_thread(results.get)
            try:
                await sockets[result["socket"]].send(json.dumps(result["message"]))
            except (KeyError, websockets.ConnectionClosed):
                pass

    async with websockets.serve(receive, "127.0.0.1", port, subprotocols=["binary"], max_size=None):
        await answer()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.0))
