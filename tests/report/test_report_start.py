"""The line that a report gives to start the server with starts what was measured."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from capsexp.compose import compose
from capsexp.config import Config, resolve, to_dict
from capsexp.report.start_command import spelled, start
from capsexp.results.report import Start
from capsexp.tool import parse

SERVER_SIDE = ("workers", "threads", "engine", "pool", "punctuation", "server")


def measured(*overrides: str) -> dict[str, Any]:
    return to_dict(compose(overrides))


def started(config: dict[str, Any], workers: int) -> dict[str, Any]:
    """What the shell and the server make of the line."""
    command = start(config, workers).command
    assert command is not None
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "capsexp.server"]
    return to_dict(parse(words[3:], "capsexp.server", "", {}).config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["workers=2", "engine=sphinx", "engine.beam=1e-40", "engine.fwdflat=false", "engine.model_dir='/my own'"],
        ["engine=sherpa", "engine.model_type=sense_voice", "engine.language=zh", "engine.model_dir=/m", "threads=3"],
        ["engine=paraformer", "engine.twin=tiny", "engine.quantize=true", "pool=thread"],
        ["engine=paraformer", "engine.model_id='iic/x y'", "engine.device='cuda:0'"],
        ["engine=null", "engine.rtf=0.5", "server.dispatch=task", "server.max_queue=7", "server.stuck_s=99"],
        ["punctuation=ct_transformer", "punctuation.model_dir='/p/李明'", "punctuation.quantize=true", "pool=prefork"],
        ["server.certfile='/c/it s.pem'", "server.keyfile=/c/k.pem", "server.port=7000"],
    ],
)  # fmt: skip
def test_it_starts_what_was_measured(overrides: list[str]) -> None:
    config = measured(*overrides)
    assert {k: started(config, config["workers"])[k] for k in SERVER_SIDE} == {k: config[k] for k in SERVER_SIDE}


NOISE = st.sampled_from(
    ["", "'", '"', "\\", "\\\\'", "${x}", "$HOME", ", a=b", "{x}", " ", "!!", "#", "null", "1e3", "~"]
)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])), NOISE, NOISE)
def test_any_text_survives_hydra(text: str, before: str, after: str) -> None:
    text = before + text + after
    read = OverridesParser.create().parse_override(f"engine.model_dir={spelled(text)}").value()
    assert OmegaConf.create({"it": read}).it == text


@pytest.mark.slow
@settings(max_examples=10, phases=[Phase.generate])
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])), NOISE)
def test_any_name_of_a_model_survives_the_shell(name: str, noise: str) -> None:
    config = to_dict(Config())
    config["engine"]["model_dir"] = "m" + (name + noise).replace("$", "")
    assert started(config, 2)["engine"]["model_dir"] == config["engine"]["model_dir"]


def test_as_a_file_it_is_the_same(tmp_path: Path) -> None:
    config = measured("engine=null", "engine.rtf=0.5", "pool=thread", "server.dispatch=task")
    text = start(config, 3).yaml
    assert text is not None
    (tmp_path / "mine.yaml").write_text(text)
    call = parse(["--config-dir", str(tmp_path), "--config-name", "mine"], "capsexp.server", "", {})
    assert {k: to_dict(call.config)[k] for k in SERVER_SIDE} == {**{k: config[k] for k in SERVER_SIDE}, "workers": 3}


def test_an_address_for_others_asks_for_a_token() -> None:
    config = to_dict(Config())
    config["server"]["host"] = "0.0.0.0"
    said = start(config, 1)
    assert "server.token=SECRET" in str(said.command)
    resolve(parse(shlex.split(str(said.command))[3:], "capsexp.server", "", {}).config.__dict__)
    assert "SECRET" in str(said.note)


def test_a_server_of_somebody_elses_is_started_by_their_line() -> None:
    config = measured(
        "server=command", "workers=2", "threads=3", "server.cmd='python s.py -w {workers} -t {threads} -p {port}'"
    )
    assert start(config, 2) == Start(command="python s.py -w 2 -t 3 -p PORT", note="PORT: the port to listen on")
    config["server"]["cmd"] = """run --json '{"a": {workers}, "b": 1}'"""
    assert start(config, 2).command == """run --json '{"a": 2, "b": 1}'"""
    config["server"] |= {"cmd": """run {workers} '{{"a": 1}}'""", "port": 7000}
    assert start(config, 2) == Start(command="""run 2 '{"a": 1}'""", note="it listens on port 7000")  # as measured


def test_a_server_that_runs_already_has_nothing_to_start() -> None:
    said = start(measured("server=external", "server.url=ws://127.0.0.1:6016"), None)
    assert (said.command, said.yaml) == (None, None)
    assert "nothing to start" in str(said.note)


def test_every_setting_of_a_server_is_looked_at() -> None:
    """A setting that somebody adds is in the line as soon as it differs."""
    for field in fields(Config().server):
        config = to_dict(Config())
        if field.name in ("name", "token", "cmd", "url", "host", "env", "cwd", "model", "install"):
            continue
        before = config["server"][field.name]
        config["server"][field.name] = (
            "other"
            if before is None or isinstance(before, (str, list))
            else (not before if isinstance(before, bool) else before + 1)
        )
        assert f"server.{field.name}=" in str(start(config, 1).command)
