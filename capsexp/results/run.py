"""The facts of a run: what run.json holds, typed. Figures are made of them and of the run's tables (see `analysis`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from capsexp.errors import HarnessError, LastingError
from capsexp.results.verdicts import Status

SCHEMA = 2  # of run.json; 1 held figures beside the facts, which are not looked at
READ = (1, 2)
# Of ours; after SETTINGS another run would fail the same.
HARNESS, SETTINGS = FAILURES = (HarnessError.failure, LastingError.failure)
# Settings, or facts of a machine or an engine, as any version wrote them: looked at where they are used.
Tree: TypeAlias = Mapping[str, Any]


class SampleFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    duration_s: float
    sha256: str = ""


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the sample set that was left out, or is not what it seems."""

    file: str
    reason: str


class SampleSetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has to send (samples.json): its part of run.json, before that is there."""

    samples: tuple[SampleFacts, ...] = ()
    skipped: tuple[Remark, ...] = ()
    remarks: tuple[Remark, ...] = ()
    language: str | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """On the run's own clock: when the server was ready, and the measured phase."""

    ready: float | None = None
    start: float | None = None
    end: float | None = None

    @property
    def span(self) -> tuple[float, float] | None:
        return (self.start, self.end) if self.start is not None and self.end is not None else None


class ReferenceProcesses(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference with so many processes at once, which together used `cpu_s`, for work that stands for so much
    audio. `busy_s`: until a process had no more to do, on average, where not all of the work was timed;
    `deterministic`: their texts were the reference's. Earlier versions kept the speed, some without the audio."""

    processes: int
    makespan_s: float
    audio_s: float | None = None
    busy_s: float | None = None
    load_s: float | None = None
    cpu_s: float | None = None
    deterministic: bool = True
    kept_rtfx: float | None = msgspec.field(default=None, name="throughput_rtfx")

    def __post_init__(self) -> None:
        if self.audio_s is None and self.kept_rtfx is None:
            raise ValueError("has neither audio_s nor throughput_rtfx")

    @property
    def throughput_rtfx(self) -> float:
        """Seconds of audio recognized per second."""
        took_s = self.makespan_s if self.busy_s is None else self.busy_s
        if self.audio_s is not None and took_s > 0:
            return self.audio_s / took_s
        return self.kept_rtfx or 0.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """`failure`: one of FAILURES where it says nothing of the server; `reference`: the name of its reference;
    `fingerprint`: hashes of what it was made with (configuration, code, models, packages); `reference_runs`: how fast
    plain processes were right before it. What its engine can do: `one_core`, it
    recognizes on one core whatever `threads` says; `speaks`, its texts are words of a language. `tells`: what its
    target tells beside the texts (see `targets`).

    What says again what `config` holds (`name`, `trial`, `threads`, `pool`, `engine`, `server`) is there for whoever
    reads run.json without knowing the settings of the version that wrote it: it keeps its place when they move."""

    schema: int = 1
    num: int
    key: str
    trial: int
    name: str = ""
    status: Status
    error: str | None = None
    failure: str | None = None
    workers: int | None
    workers_requested: int | str | None = None
    threads: int
    pool: str
    pinned: tuple[str, ...] = ()  # the CPUs of each worker, as the kernel lists them; empty where they are not pinned
    engine: str
    engine_about: Tree | None = None
    twin: bool = False
    one_core: bool = False
    speaks: bool = True
    tells: tuple[str, ...] = ("duration", "id")
    dispatch: str | None  # how ours shares out segments; nobody knows of others
    repeats: int | None = None
    concurrency: int | None = None
    server: str = "local"
    config: Tree
    reference: str | None = None
    reference_runs: tuple[ReferenceProcesses, ...] = ()
    phases_s: dict[str, float]
    window_s: Window
    order_seed: int | None = None
    samples: tuple[SampleFacts, ...]
    skipped: tuple[Remark, ...]
    remarks: tuple[Remark, ...] = ()
    language: str | None = None
    cpu_count: float
    machine_cpus: int | None = None
    warnings: tuple[str, ...]
    fingerprint: dict[str, str] | None = None
    environment: Tree | None = None
    tables: dict[str, int] | None = None

    @property
    def fault(self) -> str:
        """What was injected."""
        return str(self.group("fault").get("name", "none"))

    @property
    def keeps_away(self) -> bool:
        """Whether a worker was away from the fault on until the load ended."""
        return self.fault == "kill_worker" and bool(self.group("fault").get("stays_dead"))

    @property
    def failed_by_us(self) -> bool:
        """It failed for a reason of ours: it says nothing of the server."""
        return self.status != Status.OK and self.failure in FAILURES

    def group(self, name: str) -> Tree:
        """A group of its settings; empty where its version had none."""
        found = self.config.get(name)
        return found if isinstance(found, Mapping) else {}


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was still waiting for its text when the load was ended early (load.give_up_late), at `until_s`.
    The times are on the run's clock."""

    kind: str | None = None
    user: int = 0
    duration_s: float
    due_s: float
    stop_s: float | None = None
    until_s: float


class ClientFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the client says of itself (client.json): times on the run's clock; `thinned`: not all requests have a row;
    `packets_every`: of how many packets one has a row; `timed`: its load lasts as long as it says; `in_flight_s`:
    requests under way, summed over time as it counted them; `connections` it opened, which took `handshakes_s` in all,
    before the first byte of their requests; the seeds of what it drew; `gave_up`: the load was
    ended early, with these `unfinished`, of which there are no rows."""

    start_s: float | None = None
    end_s: float | None = None
    cpu_s: float | None = None
    max_loop_lag_s: float | None = None
    requests: int | None = None
    thinned: bool = False
    warnings: tuple[str, ...] = ()
    packets_every: int = 1
    timed: bool = False
    in_flight_s: float | None = None
    connections: int | None = None
    handshakes_s: float | None = None
    order_seed: int | None = None
    arrival_seed: int | None = None
    think_seed: int | None = None
    gave_up: bool = False
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def lasted_s(self) -> float | None:
        """None where nothing was sent."""
        return None if self.start_s is None or self.end_s is None else self.end_s - self.start_s


class ColumnFacts(msgspec.Struct, frozen=True, kw_only=True):
    unit: str
    what: str


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor asked of one probe (probes.json, by its name), how often at least and what a look costs;
    `fault`: what went wrong with it, after which it was asked no more."""

    table: str | None = None
    every_s: float | None = None
    cost: str | None = None
    roles: tuple[str, ...] = ()
    columns: dict[str, ColumnFacts] = {}
    fault: str | None = None


class SegmentCounts(msgspec.Struct, frozen=True, kw_only=True):
    """segments.json, of a run that had more segments than rows are kept: a row stands for `every` of them."""

    every: int = 1
    ok: int = 0
    retries: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A final result. `count`: how many requests were answered the same, this one included (None: it alone); `also`:
    task ids of the others among them that have a row."""

    request: int | None = None
    task_id: str
    text: str
    text_accu: str | None = ""
    also: tuple[str, ...] = ()
    count: int | None = None


class TimedAnswer(Answer, frozen=True, kw_only=True):
    """As it is written, with what no report looks at: `tokens` with the seconds at which they begin, what the target
    says of the text (`tags`), and the seconds of audio that it says it heard."""

    tokens: tuple[str, ...]
    timestamps: tuple[float, ...]
    tags: tuple[str, ...]
    duration: float | None


class SampleTexts(msgspec.Struct, frozen=True, kw_only=True):
    """All answers for a sample, and what was said in it, where that is known."""

    results: tuple[Answer, ...]
    sample: str = ""
    transcript: str | None = None


class Text(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was heard in a sample: joined by agreement, and by times; `tokens` with their times, in seconds, and the
    sample's own `duration` and `transcript`, where they are known."""

    text: str
    text_accu: str = ""
    tokens: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()
    duration: float | None = None
    transcript: str | None = None


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """A server that was asked one request at a time: how often for every sample, and how long one such round took."""

    askings: int
    makespan_s: float
    audio_s: float


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """reference.json. `kind`: `engine`, the same segments by the same engine without a server (`segments_s`: what each
    took one process, by sample), in `runs`, which are one with one process, and more in earlier versions; or `server`,
    what the server (`target`, `workers`) answered `alone`, and of samples that it answered in two ways the other one
    (`again`). `hash`: of all that runs which share it have in common; `settings`: of the engine."""

    schema: int = 1
    hash: str | None = None
    kind: str = "engine"
    engine: str | None = None
    threads: int
    settings: Tree | None = None
    target: str | None = None
    workers: int | str | None = None
    texts: dict[str, Text]
    again: dict[str, Text] = {}
    deterministic: bool = True
    runs: tuple[ReferenceProcesses, ...] = ()
    segments_s: dict[str, tuple[float, ...]] = {}
    alone: Alone | None = None

    @property
    def whose(self) -> str:
        """For a user: what a text differs from."""
        return "what the server answered alone" if self.kind == "server" else "the reference"
