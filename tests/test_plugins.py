"""What a package of somebody else's adds by being installed: nothing of ours knows of it."""

import ast
import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from capsexp import config, plugins
from capsexp.compose import compose
from capsexp.engines import ENGINES, every_settings
from capsexp.errors import ConfigError
from capsexp.files import read_json
from capsexp.load import Clip, Given, plan
from capsexp.targets import TARGETS
from tests.support import PATIENCE

ENGINE = '''
"""Counts the seconds."""
from dataclasses import dataclass
from typing import ClassVar

from capsexp.engines.base import EngineConfig
from capsexp.segments import Recognition


@dataclass
class Settings(EngineConfig):
    shareable: ClassVar[bool] = True
    speaks: ClassVar[bool] = False
    measures: ClassVar[frozenset[str]] = frozenset({"word"})

    name: str = "mine"
    word: str = "s"
    model: str | None = None

    def problems(self):
        if " " in self.word:
            yield f"engine.word: {self.word!r} is more than a word; leave out the spaces"


class Mine:
    def __init__(self, config, threads):
        self.word, self.about = config.word, {"library": "tiny 1.0", "threads": threads, "device": "cpu"}

    def recognize(self, audio, start=0, shared=0):
        seconds = range(-(-start // 16000), (start + len(audio)) // 16000)
        return Recognition([f"{self.word}{n}" for n in seconds], [n - start / 16000 for n in seconds])


def load(config, threads):
    return Mine(config, threads)
'''
PAGE = """
FILE = "report.page.html"


def render(report):
    return "".join(f"<p>{c.key} {c.engine}" for c in report.configurations) + "\\n"
"""
TARGET = """
from dataclasses import dataclass
from typing import ClassVar

from capsexp.protocol import Result
from capsexp.targets.base import TargetConfig


@dataclass
class Settings(TargetConfig):
    tells: ClassVar[frozenset[str]] = frozenset()

    name: str = "shout"
    loud: str = "!"


class Shout:
    def __init__(self, config, task):
        self.loud, self.task = config.loud, task

    def opening(self):
        return ()

    def audio(self, piece, last):
        yield piece.astype("<f4").tobytes()

    def ending(self):
        yield "end" + self.loud

    def heard(self, frame):
        return [Result(self.task.id, True, 0.0, 0.0, 0.0, 0.0, frame, "")]

    def closed(self, code, reason):
        return ()


begin = Shout
"""
LOAD = """
from dataclasses import dataclass
from typing import ClassVar

from capsexp.load.base import LoadConfig, Turn


@dataclass
class Settings(LoadConfig):
    counted: ClassVar[bool] = False

    name: str = "twice"
    pause_s: float = 10.0

    def problems(self):
        yield from super().problems()
        if self.pause_s > 100:
            yield "load.pause_s: nobody waits so long; give less"


def plan(config, given):
    return tuple(Turn(n, user=n, wait_s=wait) for n in range(len(given.clips)) for wait in (0.0, config.pause_s))
"""
WIRE = TARGET.replace('    name: str = "shout"', '    transport = "carrier pigeon"\n    name: str = "wire"')
BROKEN = "import nothing_of_this_name\n"
BARE = "class Settings:\n    name = 'bare'\n\n\ndef load(config, threads):\n    return None\n"
ENTRIES = """[capsexp.engines]
mine = tiny_plugin.engine
sphinx = tiny_plugin.engine
broken = tiny_plugin.broken
bare = tiny_plugin.bare
nonsense = :: not a module

[capsexp.exporters]
page = tiny_plugin.page

[capsexp.loads]
twice = tiny_plugin.load

[capsexp.targets]
shout = tiny_plugin.target
wire = tiny_plugin.wire
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it."""
    site = tmp_path_factory.mktemp("site")
    about, package = site / "tiny_plugin-1.0.dist-info", site / "tiny_plugin"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (package / "conf" / "engine").mkdir(parents=True)
    modules = {
        "__init__": "",
        "engine": ENGINE, "page": PAGE, "broken": BROKEN, "bare": BARE, "target": TARGET, "wire": WIRE,
        "load": LOAD,
    }  # fmt: skip
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    yaml = {"mine": "word: t", "bare": "", "broken": "", "null": "rtf: 7.0"}
    for name, text in yaml.items():
        (package / "conf" / "engine" / f"{name}.yaml").write_text(f'name: "{name}"\n{text}\n')
    (package / "conf" / "target").mkdir()
    (package / "conf" / "load").mkdir()
    (package / "conf" / "load" / "twice.yaml").write_text("defaults: [all, _self_]\nname: twice\npause_s: 0.5\n")
    for name in ("shout", "wire"):
        (package / "conf" / "target" / f"{name}.yaml").write_text(f"name: {name}\nloud: '?'\n")
    return site


