"""reference=server: what a server answers when it is asked one request at a time, before the load.

Each setting of the server (workers, threads, command, ...) is started once for it and asked twice for every sample, by
the client that makes the loads. Under load each text must be what it was here; what was answered in two ways here is
not the load's doing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from capsexp import interrupts
from capsexp.client.warm import ROUNDS
from capsexp.config import Config, LoadConfig, without_labels, worker_count
from capsexp.counts import counted
from capsexp.errors import ConfigError, HarnessError, LastingError, ServerError
from capsexp.experiment import deadlines, environment, launch, readiness
from capsexp.experiment.child import Child
from capsexp.experiment.fingerprint import of_samples
from capsexp.files import read_json, storing
from capsexp.load import LOADS
from capsexp.results.forms import typed
from capsexp.results.handover import Order
from capsexp.results.read import read_client, read_texts
from capsexp.results.rows import RequestRow
from capsexp.results.run import Alone, Answer, Reference, SampleSetFacts, SampleTexts, Text
from capsexp.results.tables import read_requests
from capsexp.results.write import write
from capsexp.runfiles import SAMPLES, SERVER, WARM

ASKINGS = 2  # of every sample: one says what is right, the next whether it is the same again
_KEPT = ("reference.json", "server.log", "server.log.1", "client.log", "client.log.1")
Texts = dict[str, Text]  # by sample


def digest(config: Config) -> str:
    """What two runs must have in common to share what their server answered."""
    whole = without_labels(config)
    parts = ("workers", "threads", "server", "target", *(("engine", "pool", "punctuation") if _ours(config) else ()))
    load = config.load
    same = [
        {part: whole[part] for part in parts}, of_samples(config.samples),
        [load.seg_duration, load.seg_overlap, load.message_s], *environment.of_node(config).values(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]


def ensure(config: Config, sweep_dir: Path, say: Callable[[str], None]) -> str:
    """Ask the server what this sweep does not have yet; returns its hash. Raises ServerError where it does not answer
    even alone, and what a run raises whose server does not start."""
    key = digest(config)
    folder = sweep_dir / "reference" / key
    if not (folder / "reference.json").is_file():
        with storing(folder.name):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            found = _ask(config, folder, say)
        finally:
            _tidy(folder)
        write(folder / "reference.json", found)
        say(_said(found))
    return key


def _ask(config: Config, folder: Path, say: Callable[[str], None]) -> Reference:
    load = _one_at_a_time(config.load)
    asked = replace(config, load=load, hours=None)
    with launch.taken_down() as stack:
        common = launch.told(asked, folder, time.monotonic())
        server, client, url = launch.of_one_user(asked, folder, common, stack, say)
        firsts = _make_ready(config, folder, server, client, url)
        client.done(deadlines.load(asked), interrupts.check)
        client.check_storage()
        if client.alive() or client.process.returncode or (took := read_client(folder)) is None:
            kind = LastingError if client.process.returncode == ConfigError.EXIT else HarnessError
            raise kind(f"the client that measured the reference failed: {client.last_lines()}")
        rows = read_requests(folder)
        if failed := failure(rows, firsts):
            if server is not None and server.wait(readiness.DYING_S):
                server.check_storage()
                failed += f"; {readiness.how_it_ended(server)}: {server.last_lines()}"
            raise ServerError(failed)
    texts, again = heard(read_texts(folder))
    described = typed(read_json(folder / SAMPLES), SampleSetFacts).samples
    audio_s = sum(sample.duration_s for sample in described)
    return Reference(
        hash=digest(config), kind="server", target=config.target.name, workers=config.workers, threads=config.threads,
        texts=texts, again=again, deterministic=not again,
        alone=Alone(askings=ASKINGS, makespan_s=(took.lasted_s or 0.0) / ASKINGS, audio_s=audio_s),
    )  # fmt: skip


def _one_at_a_time(load: LoadConfig) -> LoadConfig:
    """Messages as those of the load, and as long for each asking as for all of that."""
    same = {name: getattr(load, name) for name in ("seg_duration", "seg_overlap", "message_s")}
    return LOADS.settings("all")(concurrency=1, repeats=ASKINGS, timeout=ASKINGS * load.timeout, progress=False, **same)


def _make_ready(config: Config, folder: Path, server: Child | None, client: Child, url: str) -> int:
    """As for a run, up to the word to go; returns how many first requests were made."""
    wanted, firsts = config.server, 0

    def look() -> None:
        interrupts.check()

    ready = readiness.of_server(server, url, wanted, folder / SERVER, look)
    readiness.of_tool(folder / SAMPLES, client, wanted.ready_timeout, look)
    if not _ours(config):
        workers = (worker_count(config.workers) if wanted.name != "external" else None) or 1
        client.say(Order(url=ready.url, workers=workers).line())
        readiness.of_first_requests(folder / WARM, client, server, deadlines.first_requests(config), look)
        firsts = ROUNDS * workers
    client.say(Order(url=ready.url, connections=ready.connections).line())
    return firsts


def failure(rows: Sequence[RequestRow], firsts: int) -> str | None:
    """What went wrong with the first request that failed; `firsts`: requests that were answered before."""
    for answered, row in enumerate(rows, firsts):
        if row["status"] != "ok":
            return (
                f"reference=server: before the load, the request for {row['sample']} failed, after "
                f"{counted(answered, 'answered request')}: {row['error']}"
            )
    return None


def heard(transcripts: Mapping[str, SampleTexts]) -> tuple[Texts, Texts]:
    """The first answer for each sample, and of those that were answered in another way as well that other one."""
    texts, again = Texts(), Texts()
    for name, held in transcripts.items():
        each = [Text(text=one.text, text_accu=one.text_accu or "") for one in sorted(held.results, key=_number)]
        texts[name] = msgspec.structs.replace(each[0], transcript=held.transcript)
        if other := next((one for one in each[1:] if one != each[0]), None):
            again[name] = other
    return texts, again


def _number(answer: Answer) -> int:
    return answer.request or 0


def _said(found: Reference) -> str:
    alone, unlike = found.alone, len(found.again)
    told = f" ({unlike} with two different texts: it is not deterministic)" if unlike else ""
    speed = f": {alone.audio_s / alone.makespan_s:.1f} x real time" if alone and alone.makespan_s else ""
    samples = counted(len(found.texts), "sample")
    return f"reference: the server alone answered {samples}, {ASKINGS} times each{told}{speed}"


def _ours(config: Config) -> bool:
    return config.server.name == "local"


def _tidy(folder: Path) -> None:
    """What a client and a server leave that only the asking needed."""
    with storing(folder.name):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT:
                path.unlink()
