"""A server of ours as its clients see it: a real process on a free port, and what it has to answer."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from capsexp.client.load import run
from capsexp.client.request import Request
from capsexp.config import LoadConfig
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.segments import Cut, Merger, cut_all
from tests.support import PATIENCE, noise

LOAD = LoadConfig(seg_duration=2.0, seg_overlap=0.5, message_s=1.0, timeout=PATIENCE)


@contextlib.contextmanager
def server(*overrides: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of our own on a free port, and nothing left of it afterwards."""
    command = [sys.executable, "-m", "capsexp.server", "--port", "0", "engine=null", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("listening on "):
                break
        else:
            pytest.fail("".join(said))
        children = psutil.Process(process.pid).children(recursive=True)
        yield line.split()[2], process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        process.stdout.close()  # type: ignore[union-attr]
    _, alive = psutil.wait_procs(children, timeout=PATIENCE / 12)
    assert not alive


def expected(audio: np.ndarray, load: LoadConfig = LOAD) -> str:
    cut, engine = Cut.of(load.seg_duration, load.seg_overlap), NullEngine(NullConfig())
    merger = Merger(cut)
    for s in cut_all(audio, cut):
        merger.add(s.start, s.last, engine.recognize(s.audio, s.start, s.shared))
    return merger.text_accu


def requests(*seconds: float) -> list[Request]:
    return [Request(n, f"task-{n}", f"s{n}", noise(s, n)) for n, s in enumerate(seconds)]


def perform(url: str, made: list[Request], load: LoadConfig = LOAD) -> list[Request]:
    asyncio.run(run(made, url, load))
    return made


def right(made: list[Request]) -> list[bool]:
    return [
        r.ok and r.result is not None and r.finals == 1 and not r.foreign
        and r.result.text == r.result.text_accu == expected(r.audio)
        for r in made
    ]  # fmt: skip


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes that recognize, in the order of their birth."""
    below = psutil.Process(process.pid).children(recursive=True)
    found = []
    for p in below:
        with contextlib.suppress(psutil.Error):  # it has gone, or is a zombie
            found += [p] if "spawn_main" in " ".join(p.cmdline()) else []
    parents = {p.ppid() for p in found}
    return sorted((p for p in found if p.pid not in parents), key=lambda p: (p.create_time(), p.pid))
