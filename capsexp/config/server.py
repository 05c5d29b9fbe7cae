"""`server`: ours, one started by a command, or one that is already running."""

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
    """Our own server, a WebSocket gateway with `workers` recognizers (server=local); one started by a command
    (server=command); or one that is already running (server=external)."""

    name: str = setting("local", "which server", choices=SERVERS)
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(
        6016,
        "port when started alone; inside a run it takes a free one",
        high=65535,
        hint="give 1 to 65535, or 0 for any free port",
    )
    dispatch: str = setting(
        "segment", "segment: any worker takes any segment; task, hash: one worker has all of a task; naive: loses text",
        choices=DISPATCH,
    )  # fmt: skip
    schedule: str = setting(
        "fifo",
        "which waiting segment is next; fifo: the oldest; mic_first: a microphone's; fair: one of each task in turn",
        choices=SCHEDULES,
    )
    passed_over_s: float = setting(10.0, "s that microphones may delay the first waiting file segment (mic_first)")
    max_queue: int = setting(0, "segments waiting or being recognized before senders are slowed down; 0: 4 x workers")
    max_retries: int = setting(2, "how often a segment is retried after its worker died or hung")
    stuck_s: float = setting(
        10.0, "a worker that takes longer than stuck_s + stuck_rtf x the segment's audio is replaced", low=0.1
    )
    stuck_rtf: float = setting(5.0, "s per second of audio; see stuck_s")
    max_message: int = setting(64 * 2**20, "largest message of a client, bytes", low=1, high=2**31)
    ready_timeout: float = setting(300.0, "s until all workers have loaded and the server answers", low=0.1)
    grace: float = setting(5.0, "s between SIGTERM and SIGKILL")
    on_low_memory: str = setting(
        "reduce", "if the workers do not fit: reduce their number, or refuse the run", choices=LOW_MEMORY
    )
    token: str | None = setting(None, "token that clients must send: Authorization: Bearer TOKEN, or ?token=TOKEN")
    allow_anonymous: bool = setting(False, "listen on other than loopback addresses without a token")
    certfile: str | None = setting(None, "TLS: certificate, PEM file")
    keyfile: str | None = setting(None, "TLS: key of the certificate, PEM file")
    max_connections: int = setting(4096, "connections at once", low=1)
    max_audio_s: float = setting(43_200.0, "longest audio of one task, s", low=1)
    max_tasks: int = setting(1000, "unfinished tasks of one connection", low=1)
    send_timeout: float = setting(120.0, "s after which a client that does not take a result is disconnected", low=0.1)
    partial_s: float = setting(
        30.0, "a result before the last one holds the text of the latest s of audio; 0: of its own segment"
    )
    max_held_mb: float = setting(
        1024.0, "MB of messages and audio that the whole server may hold; beyond that a client is refused", low=1
    )
    max_segment_s: float = setting(
        120.0, "largest seg_duration + 2 x seg_overlap that a client may ask for, s; it determines a worker's memory",
        low=0.1, high=600,
    )  # fmt: skip
    origins: list[str] = setting(
        [], "web pages that may connect, e.g. [https://example.org]; clients without an Origin header always may"
    )
    cmd: str | None = setting(
        None, "server=command: the command; {workers}, {threads}, {host}, {port} and {model} are filled in"
    )
    env: dict[str, str] = setting({}, "environment of server.cmd, e.g. {OMP_NUM_THREADS: '{threads}'}")
    cwd: str | None = setting(None, "working folder of server.cmd")
    model: str | None = setting(None, "value of {model} in server.cmd: a name or a folder")
    install: str | None = setting(None, "how to install its program, one line")
    url: str | None = setting(None, "server=external: address, e.g. ws://127.0.0.1:6016")

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
                "server.port: server.cmd has no {port}, so give the port that the server uses, e.g. "
                "server.port=6016, or put {port} into server.cmd"
            )
        if self.keyfile is not None and self.certfile is None:
            yield "server.keyfile: needs the certificate, too; add server.certfile=FILE"
        if self.token is not None and not self.token:
            yield "server.token: is empty; give a token, or leave it out"
        if self.name == "local" and not is_loopback(self.host) and not self.token and not self.allow_anonymous:
            yield (
                f"server.host={self.host}: others can reach it; set server.token=SECRET, "
                "or server.allow_anonymous=true if anybody may use it"
            )
