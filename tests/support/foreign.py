"""Servers of other people's, as their protocols were seen to be: a few lines each, which share nothing with ours. What
they hear is how many samples came, so that a piece that is lost or doubled shows."""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection

Handler = Callable[[ServerConnection], Awaitable[None]]
SPAN = 16_000  # samples that FunASR and vosk make a result of


def spans(samples: int) -> list[str]:
    """The texts of a clip: of each second its number, of the rest how long it is."""
    whole, rest = divmod(samples, SPAN)
    return [f"s{n}" for n in range(whole)] + ([f"r{rest}"] if rest or not whole else [])


def text(samples: int) -> str:
    return " ".join(spans(samples))


async def sherpa_python(connection: ServerConnection) -> None:
    """Plain text, one request after another; frames above 1 MiB are refused by the listener's max_size."""
    async for frame in connection:
        assert isinstance(frame, bytes)
        rate, size = struct.unpack("<ii", frame[:8])
        data = frame[8:]
        while len(data) < size:
            more = await connection.recv()
            assert isinstance(more, bytes)
            data += more
        assert (rate, len(data)) == (16_000, size)
        await connection.send(text(size // 4) if size else "<EMPTY>")


def funasr(version: str) -> Handler:
    """`version`: python-2026-07, python-2026-05, python-2026-02, cpp-offline, cpp-2pass, python-fails."""

    async def serve(connection: ServerConnection) -> None:
        opening = json.loads(await connection.recv())
        samples, said = 0, b""
        while isinstance(frame := await connection.recv(), bytes):
            if "chunk_size" in opening:  # dropped without a word
                samples += len(frame) // 2
            if opening["mode"] == "2pass":
                await connection.send(json.dumps({"mode": "2pass-online", "text": "m", "is_final": False}))
        end = json.loads(frame)
        assert opening["is_speaking"] is True and end["is_speaking"] is False and not said
        texts = spans(samples)

        async def result(text: str, **more: object) -> None:
            await connection.send(json.dumps({"wav_name": opening["wav_name"], "text": text, **more}))

        if version == "python-2026-07":
            for number, one in enumerate(texts):
                await result(one, mode="offline", is_final=True, timestamp=[[1000 * number, 1000 * number + 900]])
            if end.get("is_end"):
                await connection.send(json.dumps({"is_end": True, "is_final": True}))
        elif version == "python-2026-02":
            for one in texts[:-1]:
                await result(one, mode="offline", is_final=True)
            await result(texts[-1], mode="offline", is_final=False)
        elif version == "cpp-offline":
            await result(" ".join(texts), mode="offline", is_final=False, timestamp="[[0,900]]")
        elif version == "cpp-2pass":
            for one in texts[:-1]:
                await result(one, mode="2pass-offline", is_final=False)
            await result(texts[-1], mode="2pass-offline", is_final=True)
        elif version == "python-fails":
            await result(texts[0], mode="offline", is_final=True)
            await connection.close(1000)
        await connection.wait_closed()

    return serve


async def vosk(connection: ServerConnection) -> None:
    """An answer to each frame; the end is compared as text."""
    rate, samples, told = 8000, 0, 0
    async for frame in connection:
        if isinstance(frame, bytes):
            samples += len(frame) // 2
            if samples - told >= SPAN:
                await connection.send(json.dumps({"text": f"s{told // SPAN}", "result": [{"word": "s", "start": 0.5}]}))
                told += SPAN
            else:
                await connection.send(json.dumps({"partial": "maybe"}))
        elif frame == '{"eof" : 1}':
            assert rate == 16_000
            left = samples - told
            await connection.send(json.dumps({"text": f"r{left}" if left or not told else ""}))
            await connection.close(1000)
        else:
            rate = json.loads(frame)["config"]["sample_rate"]


async def capswriter(connection: ServerConnection) -> None:
    """CapsWriter 2.6: one task at a time, what comes in the final message is not cut, nonsense is never answered."""
    import base64

    held, told, task = b"", 0.0, None
    async for frame in connection:
        try:
            message = json.loads(frame)
            held += base64.b64decode(message["data"])
            task = message["task_id"] if task is None else task
        except (ValueError, KeyError):
            continue
        size, step = (round(4 * 16_000 * s) for s in (message["seg_duration"], message["seg_overlap"]))
        while len(held) >= size + 2 * step and not message["is_final"]:
            held, told = held[size:], told + message["seg_duration"]
            await connection.send(_capswriter(task, told + message["seg_overlap"], False))
        if message["is_final"]:
            await connection.send(_capswriter(task, told + len(held) / 64_000, True))
            held, told, task = b"", 0.0, None


def _capswriter(task: str | None, duration: float, final: bool) -> str:
    seconds = text(round(duration * 16_000))
    return json.dumps(
        {"task_id": task, "duration": duration, "time_start": 0.0, "time_submit": 0.0, "time_complete": 0.0,
         "tokens": [], "timestamps": [], "text": seconds, "text_accu": seconds, "is_final": final}
    )  # fmt: skip


async def wyoming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    samples = 0
    while line := await reader.readline():
        event = json.loads(line)
        await reader.readexactly(event.get("data_length", 0))
        samples += len(await reader.readexactly(event.get("payload_length", 0))) // 2
        if event["type"] == "audio-stop":
            body = json.dumps({"text": text(samples)}).encode()
            writer.write(json.dumps({"type": "transcript", "data_length": len(body)}).encode() + b"\n" + body)
            break
    writer.close()
