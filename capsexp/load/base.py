"""What a load is: settings, and the turns that users take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, ClassVar, Protocol

from capsexp.load.pacing import PACINGS
from capsexp.load.seeds import Seeds
from capsexp.setting import setting


@dataclass
class LoadConfig:
    """What every load has: each one's own schema derives from it and says what such a load is."""

    # Sends every sample `repeats` times, so that how often is a question; others say themselves when requests begin.
    counted: ClassVar[bool] = True
    # Its own keys that say how to measure, and of which no value makes us load, run, reach or write anything: an
    # archive of anybody's may set them.
    measures: ClassVar[frozenset[str]] = frozenset()
    # Of a load that is not counted, its key by which it lasts: twice as long with twice as much.
    length: ClassVar[str | None] = None
    reads: ClassVar[str | None] = None  # its key that names a file, whose text is given to it

    name: str = "all"
    pacing: str = setting(
        "burst",
        "burst: as fast as the connection accepts it; realtime: as it is spoken, in packets",
        choices=PACINGS,
    )
    packet_s: float = setting(0.05, "s of audio per packet, with pacing=realtime", low=0.001, high=60)
    concurrency: int = setting(
        0,
        "requests at once; 0: all (with repeats=auto or hours=: one set of samples)",
        written="${oc.select:samples.concurrency,0}",
    )
    repeats: Any = setting(
        "auto",
        "how often each sample is sent; auto: often enough for min_s, by the speed of the reference",
        takes="whole number from 1, or `auto`",
    )
    min_s: float = setting(10.0, "s that the load of the fastest configuration should last, with repeats=auto")
    seg_duration: float = setting(15.0, "s by which segments advance", low=0.1)
    seg_overlap: float = setting(2.0, "s that a segment shares with the previous one")
    message_s: float = setting(
        60.0, "s of audio per message", low=0.01, high=60, hint="CapsWriter sends at most 60 s of audio in a message"
    )
    reuse: bool = setting(False, "keep a connection for further requests, where the target allows it")
    seed: int = setting(0, "seed of the order of requests; 0: as listed", high=2**64)
    arrival_seed: int = setting(0, "seed of the times at which requests begin", high=2**64)
    think_seed: int = setting(0, "seed of users' pauses", high=2**64)
    timeout: float = setting(600.0, "s for the whole measured phase", low=0.1)
    progress: bool = setting(True, "let the client report its progress")
    give_up_s: float = setting(
        1.0, "with give_up_late: s without a text, after its end (burst: after it was due), that make a request late"
    )
    give_up_late: int = setting(
        0,
        "number of late requests at which the run ends (a user's first does not count once it is answered); 0: never",
        high=10**9,
    )
    give_up_class: str | None = setting(None, "with give_up_late: only requests of this class of load=mixed count")

    @property
    def size(self) -> str | None:
        """The setting that scales this load (users, rate), which a search for a capacity varies; None without one."""
        return None

    def sized(self, size: float, requests: int) -> Sized:
        """This load at another `size`, with at least `requests` requests, not counting each user's first. Raises
        NotImplementedError where the `size` of this load is None."""
        raise NotImplementedError

    def spread_s(self, text: str = "") -> float:
        """Seconds over which its own settings spread its requests, whatever the samples are: about what it lasts at
        least. `text`: of the file that it reads. Raises ConfigError."""
        return 0.0

    def by_class(self) -> dict[str, LoadConfig]:
        """The loads that it is made of, by the class of their requests; "": these have none."""
        return {"": self}

    @property
    def longest_segment_s(self) -> float:
        """The last one has what is left when no further one can be cut."""
        return self.seg_duration + 2 * self.seg_overlap

    @property
    def timed(self) -> bool:
        """Whether its own times say how long it takes, so that a faster server does not end sooner."""
        return not self.counted or self.pacing == "realtime"

    @classmethod
    def longer(cls, own: Mapping[str, Any], times: float) -> tuple[str, int] | None:
        """The key, and its value, with which a load that had these settings lasts so many times as long; None where no
        key does that."""
        if cls.counted and own.get("pacing") == "realtime" and not own.get("concurrency"):
            return None  # more requests are spoken at the same time
        key = "repeats" if cls.counted else cls.length
        value = 1 if key == "repeats" and own.get(key) == "auto" else own.get(key or "")
        return (key, ceil(times * value)) if key and isinstance(value, int | float) else None

    @property
    def file(self) -> str | None:
        """The file that it reads, if any."""
        return getattr(self, self.reads) if self.reads else None

    def problems(self) -> Iterator[str]:
        """What types and bounds cannot say: `load.key: what is wrong; what to do`, each in one line."""
        if not self.counted and self.repeats != "auto":
            yield f"load.repeats: load={self.name} says itself how many requests there are; leave it out"
        if self.give_up_class is not None and self.give_up_class not in self.by_class():
            known = ", ".join(filter(None, self.by_class())) or "none"
            yield f"load.give_up_class: load={self.name} has no class {self.give_up_class}; it has {known}"


def unbound(why: str) -> Any:
    """`concurrency` of a load that has no such bound; `why`: what decides it there."""
    return setting(0, "this load has no such bound", high=0, hint=f"{why}; leave it out")


@dataclass(frozen=True)
class Sized:
    """A load of another size: its keys with their values, the class that has this size ("": there are no classes), and
    how many requests of that class there will be, not counting each user's first; where they come by chance, on
    average."""

    values: dict[str, Any]
    requests: int
    kind: str = ""


@dataclass(frozen=True)
class Clip:
    """A sample, as far as a load is concerned."""

    name: str
    duration_s: float


@dataclass(frozen=True)
class Given:
    """What a load is planned of. `text`: of the file that it reads."""

    clips: tuple[Clip, ...]
    seeds: Seeds = field(default_factory=Seeds)
    text: str = ""


@dataclass(frozen=True)
class Turn:
    """A planned request. `clip`: index of its sample among the clips. `wait_s`: seconds from the outcome of its user's
    previous turn (of the first: from the begin of the load) until it is due; None: as soon as a place is free. `kind`:
    the class of its user; `step`: of a ramp, from 1; `places`: how many of its class may be under way at once, 0: any
    number."""

    clip: int = 0
    user: int = 0
    wait_s: float | None = None
    kind: str = ""
    step: int | None = None
    pacing: str = "burst"
    places: int = 0


Plan = tuple[Turn, ...]  # those of a user in their order


class LoadKind(Protocol):
    """What is chosen by name: a module, or any object, with these two."""

    @property
    def Settings(self) -> type[LoadConfig]:
        """Its schema, with a default for every key."""
        ...

    @property
    def plan(self) -> Callable[[Any, Given], Plan]:
        """`plan(config, given)`, of `Settings`: the same for the same arguments. Raises ConfigError."""
        ...
