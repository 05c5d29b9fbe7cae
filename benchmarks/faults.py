"""A campaign of faults under load: every kind against every pool, seeded. Is anything lost, doubled or wrong, and how
soon is the server whole again?"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from capsexp.analysis import faults as effects
from capsexp.client.load import run
from capsexp.client.request import OPEN, Request
from capsexp.compose import compose
from capsexp.config import CLIENT_FAULTS, WORKER_FAULTS, FaultConfig, LoadConfig
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.experiment.faults import Injector, workers_below
from capsexp.results.tables import read_rows
from capsexp.segments import Cut, Merger, cut_all

LOAD = LoadConfig(seg_duration=2.0, seg_overlap=0.5, message_s=5.0, timeout=120.0)
CLIENTS = 6
KINDS = (*WORKER_FAULTS, *CLIENT_FAULTS)
PATIENCE_S = 20.0  # for a server to be whole again
SETTLE_S = 0.25  # between two faults: a segment may fail server.max_retries times, not more


class Server:
    """A server of our own, with its tables, on a free port."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.folder, self.zero = folder, time.monotonic()
        folder.mkdir()
        config = compose(["engine=null", "server.port=0", *overrides])
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
        command = [sys.executable, "-m", "capsexp.server", "--config", str(folder / "config.yaml")]
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [*command, "--run-dir", str(folder), "--zero", repr(self.zero), "--stdin-guard"],
            stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while not (folder / "server.json").is_file():
            if self.process.poll() is not None:
                raise SystemExit((folder / "server.log").read_text())
            time.sleep(0.01)
        self.url = f"ws://127.0.0.1:{json.loads((folder / 'server.json').read_text())['port']}"

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.log.close()

    def events(self) -> list[dict[str, Any]]:
        return read_rows(self.folder / "workers.csv")


def expected(audio: np.ndarray[Any, Any], engine: NullEngine) -> str:
    cut = Cut.of(LOAD.seg_duration, LOAD.seg_overlap)
    merger = Merger(cut)
    for s in cut_all(audio, cut):
        merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
    return merger.text_accu


async def load_until(done: asyncio.Event, url: str, seed: int, made: list[Request]) -> None:
    """One client after another, each with a file of noise of its own, until the campaign is over."""
    rng = random.Random(seed)
    while not done.is_set():
        number = len(made)
        noise = np.random.default_rng([seed, number]).normal(0, 0.1, round(rng.uniform(2, 14) * 16_000))
        request = Request(number, f"task-{seed}-{number}", f"s{number}", noise.astype(np.float32))
        made.append(request)
        await run([request], url, LOAD, way=OPEN)


async def campaign(server: Server, kind: str, count: int, seed: int, made: list[Request]) -> list[float | None]:
    """`count` faults of one kind while clients send; how long the server took to be whole again after each."""
    done = asyncio.Event()
    clients = [asyncio.create_task(load_until(done, server.url, seed * 100 + n, made)) for n in range(CLIENTS)]
    deeds: list[dict[str, Any]] = []
    fault = FaultConfig(name=kind, seed=seed, for_s=0.7)
    pids = server.folder / ".pids"
    injector = Injector(
        fault, server.url, OPEN, lambda: workers_below(server.process.pid, pids), lambda deed: None, seed
    )
    rng = random.Random(seed)
    struck = 0
    try:
        while struck < count:
            await asyncio.sleep(SETTLE_S + rng.uniform(0, 0.3))
            now = await asyncio.to_thread(injector.inject)
            if not now:
                continue
            struck += 1
            deeds += [{**vars(d), "time_s": d.time - server.zero} for d in now]
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and effects.awaited(deeds, server.events()):
                await asyncio.sleep(0.02)
            if kind in ("slow_worker", "slow_client"):
                await asyncio.sleep(fault.for_s)
            injector.reap()
    finally:
        await asyncio.to_thread(injector.stop)
        done.set()
        await asyncio.gather(*clients)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and effects.awaited(deeds, server.events()):
        await asyncio.sleep(0.02)
    return effects.recoveries(deeds, server.events())


def judge(made: list[Request], engine: NullEngine) -> tuple[int, int, int]:
    """Requests lost, doubled and wrong."""
    lost = [r for r in made if not r.ok]
    doubled = [r for r in made if r.ok and (r.finals != 1 or r.foreign)]
    wrong = 0
    for r in made:
        text = expected(r.audio, engine)
        wrong += r.result is not None and not (r.result.text == r.result.text_accu == text)
    for r in lost:
        print(f"  LOST {r.task_id}: {r.error}")
    return len(lost), len(doubled), wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=8, help="faults of each kind for each pool")
    parser.add_argument("--pools", default="process,prefork,thread")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    scratch, engine, began = Path(tempfile.mkdtemp()), NullEngine(NullConfig()), time.monotonic()
    total = {"faults": 0, "requests": 0, "lost": 0, "doubled": 0, "wrong": 0, "again": 0}
    took: list[float] = []
    unseen = 0
    try:
        for pool in asked.pools.split(","):
            server = Server(
                scratch / pool, f"pool={pool}", f"workers={asked.workers}", "engine.rtf=0.05",
                "engine.scratch_mb=64",
                "server.stuck_s=0.3", "server.stuck_rtf=0.2",
            )  # fmt: skip
            try:
                for number, kind in enumerate(asked.kinds.split(",")):
                    made: list[Request] = []
                    back = asyncio.run(campaign(server, kind, asked.each, asked.seed * 1000 + number, made))
                    lost, doubled, wrong = judge(made, engine)
                    known = [seconds for seconds in back if seconds is not None]
                    took += known
                    unseen += len(back) - len(known)
                    for name, value in (
                        ("faults", asked.each), ("requests", len(made)), ("lost", lost), ("doubled", doubled),
                        ("wrong", wrong),
                    ):  # fmt: skip
                        total[name] += value
                    whole = f"; whole again after {median(known):.2f} s (median), {max(known):.2f} s" if known else ""
                    print(
                        f"{pool:8} {kind:17} {asked.each} faults, {len(made)} requests: "
                        f"{lost} lost, {doubled} doubled, {wrong} wrong{whole}",
                        flush=True,
                    )  # fmt: skip
            finally:
                server.stop()
            total["again"] += sum(
                row["retries"] or 0 for row in read_rows(server.folder / "segments.csv") if row["status"] == "ok"
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(", ".join(f"{count} {name}" for name, count in total.items()) + f" in {time.monotonic() - began:.0f} s")
    if took:
        print(f"recovery: median {median(took):.2f} s, max {max(took):.2f} s, {unseen} not seen")
    if total["lost"] + total["doubled"] + total["wrong"] + unseen:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