@pytest.fixture
def there(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(installed))
    return installed


def asked(installed: Path, *line: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "capsexp", *line],
        capture_output=True, text=True, timeout=3 * PATIENCE, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip


@pytest.mark.slow
def test_a_sweep_with_an_engine_and_an_exporter_of_somebody_elses(
    installed: Path, tmp_path: Path, audio_dir: Path
) -> None:
    out = tmp_path / "out"
    done = asked(
        installed, "engine=mine", "engine.word=a,b", "samples=dir", f"samples.dir={audio_dir}", "load.repeats=1",
        "trials=1", "validity=off", "archive.enabled=true", "report.formats=[text,page]", "pool=thread",
        f"hydra.sweep.dir={out}", "-m",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "report.page.html").read_text().count(" mine") == 2
    found = read_json(out / "report.json")["configurations"]
    assert [c["metrics"]["correctness"]["value"] for c in found] == [1.0, 1.0]
    heard = [path.read_text("utf-8") for path in sorted(out.glob("*/transcripts/*.txt"))]
    assert heard and all(set(text.split()[0]) & {"a", "b"} for text in heard)
    run = read_json(next(out.glob("*/run.json")))
    assert (run["one_core"], run["speaks"]) == (False, False)
    assert run["engine"] == "mine" and run["engine_about"]["library"] == "tiny 1.0"
    again = asked(installed, f"resume={out}", "trials=2")
    assert again.returncode == 0, again.stderr
    assert [c["trials"] for c in read_json(out / "report.json")["configurations"]] == [2, 2]


def test_its_settings_are_ours_to_check(there: Path) -> None:
    assert "mine" in ENGINES.names()
    mine = compose(["engine=mine"]).engine
    assert vars(mine) == {"name": "mine", "word": "t", "model": None}  # as its YAML says
    with pytest.raises(ConfigError, match=r"^engine\.word: 'a b' is more than a word"):
        compose(["engine=mine", "engine.word='a b'"])
    with pytest.raises(ConfigError, match=r"^engine\.words: unknown key; did you mean"):
        compose(["engine=mine", "engine.words=x"])
    with pytest.raises(ConfigError, match=r"^pool=prefork: engine=mine does not survive a fork; use pool=process$"):
        compose(["engine=mine", "pool=prefork"])
    with pytest.raises(ConfigError, match=r"unknown engine 'mime'; did you mean 'mine'\?"):
        compose(["engine=mime"])


async def shouting(connection: ServerConnection) -> None:
    heard = 0
    while isinstance(frame := await connection.recv(), bytes):
        heard += len(frame) // 4
    await connection.send(f"{heard} samples, {frame}")
    with contextlib.suppress(ConnectionClosed):
        await connection.recv()


@pytest.mark.slow
def test_a_server_of_another_kind_is_measured_by_a_target_of_somebody_elses(
    installed: Path, tmp_path: Path, audio_dir: Path
) -> None:
    async def measured() -> "subprocess.CompletedProcess[str]":
        async with serve(shouting, "127.0.0.1", 0, max_size=None) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await asyncio.to_thread(
                asked, installed, "target=shout", "server=external", f"server.url={url}", "reference=off", "trials=1",
                "samples=dir", f"samples.dir={audio_dir}", "load.repeats=1", "validity=off", "archive.enabled=false",
                f"hydra.sweep.dir={tmp_path / 'out'}",
            )  # fmt: skip

    done = asyncio.run(measured())
    assert done.returncode == 0, done.stderr
    texts = [path.read_text("utf-8") for path in sorted((tmp_path / "out").glob("*/transcripts/*.txt"))]
    assert texts and all(text.endswith(" samples, end?\n") for text in texts)
    [found] = read_json(tmp_path / "out" / "report.json")["configurations"]
    assert found["wrong_count"] == 0 and found["status"] == "ok"  # that no duration is told is no fault
    said = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert said.count("target=shout does not report how much of the audio") == 1
    assert said.count("target=shout does not report to which request a result belongs") == 1
    assert read_json(next((tmp_path / "out").glob("*/run.json")))["tells"] == []


