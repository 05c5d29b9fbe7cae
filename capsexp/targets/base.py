"""What a target is: a kind of server, by what is sent to it for a request and what its messages mean. Pure: the client
has the sockets and the clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from omegaconf import MISSING

from capsexp.protocol import Audio, Result
from capsexp.setting import setting


@dataclass(frozen=True)
class Utf8:
    """A text message that is encoded already."""

    data: bytes


# A text or a binary message; over HTTP a part of the body, over TCP of the stream. What comes is text or bytes.
Frame = str | bytes | memoryview | Utf8


@dataclass(frozen=True)
class Partial:
    """All that was heard so far, which may still change."""

    text: str


Event = Partial | Result  # a result stands, the final one is the last; an error is raised as ProtocolError
TOLD = {  # what a server may tell beside its texts
    "duration": "how much of the audio a result covers",
    "id": "to which request a result belongs",
}
IGNORABLE = {  # what need not be alike in two texts: `ignore`
    "case": "capital and small letters",
    "punctuation": "punctuation",
    "spaces": "spaces beside Han characters and kana",
    "numbers": "how numbers are spelled",
}
UNTOLD = {  # and what then is left
    "duration": "missing audio shows only in the texts",
    "id": "an answer to another request shows only in its text",
}


@dataclass
class TargetConfig:
    """What every target has: each one's own schema derives from it and says what such a server can do."""

    transport: ClassVar[str] = "websocket"  # of capsexp.address.TRANSPORTS
    subprotocols: ClassVar[tuple[str, ...]] = ()  # that are offered
    local: ClassVar[bool] = False  # our own server speaks it
    pcm16: ClassVar[bool] = False  # its audio is 16 bits wide: made so once for each sample, not for each request
    largest_frame: ClassVar[int | None] = None  # bytes that the target itself keeps to; else load.message_s decides
    where: ClassVar[str] = "server.url"  # the settings that say where `at` is
    reuses: ClassVar[bool] = False  # a connection takes another request after the final result
    tokens: ClassVar[bool] = True  # such a server may ask for one, which goes into a header
    partials: ClassVar[bool] = False  # such a server may send texts that still change
    tells: ClassVar[frozenset[str]] = frozenset(TOLD)  # of TOLD; what such a server does not tell, it is not judged by
    # Its own keys that say how to measure, and of which no value makes us load, run, reach or write anything: an
    # archive of anybody's may set them.
    measures: ClassVar[frozenset[str]] = frozenset({"probe_timeout"})

    name: str = MISSING
    # What a server answers itself has to be the same to the letter.
    ignore: list[str] = setting([], "differences from the text of our own engine that are ignored", choices=IGNORABLE)
    probe_timeout: float = setting(
        60.0, "s for the first request before the load, including late loading", low=0.1, high=86400
    )

    def at(self, url: str) -> str:
        """Where requests go, of a server at this address."""
        return url

    def problems(self) -> Iterator[str]:
        """What types and bounds cannot say: `target.key: what is wrong; what to do`, each in one line."""
        return iter(())


@dataclass(frozen=True)
class TargetRequest:
    """A request, as a server may be told of it. `time_start`: epoch s; segments in s; `samples`: of all its audio
    (16 kHz); `spoken`: it comes as fast as it is spoken, from somebody who waits for the text."""

    id: str
    time_start: float = 0.0
    seg_duration: float = 15.0
    seg_overlap: float = 2.0
    samples: int = 0
    spoken: bool = False


def as_pcm16(audio: NDArray[Any]) -> NDArray[Any]:
    """Float samples (full scale: 1) as 16-bit integers, clipped to their range; int16 stays unchanged."""
    if audio.dtype == np.int16:
        return audio
    whole: NDArray[np.int16] = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype("<i2")
    return whole


class Conversation(Protocol):
    """One request on a connection that it has for itself: what is sent, in this order, and what comes back at any time.

    Frames are made one by one while they are sent: all at once they would hold several times the audio."""

    def opening(self) -> Iterable[Frame]:
        """Before the audio."""
        ...

    def audio(self, piece: Audio, last: bool) -> Iterable[Frame]:
        """For the next piece (16 kHz, mono; float32, or 16-bit integers where `pcm16` says so), in frames no larger
        than such a server takes; of a sample without audio the one piece is empty."""
        ...

    def ending(self) -> Iterable[Frame]:
        """After the audio."""
        ...

    def heard(self, frame: str | bytes) -> Sequence[Event]:
        """What a message says, or over HTTP and TCP the next bytes: results with the `task_id` that they belong to,
        this one's where the server names none, the last one with `is_final`, the whole text and, as `duration`, the
        seconds that it covers: 0 where the server tells none (see `tells`). Raises ProtocolError for an error and for
        nonsense."""
        ...

    def closed(self, code: int, reason: str) -> Sequence[Event]:
        """What it says that the server has ended the connection in order before the final result; nothing where that
        is a failure. Of a WebSocket its close code and reason, of HTTP the status, of TCP 0."""
        ...


@runtime_checkable
class Posted(Conversation, Protocol):
    """One over HTTP."""

    def head(self) -> Mapping[str, str]:
        """Header fields, with the length of the body."""
        ...


class TargetKind(Protocol):
    """What is chosen by name: a module, or any object, with these two."""

    @property
    def Settings(self) -> type[TargetConfig]:
        """Its schema, with a default for every key."""
        ...

    @property
    def begin(self) -> Callable[[Any, TargetRequest], Conversation]:
        """`begin(config, request)`, of `Settings`: the conversation for a request."""
        ...
