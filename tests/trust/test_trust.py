"""An archive may be anybody's: what it would do beyond measuring is said, and done only when asked for."""

import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from capsexp import archive, compose, replay, trust
from capsexp.argv import split_argv
from capsexp.config import Config, conf_dir, to_dict
from capsexp.errors import ArchiveError, ConfigError
from capsexp.experiment.sweep import plan
from capsexp.results.sweep import RUN_DIR, write_plan
from tests.support.reports import a_sweep, reported

MINE = ("engine=null", "workers=1,2", "-m", "trials=1")


def made(folder: Path, *argv: str, **files: str) -> Path:
    """A folder as an archive holds it: the command line, the YAML it was composed from, and some YAML of its own."""
    shutil.copytree(conf_dir(), folder / "conf")
    for name, text in files.items():
        path = folder / "conf" / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_plan(folder, msgspec.structs.replace(a_sweep([]).sweep, argv=(*MINE, *argv)), mine=False)
    (folder / "report.json").write_bytes(msgspec.json.encode(reported()[0]))
    archive.build(folder)
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


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {k: v for key, inner in value.items() for k, v in leaves(inner, f"{prefix}.{key}".lstrip(".")).items()}


def test_an_archive_of_ours_runs_without_a_question(tmp_path: Path, ran: list[list[str]]) -> None:
    assert replay.main([str(made(tmp_path / "sweep", "+experiment=compare", "server.max_queue=3"))]) == 0
    assert "server.max_queue=3" in ran[0]