def test_a_load_of_somebody_elses_is_planned_and_checked_as_ours(there: Path) -> None:
    load = compose(["load=twice"]).load
    clips = (Clip("a", 1.0), Clip("b", 2.0))
    turns = plan(load, Given(clips))
    assert [(turn.user, turn.wait_s) for turn in turns] == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5)]
    with pytest.raises(ConfigError, match=r"^load\.pause_s: nobody waits so long; give less$"):
        compose(["load=twice", "load.pause_s=101"])
    with pytest.raises(ConfigError, match=r"^load\.repeats: load=twice says itself how many"):
        compose(["load=twice", "load.repeats=2"])


def test_what_does_not_go_together_is_refused_before_anything_starts(there: Path) -> None:
    with pytest.raises(ConfigError, match=r"^target=shout: our own server does not speak it; use server=command"):
        compose(["target=shout"])
    with pytest.raises(ConfigError, match=r"^target=wire: speaks over carrier pigeon; there is websocket, http, tcp$"):
        compose(["target=wire", "server=external", "server.url=ws://127.0.0.1:1"])
    assert compose(["target=shout", "server=external", "server.url=ws://h:1"]).target.loud == "?"  # type: ignore[attr-defined]


def test_a_target_tells_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TARGETS.settings("capswriter"), "tells", frozenset({"durations"}))
    with pytest.raises(ConfigError, match=r"^target=capswriter: tells durations; there is duration, id$"):
        compose([])


def test_a_name_of_ours_is_nobody_elses(there: Path, tmp_path: Path) -> None:
    assert ENGINES.get("sphinx").__name__ == "capsexp.engines.sphinx"
    assert compose(["engine=null"]).engine.rtf == 0.0  # type: ignore[attr-defined]
    (tmp_path / "mine.yaml").write_text("defaults: [config, {override engine: 'null'}, _self_]\nworkers: 3\n")
    own = compose([], tmp_path, "mine")
    assert own.workers == 3 and own.engine.rtf == 0.0  # type: ignore[attr-defined]
    assert compose(["engine=mine"], tmp_path, "mine").engine.name == "mine"


def test_what_cannot_be_used_is_told_where_it_is_asked_for(there: Path) -> None:
    with pytest.raises(ConfigError, match=r"^engine 'broken' \(tiny_plugin\.broken\) cannot be loaded: ModuleNotFound"):
        compose(["engine=broken"])
    with pytest.raises(ConfigError, match=r"^engine 'bare': its Settings are no dataclass derived from "):
        compose(["engine=bare"])
    assert {engine.name for engine in every_settings()} == {*ENGINES.ours(), "mine"}


def test_nothing_is_imported_to_know_a_name_or_a_folder(there: Path) -> None:
    script = (
        "import sys; from capsexp import plugins; from capsexp.engines import ENGINES\n"
        "assert 'mine' in ENGINES.names() and plugins.conf_folders()\n"
        "print([name for name in sys.modules if name.startswith('tiny_plugin')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(there), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


def test_a_report_of_an_engine_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group="": ())
    assert config.languages({"name": "mine", "word": "x"}) == ()
    assert config.languages({"name": "mine", "language": "de"}) == ("de",)


def test_ours_say_all_without_their_libraries() -> None:
    """Whoever reads a configuration must not pay for pocketsphinx, funasr-onnx or sherpa-onnx."""
    script = (
        "import sys; from capsexp.engines import every_settings\n"
        "from capsexp.compose import compose; list(every_settings()); compose([])\n"
        "print(sorted({'pocketsphinx', 'funasr_onnx', 'sherpa_onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stdout.strip() == "[]", done.stderr


def test_no_name_of_an_engine_decides_anything() -> None:
    """Elsewhere than in its own file and in the defaults; what an engine can do is what its settings say."""
    root = Path(plugins.__file__).parent
    theirs = {"engines", "twin", "targets"}  # twins are made for two shapes; a server is called as its engine
    # These read or write YAML and JSON, whose word for nothing is null.
    words = {
        "cli.py",
        "overrides.py",
        "config/described.py",
        "report/start_command.py",
        "client/chaos_clients.py",
        "mistyped.py",
    }
    assert all((root / name).is_file() for name in words)
    found = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        named = set() if name.parts[0] in theirs else set(ENGINES.ours())
        named -= {"null"} if name.as_posix() in words else set()
        tree = ast.parse(path.read_text("utf-8"))
        given = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "default_factory"]
        usual = {id(node) for default in given for node in ast.walk(default)}
        found += [
            f"{name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in named and id(node) not in usual
        ]
    assert found == []
