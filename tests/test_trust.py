"""An archive may be anybody's: what it would do beyond measuring is said, and done only when asked for."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from capsexp import archive, replay
from capsexp.config import conf_dir
from capsexp.errors import ArchiveError, ConfigError

MINE = ("engine=null", "workers=1,2", "-m", "trials=1")


def made(folder: Path, *argv: str, **files: str) -> Path:
    """A folder as an archive holds it: the command line, the YAML it was composed from, and some YAML of its own."""
    shutil.copytree(conf_dir(), folder / "conf")
    for name, text in files.items():
        (folder / "conf" / f"{name.replace('__', '/')}.yaml").write_text(text)
    (folder / "sweep.json").write_text(json.dumps({"argv": [*MINE, *argv]}))
    (folder / "report.json").write_text("{}")
    archive.build(folder, False)
    return folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run."""
    calls: list[list[str]] = []
    monkeypatch.setattr("capsexp.cli.main", lambda argv: calls.append(argv) or 0)
    return calls


def config(**more: Any) -> str:
    text = (conf_dir() / "config.yaml").read_text()
    for key, value in more.items():
        text += f"  {key}: {json.dumps(value)}\n"  # at its end stands hydra
    return text


def test_an_archive_of_ours_runs_without_a_question(tmp_path: Path, ran: list[list[str]]) -> None:
    assert replay.main([str(made(tmp_path / "sweep", "+experiment=compare", "server.max_queue=3"))]) == 0
    assert "server.max_queue=3" in ran[0]


@pytest.mark.parametrize(
    ("argv", "files", "says"),
    [
        (["server=command", "server.cmd='touch /tmp/x {port}'"], {}, "run the command 'touch /tmp/x {port}'"),
        (["server=external", "server.url=ws://example.org"], {}, "send the audio to ws://example.org"),
        (["server.host=0.0.0.0", "server.allow_anonymous=true"], {}, "listen on 0.0.0.0 for anybody"),
        ([], {"server__local": "name: command\ncmd: evil\n"}, "run the command 'evil'"),
        ([], {"experiment__x": "# @package _global_\nserver: {name: command, cmd: evil}\n"}, None),
        (["+experiment=x"], {"experiment__x": "# @package _global_\nserver: {name: command, cmd: evil}\n"}, "'evil'"),
        (["name=${oc.env:HOME}"], {}, "evaluate 'name=${oc.env:HOME}'"),
        (["name=${${oc}.env:HOME}"], {}, "evaluate"),
        ([], {"pool__process": 'name: "\\x24{oc.env:HOME}"\n'}, "evaluate '${oc.env:HOME}'"),
        ([], {"config": config(callbacks={"x": {"_target_": "os.system", "command": "evil"}})}, "hydra.callbacks.x"),
        ([], {"config": config(launcher={"_target_": "os.system"})}, "set hydra.launcher._target_"),
        (["+hydra.job.env_set.PYTHONPATH=/tmp"], {}, "set hydra.job.env_set.PYTHONPATH"),
        (["+hydra.job_logging.root.x={}"], {}, "set hydra.job_logging"),
        (["hydra.searchpath=[pkg://evil]"], {}, "hydra.searchpath"),
        (["hydra.sweep.subdir=../../x"], {}, "set hydra.sweep.subdir"),
        (["engine=paraformer", "engine.model_id=some/where"], {}, "download 'some/where'"),
    ],
)  # fmt: skip
def test_what_it_would_do_is_said_and_not_done(
    tmp_path: Path, ran: list[list[str]], argv: list[str], files: dict[str, str], says: str | None
) -> None:
    folder = made(tmp_path / "sweep", *argv, **files)
    if says is None:  # it is there, but nobody chose it
        assert replay.main([str(folder)]) == 0
        return
    with pytest.raises(ArchiveError) as caught:
        replay.main([str(folder)])
    assert says in str(caught.value)
    assert str(caught.value).endswith("if you trust it, add --trust")
    assert not ran


def test_it_is_done_when_it_was_asked_for(
    tmp_path: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "sweep", "server=command", "server.cmd='theirs {port}'")
    assert replay.main([str(folder), "server.cmd='mine {port}'"]) == 0
    assert "server.cmd='mine {port}'" in ran[0]
    assert not [word for word in ran[0] if "theirs" in word]
    assert replay.main([str(folder), "--trust"]) == 0
    assert "--trust" not in ran[1]
    assert "trusted: it will run the command 'theirs {port}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "files"),
    [
        ([], {"engine__null": "!!python/object/apply:os.system ['touch PWNED']\n"}),
        ([], {"engine__null": "name: !!python/object/apply:os.system ['touch PWNED']\n"}),
        ([], {"engine__null": "a: &a [*a]\n"}),
        (["--config-name", "../../../etc/passwd"], {}),
    ],
)
def test_yaml_is_data(
    tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, argv: list[str], files: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ArchiveError, ConfigError)) as caught:
        replay.main([str(made(tmp_path / "sweep", *argv, **files))])
    assert "\n" not in str(caught.value)
    assert not ran
    assert not os.path.exists("PWNED")


def test_no_flag_of_an_archive_reaches_hydra(tmp_path: Path) -> None:
    argv = ["--help", "--experimental-rerun=/tmp/evil.pickle", "--config-path", "/", "-m"]
    assert replay.line({"argv": argv}, tmp_path, [])[:1] == ["-m"]


def test_a_run_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    from capsexp.report.load import read_sweep

    (tmp_path / "0-a").mkdir()
    (tmp_path / "0-a" / "run.json").write_text("{}")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"planned": [{"dir": "../0-a"}]}))
    with pytest.raises(ArchiveError, match="a run outside"):
        read_sweep(tmp_path / "sweep")