@pytest.mark.parametrize(
    ("argv", "files", "says"),
    [
        (["server=command", "server.cmd='touch /tmp/x {port}'"], {}, "run the command 'touch /tmp/x {port}'"),
        (["server=external", "server.url=ws://example.org"], {}, "send the audio to ws://example.org"),
        (["server.host=0.0.0.0", "server.allow_anonymous=true"], {}, "listen on 0.0.0.0 for other machines"),
        ([], {"server__local": "name: command\ncmd: evil\n"}, "run the command 'evil'"),
        ([], {"experiment__x": "# @package _global_\nserver: {name: command, cmd: evil}\n"}, None),
        (["+experiment=x"], {"experiment__x": "# @package _global_\nserver: {name: command, cmd: evil}\n"}, "'evil'"),
        (["name=${oc.env:HOME}"], {}, "evaluate 'name=${oc.env:HOME}'"),
        (["name=${${oc}.env:HOME}"], {}, "evaluate"),
        (["load.seed=$\\{oc.env:HOME\\}"], {}, "evaluate"),  # as Hydra reads its escapes
        ([], {"config": config(sweeper={"params": {"load.seed": "$\\{oc.env:HOME\\}"}})}, "evaluate"),
        ([], {"pool__process": 'name: "\\x24{oc.env:HOME}"\n'}, "evaluate '${oc.env:HOME}'"),
        ([], {"config": config(callbacks={"x": {"_target_": "os.system", "command": "evil"}})}, "hydra.callbacks.x"),
        ([], {"config": config(launcher={"_target_": "os.system"})}, "set hydra.launcher._target_"),
        (["+hydra.job.env_set.PYTHONPATH=/tmp"], {}, "set hydra.job.env_set.PYTHONPATH"),
        (["+hydra.job_logging.root.x={}"], {}, "set hydra.job_logging"),
        (["hydra.searchpath=[pkg://evil]"], {}, "hydra.searchpath"),
        (["hydra.sweep.subdir=../../x"], {}, "set hydra.sweep.subdir"),
        (["engine=paraformer", "engine.model_id=some/where"], {}, "download 'some/where'"),
        (["engine=paraformer", "engine.model_dir=${samples.dir}"], {}, "load the model in '/the/audio'"),
        (["engine=paraformer", "engine.model_dir=/x"], {}, "load the model in '/x' (engine.model_dir)"),
        ([], {"engine__null": "defaults: [sherpa, _self_]\nname: sherpa\nmodel_dir: /x\n"}, "load the model in '/x'"),
        (["punctuation=ct_transformer", "punctuation.model_dir=/x"], {}, "(punctuation.model_dir)"),
        (["samples=dir", "samples.dir=/somebody/else"], {}, "read the audio in '/somebody/else'"),
        (["monitor.log=/root/.profile"], {}, "write '/root/.profile'"),
        (["server.token=x"], {}, "server.token"),
        (["server.certfile=/x"], {}, "server.certfile"),
        (["server.keyfile=/x", "server.certfile=/x"], {}, "server.keyfile"),
        # What Hydra is given beside the composed tree.
        ([], {"config": config(overrides={"task": ["monitor.log=/x"], "hydra": []})}, "hydra.overrides"),
        ([], {"config": config(overrides={"hydra": ["hydra.launcher._target_=os.system"]})}, "hydra.overrides"),
        ([], {"config": config(sweeper={"params": {"hydra.launcher._target_": "os.system"}})}, "hydra.sweeper.params"),
        ([], {"config": config(sweeper={"params": {"+hydra.callbacks.x._target_": "x"}})}, "hydra.sweeper.params"),
        ([], {"config": config(sweeper={"params": {"monitor.log": "/x"}})}, "write '/x'"),
        ([], {"config": config(searchpath=["pkg://evil"])}, "hydra.searchpath"),
        (["engine@hydra.launcher=null"], {}, "place something elsewhere"),
        (["+load@hydra.callbacks=all"], {}, "place something elsewhere"),
        (["+server={cmd: evil}"], {}, "set several keys at once"),
        ([], {"load__all": "# @package hydra.callbacks\nx: {_target_: os.system}\n"}, "place something elsewhere"),
        (["+experiment=x"], {"experiment__x": "# @package _global_\nhydra: {callbacks: {x: 1}}\n"}, "hydra.callbacks"),
        ([], {"load__all": "  # @package server\ncmd: evil\n"}, "place something elsewhere"),
        ([], {"load__all": "defaults: [{/engine@hydra.launcher: null}]\n"}, "compose with"),
        ([], {"load__all": "defaults: [../../../etc/x]\n"}, "compose with"),
        ([], {"load__all": "defaults: [{override /hydra/launcher: evil}]\n"}, "compose with"),
        ([], {"pool__process": "name: process\n", "hydra__launcher__basic": "_target_: os.system\n"}, "Hydra's own"),
    ],
)  # fmt: skip
def test_what_it_would_do_is_said_and_not_done(
    tmp_path: Path, ran: list[list[str]], argv: list[str], files: dict[str, str], says: str | None
) -> None:
    folder = made(tmp_path / "sweep", *argv, **files)
    audio = "samples.dir=/the/audio"  # the user's own, which the archive may refer to but not load as something else
    mine = ["samples=dir", audio] if any("samples.dir}" in word for word in argv) else []
    if says is None:  # it is there, but nobody chose it
        assert replay.main([str(folder), *mine]) == 0
        return
    with pytest.raises(ArchiveError) as caught:
        replay.main([str(folder), *mine])
    assert says in str(caught.value)
    assert str(caught.value).endswith("if you trust it, add --trust")
    assert not ran


# Keys of the schema that make us load, run, reach, read or write something: an archive may not set them by itself.
ASKED = {
    "resume", "engine.model_dir", "engine.model_id", "punctuation.model_dir", "samples.dir", "server.host",
    "server.cmd", "server.url", "server.token", "server.allow_anonymous", "server.certfile", "server.keyfile",
    "server.env", "server.cwd", "server.model", "server.install", "target.path",
    "monitor.port", "monitor.pid", "monitor.log", "monitor.html", "load.csv", "pool.address",
}  # fmt: skip


EXECUTED = {f"executor.{key}" for key in ("name", "options", "address", "partition", "constraint", "node", "arguments")}


