"""`server`: ours, one that a command starts, or one that runs already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.address import is_loopback
from capsexp.commandline import mentioned_in, words
from capsexp.setting import setting

SERVERS = ("local", "command", "external")
DISPATCH = ("segment", "task", "hash", "naive")
SCHEDULES = ("fifo", "mic_first", "fair")
LOW_MEMORY = ("reduce", "refuse")


@dataclass
class ServerConfig:
    """Our own server: a WebSocket gateway, `workers` recognizers behind it; or one that a command starts
    (server=command), or one that runs already (server=external)."""

    name: str = setting("local", "which server", choices=SERVERS)
    host: str = setting("127.0.0.1", "the address that it listens on")
    port: int = setting(
        6016,
        "when started alone; inside a run it takes a free port",
        high=65535,
        hint="give 1 to 65535, or 0 for any that is free",
    )
    dispatch: str = setting(
        "segment", "segment: any worker takes any; task, hash: one has all of a task; naive: loses text",
        choices=DISPATCH,
    )  # fmt: skip
    schedule: str = setting(
        "fifo",
        "who of those that wait is next; fifo: who came first; mic_first: a microphone; fair: one of each task in turn",
        choices=SCHEDULES,
    )
    passed_over_s: float = setting(10.0, "s that microphones may keep the first of the files waiting (mic_first)")
    max_queue: int = setting(0, "segments waiting or at work, before their senders are slowed; 0: 4 x workers")
    max_retries: int = setting(2, "times that a segment is recognized again after its worker died or was stuck")
    stuck_s: float = setting(10.0, "a worker that takes longer than stuck_s + stuck_rtf x audio is replaced", low=0.1)
    stuck_rtf: float = setting(5.0, "s per second of audio: see stuck_s")
    max_message: int = setting(64 * 2**20, "bytes of one message of a client", low=1, high=2**31)
    ready_timeout: float = setting(300.0, "s until all workers have loaded and it answers", low=0.1)
    grace: float = setting(5.0, "s to stop in after SIGTERM, before SIGKILL")
    on_low_memory: str = setting("reduce", "workers that would not fit: fewer of them, or no run", choices=LOW_MEMORY)
    token: str | None = setting(None, "what clients must say: Authorization: Bearer TOKEN, or ?token=TOKEN")
    allow_anonymous: bool = setting(
        False, "without a token, only loopback addresses are listened on unless this says otherwise"
    )
    certfile: str | None = setting(None, "TLS: the certificate, PEM")
    keyfile: str | None = setting(None, "TLS: its key, PEM")
    max_connections: int = setting(4096, "at once", low=1)
    max_audio_s: float = setting(43_200.0, "s of audio in one task", low=1)
    max_tasks: int = setting(1000, "of one connection, without their final message", low=1)
    send_timeout: float = setting(120.0, "s that a client may leave a result untaken, before it is let go", low=0.1)
    max_held_mb: float = setting(
        1024.0, "what the whole server may hold of its clients' messages and audio; then somebody is refused", low=1
    )
    max_segment_s: float = setting(
        120.0, "s of seg_duration + 2 x seg_overlap that a client may ask for: it decides a worker's memory",
        low=0.1, high=600,
    )  # fmt: skip
    origins: list[str] = setting(
        [], "web pages that may connect, e.g. [https://example.org]; other clients send no Origin"
    )
    cmd: str | None = setting(
        None, "server=command: the line that starts it, with {workers}, {threads}, {host}, {port} and {model} filled in"
    )
    env: dict[str, str] = setting({}, "of server.cmd, e.g. {OMP_NUM_THREADS: '{threads}'}")
    cwd: str | None = setting(None, "the folder that it is started in")
    model: str | None = setting(None, "what {model} in it stands for: a name, or a folder")
    install: str | None = setting(None, "how to get its program, in a line")
    url: str | None = setting(None, "server=external: its address, e.g. ws://127.0.0.1:6016")

    def mentions(self) -> set[str]:
        """What the command is told."""
        return mentioned_in((self.cmd or "", *self.env.values()))

    def problems(self) -> Iterator[str]:
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
