"""`server`: ours, one that a command starts, or one that runs already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from capsexp.address import is_loopback
from capsexp.bounds import number
from capsexp.commandline import mentioned_in, words
from capsexp.config.checks import one_of

SERVERS = ("local", "command", "external")
DISPATCH = ("segment", "task", "hash", "naive")
SCHEDULES = ("fifo", "mic_first", "fair")


@dataclass
class ServerConfig:
    name: str = "local"
    host: str = "127.0.0.1"
    port: int = number(6016, high=65535, hint="give 1 to 65535, or 0 for any that is free")
    dispatch: str = "segment"
    schedule: str = "fifo"  # who of those that wait is next: who came first, a microphone, or one of each task in turn
    passed_over_s: float = number(10.0, low=0)  # that microphones may keep the first of the files waiting
    max_queue: int = 0  # segments waiting in the server; 0 = 4 x workers
    max_retries: int = 2
    stuck_s: float = number(
        10.0, low=0.1
    )  # a worker that takes longer than stuck_s + stuck_rtf x audio counts as stuck and is replaced
    stuck_rtf: float = 5.0
    max_message: int = number(64 * 2**20, low=1, high=2**31)
    ready_timeout: float = number(300.0, low=0.1)
    grace: float = 5.0
    on_low_memory: str = "reduce"
    cmd: str | None = None
    env: dict[str, str] = field(default_factory=dict)  # of the command, with the same placeholders
    cwd: str | None = None  # of the command
    model: str | None = None  # what {model} stands for: a name, or a folder; one that is shipped by its name alone
    install: str | None = None  # how to get the command's program, in a line
    url: str | None = None
    token: str | None = None  # what a client must say; needed for addresses other than loopback
    allow_anonymous: bool = False  # ... unless anybody may come
    certfile: str | None = None  # TLS: certificate and key, PEM
    keyfile: str | None = None
    max_connections: int = number(4096, low=1)
    max_audio_s: float = number(43_200.0, low=1)  # of audio in one task
    max_tasks: int = number(1000, low=1)  # of one connection, without their final message
    send_timeout: float = number(120.0, low=0.1)  # s that a client may leave a result untaken, before it is let go
    max_held_mb: float = number(1024.0, low=1)  # what the whole server may hold of its clients' messages and audio
    max_segment_s: float = number(120.0, low=0.1, high=600)  # seg_duration + 2 x seg_overlap that a client may ask for
    origins: list[str] = field(default_factory=list)  # of web pages that may connect, e.g. https://example.org

    def mentions(self) -> set[str]:
        """What the command is told."""
        return mentioned_in((self.cmd or "", *self.env.values()))

    def problems(self) -> Iterator[str]:
        yield from one_of("server", self.name, SERVERS)
        yield from one_of("server.dispatch", self.dispatch, DISPATCH)
        yield from one_of("server.schedule", self.schedule, SCHEDULES)
        yield from one_of("server.on_low_memory", self.on_low_memory, ("reduce", "refuse"))
        if self.name == "command":
            words(self.cmd or "")
        if self.name == "command" and "model" in self.mentions() and not self.model:
            yield "server.model: the command needs a model: server.model=FOLDER, or a name that its program knows"
        if self.name == "command" and self.port == 0 and "port" not in self.mentions():
            yield (
                "server.port: server.cmd has no {port}, so give the port that the server takes by itself, e.g. "
                "server.port=6016, or let server.cmd take {port}"
            )
        if self.keyfile is not None and self.certfile is None:
            yield "server.keyfile: needs server.certfile"
        if self.token is not None and not self.token:
            yield "server.token: is empty"
        if self.name == "local" and not is_loopback(self.host) and not self.token and not self.allow_anonymous:
            yield (
                f"server.host={self.host}: others can reach it; set server.token=SECRET, "
                "or server.allow_anonymous=true if anybody may use it"
            )
