"""What a run's figures depend on, and what they do not."""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

import capsexp
from capsexp import archive
from capsexp.compose import compose
from capsexp.config import Config, SamplesConfig
from capsexp.engines import ENGINES
from capsexp.experiment import environment, reference
from capsexp.experiment import fingerprint as fingerprint_module
from capsexp.experiment.fingerprint import IGNORED_CODE, code, fingerprint, of_samples
from capsexp.experiment.repeats import key


@pytest.mark.parametrize(
    "label",
    [
        ["engine=paraformer", "engine.language=zh"],
        ["engine=sphinx", "engine.language=en"],
        ["engine=sherpa", "engine.language=zh"],
        ["engine=null", "samples.language=zh"],
    ],
)
def test_a_language_that_is_only_a_label_changes_no_text(label: list[str]) -> None:
    """It says what is to be expected: the reference and finished runs stay what they are."""
    plain, named = compose(label[:1]), compose(label)
    assert fingerprint(plain) == fingerprint(named)
    assert reference.digest(plain) == reference.digest(named)
    assert key(plain) == key(named)


@pytest.mark.parametrize("engine", [["engine=sensevoice"], ["engine=sherpa", "engine.model_type=sense_voice"]])
def test_a_language_that_the_model_is_told_makes_another_run(engine: list[str]) -> None:
    twin = [*engine, "engine.twin=sensevoice-tiny"]
    plain, told = compose(twin), compose([*twin, "engine.language=zh"])
    assert fingerprint(plain)["configuration"] != fingerprint(told)["configuration"]
    assert reference.digest(plain) != reference.digest(told)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str, content: bytes) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.wav").write_bytes(content)
        (folder / "locked.wav").write_bytes(b"x")
        return of_samples(compose(["samples=dir", f"samples.dir={folder}"]).samples)

    read = Path.read_bytes

    def locked(self: Path) -> bytes:
        if self.name == "locked.wav":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", locked)
    assert of("one", b"then") != of("two", b"now")
    assert of("three", b"then") == of("four", b"then")  # wherever they are


@pytest.mark.parametrize(
    ("file", "before", "after", "counts"),
    [
        ("server/gateway.py", "x = 1", "x = 2", True),
        ("server/gateway.py", "x = 1", "x = 1  # why", False),
        (
            "engines/words.py",
            'def f():\n    """Then."""\n    return 1',
            'def f():\n    """Now."""\n    return (1)',
            False,
        ),
        ("engines/words.py", "def f():\n    return 1", "def f():\n    return 2", True),
        ("engines/words.py", "def f():\n    return 1", '"""It."""\n\n\ndef f():\n    """One."""\n    return 1', False),
        (
            "engines/words.py",
            "def f():\n    try:\n        return 1\n    except OSError:\n        return 2",
            'def f():\n    """One."""\n    try:\n        return 1\n    except OSError:\n        return 2',
            False,
        ),
        ("engines/words.py", "def f(a):\n    return a in {1, 2}", "def f(a):\n    return a in {1, 3}", True),
        ("engines/words.py", "def f(a):\n    return a.real", "def f(a):\n    return a.imag", True),
        ("results/tables.py", "x = 1", "x = 2", True),
        ("run.py", "x = 1", "x = 2", True),
        ("experiment/record.py", "x = 1", "x = 2", True),
        ("experiment/executors/local.py", "x = 1", "x = 2", False),  # where a run is made is another matter
        ("analysis/figures.py", "x = 1", "x = 2", False),
        ("analysis/recommend.py", "x = 1", "x = 2", False),
        ("report/exporters/text.py", "x = 1", "x = 2", False),
        ("config/server.py", "x = 1", "x = 2", True),
        ("config/thresholds.py", "x = 1", "x = 2", False),
        ("whatever_is_new.py", "x = 1", "x = 2", True),
    ],
)
def test_code_that_only_judges_or_shows_a_run_makes_no_other_of_it(
    tmp_path: Path, file: str, before: str, after: str, counts: bool
) -> None:
    found = []
    for name, text in (("then", before), ("now", after)):
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).write_text(text)
        found.append(code(tmp_path / name))
    assert (found[0] != found[1]) == counts


def test_what_a_process_before_us_found_counts_for_the_same_sources_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("then", "x = 1"), ("same", "x = 1"), ("now", "x = 2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.py").write_text(text)
    then = code(tmp_path / "then")
    monkeypatch.setattr(fingerprint_module, "_done_by", None)  # nobody compiles it again
    assert code(tmp_path / "same") == then
    with pytest.raises(TypeError):
        code(tmp_path / "now")


def test_what_is_left_aside_of_the_code_is_there() -> None:
    root = Path(capsexp.__file__).parent
    assert [name for name in IGNORED_CODE if not list(root.glob(name))] == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFO in a folder")
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_never_ends_is_not_read(kind: str, tmp_path: Path) -> None:
    """Nor by the archive that is to hold the audio."""
    folder = tmp_path / "audio"
    folder.mkdir()
    (folder / "good.wav").write_bytes(b"audio")
    if kind == "fifo":
        os.mkfifo(folder / "odd.wav")
    else:
        (folder / "odd.wav").symlink_to("/dev/zero")
    assert of_samples(SamplesConfig(set="dir", dir=str(folder)))
    (tmp_path / "sweep").mkdir()
    archive.build(tmp_path / "sweep", [SamplesConfig(set="dir", dir=str(folder))])
    assert [path.name for path in (tmp_path / "sweep" / "samples" / "dir").iterdir()] == ["good.wav"]


def now() -> str:
    environment._installed.cache_clear()
    return fingerprint(compose(["engine=null"]))["packages"]


@pytest.mark.parametrize("package", ["pybase64", "h11", "msgspec", "scipy", "sherpa-onnx", "onnxruntime", "numba"])
def test_an_upgrade_of_what_runs_are_made_with_makes_another_run(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = now(), metadata.version
    assert now() == before
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == package else version(name))
    assert now() != before


def test_what_only_builds_shows_or_tests_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    environment._installed.cache_clear()
    names = environment.packages(compose(["engine=null"]))
    assert {"numpy", "websockets"} <= names.keys()
    assert not {"pytest", "mypy", "ruff", "onnx", "mlflow-skinny", "capsexp"} & names.keys()


def test_the_package_of_somebody_elses_engine_counts_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "their_engine-3.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: their.Engine\nVersion: 3.2\nRequires-Dist: their_model (>=1)\n"
        'Requires-Dist: pytest ; extra == "test"\n'
    )
    (info / "entry_points.txt").write_text("[capsexp.engines]\ntheirs = their_engine\n")
    model = tmp_path / "their_model-1.5.dist-info"
    model.mkdir()
    (model / "METADATA").write_text("Metadata-Version: 2.1\nName: their_model\nVersion: 1.5\n")
    (tmp_path / "their_engine.py").write_text(
        "from dataclasses import dataclass\nfrom capsexp.engines.base import EngineConfig\n"
        "@dataclass\nclass Settings(EngineConfig):\n    name: str = 'theirs'\n"
        "def load(config, threads): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with_them = environment.packages(Config(engine=ENGINES.settings("theirs")()))
    without = environment.packages(Config(engine=ENGINES.settings("null")()))
    assert with_them == {**without, "their-engine": "3.2", "their-model": "1.5"}
