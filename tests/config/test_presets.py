"""Presets of other people's servers: a line, what it is told, and what to do where its program is not here."""

import os
import shlex
from pathlib import Path

import pytest

from capsexp.commandline import fill, startable, words
from capsexp.compose import compose
from capsexp.config import ServerConfig, conf_dir
from capsexp.errors import ConfigError
from capsexp.report.start_command import start
from tests.support.settings import changed

PRESETS = {
    "sherpa_onnx": ("sherpa", {"workers", "threads"}), "faster_whisper": ("openai", {"workers", "threads"}),
    "wyoming": ("wyoming", {"threads"}), "funasr_ws": ("funasr", {"workers", "threads"}),
    "funasr_cpp": ("funasr", {"workers", "threads"}), "whisper_cpp": ("openai", {"threads"}), "vosk": ("vosk", set()),
    "capswriter": ("capswriter", set()),
}  # fmt: skip


def test_every_preset_is_known_here() -> None:
    named = {path.stem for path in (conf_dir() / "server").glob("*.yaml")}
    assert named == {*PRESETS, "local", "command", "external"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_line_with_its_knobs(name: str) -> None:
    target, knobs = PRESETS[name]
    config = compose([f"server={name}", "server.model=MODEL"])
    assert (config.server.name, config.target.name) == ("command", target)
    assert config.server.mentions() & {"workers", "threads"} == knobs
    assert "port" in config.server.mentions() or config.server.port == 6016
    assert config.server.install and "\n" not in config.server.install
    told = dict.fromkeys(("workers", "threads", "host", "port", "model"), "7")
    assert all("{" not in word for word in words(fill(config.server.cmd or "", **told)))


@pytest.mark.parametrize("name", [*PRESETS, "command", "external"])
def test_a_server_that_is_not_ours_is_compared_with_itself_unless_an_engine_is_asked_for(name: str) -> None:
    more = {"command": ["server.cmd=x"], "external": ["server.url=ws://127.0.0.1:1"]}.get(name, [])
    line = [f"server={name}", "server.model=MODEL", "server.port=1", *more]
    config = compose(line)
    assert (config.reference.name, config.uses_engine) == ("server", False)
    assert compose([*line, "engine=null"]).reference.name == "server"  # which is said: see preflight
    chosen = compose([*line, "reference=engine", "engine=null"])
    assert (chosen.reference.name, chosen.uses_engine) == ("engine", True)
    assert compose([*line, "reference=off"]).reference.name == "off"


def test_our_own_server_is_compared_with_its_engine_unless_told_otherwise() -> None:
    assert compose([]).reference.name == "engine"
    assert compose(["reference.processes=sweep"]).reference.name == "engine"
    assert (asked := compose(["reference=server"])).reference.name == "server" and asked.uses_engine


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"sherpa_onnx", "funasr_ws", "capswriter"}))
def test_a_preset_without_its_model_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^server\.model: the command needs a model: server\.model=FOLDER"):
        compose([f"server={name}"])


def test_what_a_command_line_says_comes_before_a_preset() -> None:
    config = compose(["server=sherpa_onnx", "target=vosk", "server.port=7", "server.cmd='x {port}'"])
    assert (config.target.name, config.server.port, config.server.cmd) == ("vosk", 7, "x {port}")
    assert compose(["server=sherpa_onnx"]).server.model == "paraformer-mini"


def test_a_missing_program_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = compose(["server=sherpa_onnx"]).server
    with pytest.raises(ConfigError) as told:
        startable(server.cmd or "", server.cwd, server.install)
    assert str(told.value) == (
        "server.cmd: no program 'sherpa-onnx-offline-websocket-server' is found; to get it: pip install sherpa-onnx-bin"
    )
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    server = compose(["server=capswriter"]).server
    with pytest.raises(ConfigError, match=r"no file 'start_server.py' in the folder server.cwd=.*; to get it: git "):
        startable(server.cmd or "", str(tmp_path), server.install)
    with pytest.raises(ConfigError, match=r"^server\.cwd=.*/nowhere: no such folder$"):
        startable("python x.py", str(tmp_path / "nowhere"))
    (tmp_path / "start_server.py").touch()
    startable(server.cmd or "", str(tmp_path), server.install)
    startable("./python start_server.py", str(tmp_path))


def test_the_line_that_is_recommended_holds_its_environment() -> None:
    tree = changed("workers", 3)
    server = compose(["server=faster_whisper", "server.model=tiny.en", "server.cwd=a folder"]).server
    tree["server"] = vars(server)
    said = start(tree, 3)
    assert said.command == "OMP_NUM_THREADS=1 faster-whisper-server tiny.en --host 127.0.0.1 --port PORT --workers 3"
    assert said.note == "PORT: the port to listen on, in the folder a folder"
    assert shlex.split(said.command)[0] == "OMP_NUM_THREADS=1"
    older = {"name": "command", "cmd": "x {port}", "host": "h", "port": 0}  # of a time without these
    assert start({**tree, "server": older}, 3).command == "x PORT"
    assert ServerConfig(cmd="x", env={"A": "{port}"}).mentions() == {"port"}
    assert os.sep not in said.command
