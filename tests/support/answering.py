"""For servers of a few lines that speak as CapsWriter's do: what they hear and answer, and requests for them."""

import json

from websockets.asyncio.server import ServerConnection

from capsexp.client.request import Request
from tests.support import noise


def result(task: str, final: bool = True) -> str:
    return json.dumps(
        {"task_id": task, "is_final": final, "duration": 0.5, "text": "a b", "text_accu": "a b", "tokens": ["a"],
         "timestamps": [0.0]}
    )  # fmt: skip


async def task_of(connection: ServerConnection) -> str:
    """The id of a task, after its last message."""
    while True:
        message = json.loads(await connection.recv())
        if message["is_final"]:
            return str(message["task_id"])


def made(count: int, seconds: float = 0.5) -> list[Request]:
    return [Request(n, f"task-{n}", f"s{n}", noise(seconds, n)) for n in range(count)]