def test_every_key_that_loads_runs_or_reaches_something_is_asked_for() -> None:
    """A key that is new is asked for as well, until trust.py says that it only measures."""
    from capsexp.config import Config
    from capsexp.engines import every_settings
    from capsexp.load import LOADS
    from capsexp.targets import TARGETS
    from capsexp.trust import measures

    known, asked = set(), set()
    every = [Config(engine=engine) for engine in every_settings()] + [Config(load=load) for load in LOADS.every()]
    every += [Config(target=target) for target in TARGETS.every()]
    for config in every:
        keys = set(leaves(to_dict(config)))
        known |= keys
        asked |= {key for key in keys if not measures(key, config)}
        for group in ("engine", "load", "target"):
            own = {f"{group}.{name}" for name in getattr(config, group).measures}
            assert own <= keys | {".".join(key.split(".")[:2]) for key in keys}  # no word of a key that is not there
    named = re.compile(
        r"(^|[._])(dir|path|file|url|cmd|command|host|id|log|csv|token|env|package|plugin|class)s?$|_target_"
    )
    assert {key for key in known if named.search(key)} <= ASKED | {"load.give_up_class"}  # of users, not of Python
    assert asked == ASKED | {
        "redo", "server.origins",  # what is replayed is no resumed sweep; who may connect is the user's to say
        *EXECUTED,  # where runs are made, too
    }  # fmt: skip


KEYS = st.sampled_from([
    "workers", "name", "load.repeats", "engine.rtf", "samples.dir", "engine.model_dir", "server.cmd", "server.host",
    "monitor.log", "hydra.launcher._target_", "hydra.callbacks.x._target_", "hydra.job.env_set.X", "hydra.searchpath",
    "hydra.sweep.subdir", "hydra.run.dir", "hydra.overrides.task", "hydra.overrides.hydra", "hydra.sweeper._target_",
    "hydra.sweeper.params", "hydra.output_subdir", "hydra/launcher", "engine@hydra.launcher", "load@_global_",
])  # fmt: skip
VALUES = st.sampled_from([
    "2", "evil", "/tmp/evil", "../../evil", "${oc.env:HOME}", "${samples.dir}", "${oc.${name}:HOME}", "os.system",
    "[monitor.log=/tmp/evil]", "{_target_: os.system}", "{monitor.log: /tmp/evil}", "null",
])  # fmt: skip
WORDS = st.tuples(st.sampled_from(["", "+", "++"]), KEYS, VALUES).map(lambda w: f"{w[0]}{w[1]}={w[2]}")
ENTRIES = st.tuples(st.sampled_from(["", "override "]), KEYS, VALUES).map(lambda w: {f"{w[0]}/{w[1]}": w[2]})


def nested(key: str, value: Any) -> Any:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


