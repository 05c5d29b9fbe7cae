"""A sweep's folder may be anybody's: going on with one that its user did not make here asks as a replay does."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsexp import archive, cli
from capsexp.config import SamplesConfig, conf_dir
from capsexp.experiment.sweep import plan, record
from capsexp.results import signature
from capsexp.results.sweep import write_plan
from tests.support import PATIENCE
from tests.support.bench import Bench

CMD = "server.cmd='theirs --port {port}'"
RUNS = ["server=command", CMD, "engine=null", "trials=1"]


def made(folder: Path, *argv: str, own: bool = True, **files: str) -> Path:
    """A sweep's folder that has begun, marked as its user's or not, with some YAML of its own."""
    tree = None
    shutil.copytree(conf_dir(), folder / "conf")
    for name, text in files.items():
        tree = folder / "conf"
        path = tree / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    overrides = [word for word in argv if "=" in word and not word.startswith("-")]
    said = record(plan(overrides, None, "config"), list(argv), folder, interrupted=True)
    if tree is not None:
        said = msgspec.structs.replace(said, argv=(*said.argv, "--config-dir", str(tree)))
    write_plan(folder, said, own)
    return folder


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "sweep.json").read_text()))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    said = read(folder)
    change(said)
    (folder / "sweep.json").write_text(json.dumps(said))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sweeps that would have gone on."""
    sweeps: list[Any] = []

    class Performed:
        def __init__(self, sweep: Any, *rest: Any) -> None:
            sweeps.append(sweep)

        def run(self, asked: Any) -> int:
            return 0

    monkeypatch.setattr("capsexp.sweep_command.SweepRunner", Performed)
    return sweeps


def test_ones_own_goes_on_without_a_question(tmp_path: Path, ran: list[Any]) -> None:
    folder = made(tmp_path / "sweep", *RUNS)
    assert cli.main([f"resume={folder}"]) == 0
    assert ran[0].mine


