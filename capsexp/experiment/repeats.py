"""load.repeats=auto: how often every sample is sent, so that a run is long enough to be judged.

Decided once in a sweep for all that is compared, from what the reference reached, before the load: the configuration
that can be the fastest is to take load.min_s. All others then send the same requests, and take longer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import msgspec

from capsexp.config import Config, LoadConfig, repeat_count, without_labels, worker_count
from capsexp.counts import counted
from capsexp.experiment.fingerprint import of_samples
from capsexp.results.run import Reference
from capsexp.results.sweep import Repeats

REQUEST_S = 0.002  # of client and server, for a request of next to no audio
CARRIED_RTFX = 1500  # seconds of audio that they carry per second, however fast the workers are
FILL = 0.5  # of load.timeout that the slowest configuration may be expected to take
AHEAD = 4  # requests at once for each worker, so that none waits for the next


@dataclass(frozen=True)
class Pace:
    """What one process reached with the samples: seconds it took, CPU seconds, and how many samples of how much audio
    there are."""

    took_s: float
    cpu_s: float
    threads: int
    samples: int
    audio_s: float

    @classmethod
    def of(cls, reference: Reference) -> Pace | None:
        """From what one process reached, or the server alone: one of its workers at a time, of whose threads nobody
        knows how busy they were. None where it does not tell: earlier versions did not measure all of it."""
        threads, count = reference.threads, len(reference.texts)
        if (alone := reference.alone) is not None:
            return cls(alone.makespan_s, alone.makespan_s * threads, threads, count, alone.audio_s)
        one = next((run for run in reference.runs if run.processes == 1), None)
        if one is None or one.cpu_s is None or one.audio_s is None:
            return None
        return cls(one.makespan_s, one.cpu_s, threads, count, one.audio_s)

    def round_s(self, config: Config, cpus: float) -> float:
        """About how long a configuration takes for every sample once. A process that uses a whole CPU can be had as
        often as there are CPUs; one that uses half of one twice as often."""
        share = max(self.cpu_s / self.took_s if self.took_s > 0 else 0.0, 1e-6)
        parallel = max(1.0, min(_workers(config, cpus) * config.threads / self.threads, cpus / share))
        return max(self.took_s / parallel, self.samples * REQUEST_S + self.audio_s / CARRIED_RTFX)


def _workers(config: Config, cpus: float) -> int:
    return worker_count(config.workers) or max(1, int(cpus // config.threads))


def settle(
    config: Config,
    pace: Pace | None,
    decided: dict[str, Repeats],
    planned: Sequence[Config],
    cpus: float,
    say: Callable[[str], None],
) -> LoadConfig:
    """The load that a run is to make. What is not `decided` yet for runs of its kind is, for all of them that are
    `planned`, kept there and said. Without a reference every sample is sent once."""
    load = config.load
    if load.repeats != "auto" or load.timed or config.hours is not None:  # hours= cycles them anyway
        return load
    own = key(config)
    if own not in decided:
        alike = [c for c in planned if key(c) == own] or [config]
        if pace is None:
            decided[own] = Repeats(repeats=1, concurrency=0)
            say("load.repeats=auto: needs a reference; with reference=off every sample is sent once")
        else:
            decided[own] = decide(pace, alike, cpus)
            say(_said(pace, alike, decided[own], cpus))
    decision = decided[own]
    return replace(load, repeats=decision.repeats, concurrency=load.concurrency or decision.concurrency)


def key(config: Config) -> str:
    """Equal for all runs that are to send the same: the same samples, cut and recognized the same way, by however many
    workers and threads."""
    load, whole = config.load, without_labels(config)
    alike = [
        *(whole[part] for part in ("engine", "punctuation", "samples")),
        [load.seg_duration, load.seg_overlap, load.min_s, load.timeout], of_samples(config.samples),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()[:12]


def decide(pace: Pace, configs: Sequence[Config], cpus: float) -> Repeats:
    """For configurations with the same key: the fastest takes load.min_s, the slowest not too much of load.timeout."""
    rounds = [pace.round_s(config, cpus) for config in configs]
    load = configs[0].load
    wanted, possible = ceil(load.min_s / min(rounds)), int(FILL * load.timeout / max(rounds))
    return Repeats(
        repeats=max(1, min(wanted, possible)),
        concurrency=max(pace.samples, AHEAD * max(_workers(config, cpus) for config in configs)),
    )


def by_first_run(config: Config, decided: Mapping[str, Repeats]) -> bool:
    """Whether the first run of its kind has a say in how much is sent: of a server of which nobody knows how many
    workers it has, the reference tells how long one would take."""
    load, auto = config.load, config.load.repeats == "auto" and config.hours is None
    return auto and not load.timed and _untold(config) and key(config) in decided


def measured(config: Config, decided: dict[str, Repeats], made: float | None) -> str | None:
    """What to say where the first run of `by_first_run` was too short, so that it is made again: `decided` is changed.
    `made`: its makespan, in seconds. None where it is long enough."""
    if not made or not by_first_run(config, decided):
        return None
    own, load = key(config), config.load
    least = max(load.min_s / 2, config.validity.min_s or 0.0)
    before = decided[own].repeats
    repeats = min(ceil(before * load.min_s / made), int(FILL * load.timeout * before / made))
    if made >= least or repeats <= before:
        return None
    decided[own] = msgspec.structs.replace(decided[own], repeats=repeats)
    return (
        f"load.repeats=auto: the load took {made:.1f} s, too short; the run is repeated with every sample sent "
        f"{counted(repeats, 'time')}, about {repeats * made / before:.0f} s"
    )


def _untold(config: Config) -> bool:
    """Whether the server is not told how many workers it has."""
    server = config.server
    return server.name == "external" or (server.name == "command" and "workers" not in server.mentions())


def _said(pace: Pace, configs: Sequence[Config], decision: Repeats, cpus: float) -> str:
    took = {_workers(c, cpus): decision.repeats * pace.round_s(c, cpus) for c in configs}
    times = " and ".join(f"{took[n]:.0f} s with workers={n}" for n in sorted({min(took), max(took)}))
    requests = counted(decision.repeats * pace.samples, "request")
    return f"load.repeats=auto: every sample {counted(decision.repeats, 'time')} ({requests}), about {times}"


def expected_s(config: Config, pace: Pace | None, decided: Mapping[str, Repeats], cpus: float) -> float | None:
    """About how long a run's load takes, going by the reference; None where nothing tells."""
    if config.hours is not None:
        return 3600 * config.hours
    found = decided.get(key(config))
    repeats = repeat_count(config.load.repeats) or (found.repeats if found else None)
    if pace is None or repeats is None or config.load.timed:
        return None
    return repeats * pace.round_s(config, cpus)


def foretold(config: Config, load: LoadConfig, pace: Pace, cpus: float) -> str | None:
    """Why a load cannot be done in time, going by the reference; None where it can."""
    took = pace.round_s(config, cpus) * (repeat_count(load.repeats) or 1)
    # Of a server that is not told its workers the decision itself keeps to the time, by what it was measured to take.
    decided = _untold(config) and config.load.repeats == "auto" and load.repeats != 1
    if config.hours is not None or load.timed or took <= load.timeout or decided:
        return None
    return (
        f"by the reference's speed this load takes about {took:.0f} s, and requests that are not finished within "
        f"load.timeout = {load.timeout:g} s fail: set load.timeout={ceil(1.5 * took)}, or send less"
    )