TREES = st.fixed_dictionaries({
    "package": st.sampled_from([None, None, "_global_", "hydra", "hydra.callbacks"]),
    "body": st.tuples(KEYS, VALUES).map(lambda w: nested(*w)),
    "defaults": st.lists(ENTRIES, max_size=1),
})  # fmt: skip


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.lists(WORDS, max_size=2), st.sampled_from(["config", "load/all", "experiment/x"]), st.none() | TREES)
def test_what_replays_without_a_question_only_measures(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], place: str, tree: dict[str, Any] | None
) -> None:
    """Whatever an archive says where: it is refused, or Hydra is given our own settings and values that measure."""
    place_of = tmp_path_factory.mktemp("archive")
    files = {}
    if tree is not None:
        text = f"# @package {tree['package']}\n" if tree["package"] else ""
        body = {**tree["body"], **({"defaults": tree["defaults"]} if tree["defaults"] else {})}
        own = conf_dir() / f"{place}.yaml"
        base = OmegaConf.to_container(OmegaConf.load(own)) if own.is_file() else {}
        assert isinstance(base, dict)
        body["defaults"] = [*base.pop("defaults", []), *body.get("defaults", [])]
        hydra = {**base.get("hydra", {}), **(body.get("hydra") or {})} if "hydra" in {**base, **body} else None
        merged = {**base, **body, **({"hydra": hydra} if hydra is not None else {})}
        files = {place.replace("/", "__"): text + json.dumps(merged)}
    extra = ["+experiment=x"] if place == "experiment/x" and files else []
    folder = made(place_of / "sweep", *words, *extra, **files)
    given: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capsexp.cli.main", lambda argv: given.append(argv) or 0)
        try:
            replay.main([str(folder), f"hydra.sweep.dir={place_of / 'out'}"])
        except (ArchiveError, ConfigError) as error:
            assert "\n" not in str(error)  # noqa: PT017 (most are refused)
            return
    overrides, _, valued = split_argv(given[0])
    conf, name = Path(valued["--config-dir"]), valued["--config-name"]
    sweep = plan(overrides, conf, name)
    assert sweep.planned
    assert sweep.folder == place_of / "out"
    for run in sweep.planned:
        assert RUN_DIR.fullmatch(run.dir)  # beside the others in that folder
        hydra = compose.raw(run.overrides, conf, name, with_hydra=True).hydra
        assert hydra.launcher._target_.endswith("BasicLauncher")
        assert hydra.sweeper._target_.endswith("BasicSweeper")
        assert not hydra.callbacks
        assert not hydra.job.env_set
        values = leaves(to_dict(run.config))
        assert {
            key: values[key] for key in ASKED if values.get(key) not in (None, False, "127.0.0.1", "local", {})
        } == {}


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
        (["load.seed=" + "9" * 5000], {}),
        (["workers=range(1,1000000000)"], {}),
        (
            [],
            {
                "load__all": "".join(
                    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnop")
                ).replace("*a", "x")
            },
        ),
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
    sweep = msgspec.structs.replace(a_sweep([]).sweep, argv=tuple(argv))
    assert replay.line(sweep, tmp_path, [])[:1] == ["-m"]


PLANNED = {"num": 0, "key": "workers=1", "trial": 1}
SWEEP = {
    "name": "sweep", "argv": [], "interrupted": False, "trials": 1, "trials_max": 1, "thresholds": {}, "report": {},
}  # fmt: skip


def test_a_run_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    from capsexp.results.read import read_sweep

    (tmp_path / "0-a").mkdir()
    (tmp_path / "0-a" / "run.json").write_text("{}")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({**SWEEP, "planned": [{**PLANNED, "dir": "../0-a"}]}))
    with pytest.raises(ArchiveError, match="a run outside"):
        read_sweep(tmp_path / "sweep")


def test_the_settings_that_an_archive_of_ours_has_need_no_trust() -> None:
    """A setting that only measures has to be on the list, or every replay asks for --trust."""
    asks = {"resume", "redo", "samples.dir", "monitor.log", "monitor.pid", "monitor.port", "engine.model_dir"}
    asks |= {"monitor.html", "engine.model_id", "punctuation.model_dir", "pool.address", *EXECUTED}
    reach = ("host", "cmd", "url", "token", "allow_anonymous", "certfile", "keyfile", "origins")
    asks |= {f"server.{key}" for key in (*reach, "env", "cwd", "model", "install")}
    known = {f"{group}.{key}" if isinstance(value, dict) else group
             for group, value in to_dict(Config()).items()
             for key in (value if isinstance(value, dict) else [""])}  # fmt: skip
    assert {key for key in known if not trust.measures(key, Config())} == asks & known


@pytest.mark.parametrize("cmd", ["server.cmd='touch /tmp/x {port}'", "server.cmd=touch /tmp/x {port}"])
def test_a_command_is_asked_for_and_run_as_it_was_typed(cmd: str, tmp_path: Path, ran: list[list[str]]) -> None:
    folder = made(tmp_path / "sweep", "server=command", cmd)
    with pytest.raises(
        ArchiveError,
        match=r"would run the command 'touch /tmp/x \{port\}' \(server\.cmd\): if you trust it, add --trust",
    ):
        replay.main([str(folder)])
    assert replay.main([str(folder), "--trust"]) == 0
    assert cmd in ran[0]