@pytest.mark.parametrize(
    ("argv", "files", "says"),
    [
        (RUNS, {}, "run the command 'theirs --port {port}' (server.cmd)"),
        (["engine=paraformer", "engine.model_dir=/x"], {}, "load the model in '/x' (engine.model_dir)"),
        (["engine=null", "samples=dir", "samples.dir=/x"], {}, "read the audio in '/x'"),
        (["engine=null", "monitor.log=/x"], {}, "write '/x'"),
        (["engine=null", "name='${oc.env:HOME}'"], {}, "evaluate"),
        (["engine=null"], {"server__local": "name: command\ncmd: evil {port}\n"}, "run the command 'evil {port}'"),
        (["engine=null"], {"load__all": "hydra: {callbacks: {x: {_target_: os.system}}}\n"}, "hydra.callbacks"),
        (["engine=null"], {"load__all": "name: '${oc.env:HOME}'\n"}, "evaluate '${oc.env:HOME}'"),
    ],
)  # fmt: skip
def test_somebody_elses_is_asked_for(
    tmp_path: Path,
    ran: list[Any],
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    files: dict[str, str],
    says: str,
) -> None:
    folder = made(tmp_path / "sweep", *argv, own=False, **files)
    assert cli.main([f"resume={folder}"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said
    assert said.endswith("if you trust it, add --trust\n")
    assert not ran
    if says.startswith(("run the command 'theirs", "load", "read", "write")):  # what nobody has to compose to see
        assert cli.main([f"resume={folder}", "--trust"]) == 0
        assert "trusted: it will" in capsys.readouterr().err
        assert ran[0].mine  # it was looked at: it is not asked for again


def test_what_only_measures_goes_on_but_is_nobodys_own(tmp_path: Path, ran: list[Any]) -> None:
    """Nobody has looked at it: another preset of its own YAML would be asked for."""
    folder = made(tmp_path / "sweep", "engine=null", "workers=1,2", own=False)
    assert cli.main([f"resume={folder}", "workers=3"]) == 0
    assert not ran[0].mine


def test_what_is_given_now_is_the_users_own(tmp_path: Path, ran: list[Any]) -> None:
    folder = made(tmp_path / "sweep", *RUNS, own=False)
    assert cli.main([f"resume={folder}", "server.cmd='mine --port {port}'"]) == 0
    assert ran[0].planned[0].config.server.cmd == "mine --port {port}"


def test_a_run_that_was_planned_with_other_words_is_asked_for(
    tmp_path: Path, ran: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line says nothing of it."""
    folder = made(tmp_path / "sweep", "engine=null", "workers=1", own=False)
    more = {"num": 7, "dir": "7-workers=2", "key": "workers=2", "trial": 1, "overrides": [], "given": RUNS}
    edit(folder, lambda said: said["planned"].append(more))
    edit(folder, lambda said: said.update(told=["workers"]))
    assert cli.main([f"resume={folder}"]) == 1
    assert "run the command 'theirs --port {port}'" in capsys.readouterr().err
    assert not ran


def test_trust_is_a_word_for_folders(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["engine=null", "--trust"]) == 2
    assert "add resume=FOLDER" in capsys.readouterr().err


PLACES = st.sampled_from(["argv", "planned", "told", "conf", "conf/new", "conf/link", "place", "mark", "trials"])


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLACES, st.data())
def test_any_edit_of_what_is_run_is_seen(
    tmp_path_factory: pytest.TempPathFactory, place: str, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("marked")
    folder = root / "sweep"
    (folder / "conf" / "server").mkdir(parents=True)
    for name in ("config", "server/command", "server/local"):
        (folder / "conf" / f"{name}.yaml").write_text(f"name: {name}\n")
    argv = data.draw(st.lists(st.text(max_size=8), min_size=1, max_size=3))
    said = {"argv": argv, "planned": [{"num": 0, "given": ["a=1"]}], "told": ["workers"], "trials": 1}
    said = signature.signed(folder, said)
    (folder / "sweep.json").write_text(json.dumps(said))
    assert signature.ours(folder, read(folder))
    text = data.draw(st.text(min_size=1, max_size=4))
    if place == "argv":
        at = data.draw(st.integers(0, len(argv)))
        edit(folder, lambda said: said["argv"].insert(at, text))
    elif place == "planned":
        edit(folder, lambda said: said["planned"][0]["given"].append(text))
    elif place in ("told", "trials"):
        edit(folder, lambda said: said.update({place: text}))
    elif place == "mark":
        edit(folder, lambda said: said.update(signature=data.draw(st.sampled_from(["", text, "0" * 64, None, 7]))))
    elif place == "place":
        shutil.copytree(folder, root / "elsewhere")
        folder = root / "elsewhere"
    elif place == "conf":
        path = data.draw(st.sampled_from(sorted((folder / "conf").rglob("*.yaml"))))
        path.write_bytes(path.read_bytes() + text.encode("utf-8", "backslashreplace"))
    elif place == "conf/new":
        (folder / "conf" / "server" / "more.yaml").write_text("")
    else:
        path = data.draw(st.sampled_from(sorted((folder / "conf").rglob("*.yaml"))))
        shutil.move(path, root / "aside")
        path.symlink_to(root / "aside")
    assert not signature.ours(folder, read(folder))


def test_another_users_mark_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "sweep", *RUNS)
    assert signature.ours(folder, read(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert not signature.ours(folder, read(folder))
    assert not (tmp_path / "another").exists()  # who only looks needs no key
    signature.signed(folder, {})
    assert not signature.ours(folder, read(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="has no modes")
def test_a_key_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "sweep", *RUNS)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    with ThreadPoolExecutor(8) as pool:  # who makes it at once has one and the same
        marks = {said["mark"] for said in pool.map(lambda _: signature.signed(folder, {"argv": []}), range(8))}
    assert len(marks) == 1
    key = signature.key_file()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["key"]
    assert len(key.read_bytes()) == signature.BYTES
    for spoil in (lambda: key.chmod(0o644), lambda: key.write_bytes(b"short"), lambda: key.write_bytes(bytes(99))):
        signature.signed(folder, {})
        key.chmod(0o600)
        spoil()
        assert str(key) in signature.lacking()
        assert "\n" not in signature.lacking()
        assert "mark" not in signature.signed(folder, {"argv": []})
        key.unlink()
    assert signature.lacking() == ""


def test_who_has_no_home_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: Path("~/.config/capsexp"))
    assert signature.lacking().startswith("there is no home folder")
    assert not signature.ours(Path(), {"mark": "0" * 64})


def test_without_a_key_it_is_said_and_works_as_somebody_elses(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench.prefix = ["env", f"XDG_CONFIG_HOME={tmp_path / 'file' / 'x'}"]
    assert bench.run("workers=1", "engine.rtf=0.01") == 0, bench.stderr
    assert len([line for line in bench.stderr.splitlines() if "treats this sweep as someone else's" in line]) == 1
    assert "mark" not in read(bench.out)
    assert bench.finish(bench.start(f"resume={bench.out}", bare=True)) == 1
    assert "read the audio in" in bench.stderr
    assert bench.finish(bench.start(f"resume={bench.out}", "--trust", bare=True)) == 0, bench.stderr


def test_what_was_judged_again_is_still_ones_own(bench: Bench, config_home: Path) -> None:
    assert bench.run("workers=1", "engine.rtf=0.01") == 0, bench.stderr
    key = (config_home / "capsexp" / "key").read_bytes()
    for form in (key, key.hex().encode()):
        assert not [path for path in bench.out.parent.rglob("*") if path.is_file() and form in path.read_bytes()]
    command = [sys.executable, "-m", "capsexp.report", str(bench.out), "thresholds.speedup=1.1"]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0
    assert signature.ours(bench.out, read(bench.out))
    edit(bench.out, lambda said: said["argv"].append("server.cmd=evil"))
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0
    assert not signature.ours(bench.out, read(bench.out))  # what somebody changed is not made ours by being judged


def test_no_audio_is_packed_because_a_folder_names_it(tmp_path: Path) -> None:
    """`capsexp.report X thresholds.x=` packs a sweep again: run.json and sweep.json may be anybody's."""
    secret = tmp_path / "private"
    secret.mkdir()
    (secret / "diary.wav").write_bytes(b"audio")
    folder = made(tmp_path / "sweep", "engine=null", own=False)
    (folder / "0-workers=1").mkdir()
    (folder / "0-workers=1" / "run.json").write_text(
        json.dumps({"config": {"samples": {"set": "dir", "dir": str(secret)}}})
    )
    edit(folder, lambda said: said.update(archive={"samples": True, "transcripts": True}))
    archive.build(folder)
    archive.again(folder)
    assert not (folder / "samples").exists()
    archive.build(folder, [SamplesConfig(set="dir", dir=str(secret))])
    archive.again(folder)
    assert (folder / "samples" / "dir" / "diary.wav").is_file()  # what was packed stays


@pytest.mark.skipif(sys.platform != "linux", reason="where a user's own files are is another matter elsewhere")
def test_a_home_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert "is not there" in signature.lacking()
    assert not (tmp_path / "nobody").exists()
