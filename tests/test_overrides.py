"""What is typed on the command line is what is used, or one line says how to write it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from capsexp import commandline
from capsexp.compose import compose
from capsexp.config import resolve, to_dict, to_yaml
from capsexp.errors import ConfigError
from capsexp.experiment.sweep import each_differs, plan
from capsexp.overrides import assign, pasted, quote_override, unquoted
from tests.support import PATIENCE

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1)
AWKWARD = st.text(st.sampled_from("ab /\\'\"${}()[]:=~,;#*?&|!@%^`<>.录音é\n\t-_0"), min_size=1)


def meant(override: str) -> object:
    """What the configuration holds after an override, as Hydra and OmegaConf read it."""
    value = OverridesParser.create().parse_override(override).value()
    return OmegaConf.create({"x": value}).x


@given(TEXT | AWKWARD)
@example("/home/李明/录音")
@example("C:\\Users\\me\\clips\\")
@example("/data/a (1)/b [2]")
@example("o'brien\\'s")
@example("null")
def test_a_path_as_typed_is_the_path_used(path: str) -> None:
    assume("${" not in path and path != "null")  # those stand for something
    assume("," not in path)  # several values, tested below
    assume(not (path.strip()[:1] in "'\"" and path.strip()[-1:] == path.strip()[:1]))  # quoted already
    assume(not path.startswith(("choice(", "tag(", "glob(", "sort(", "shuffle(", "range(", "interval(", "str(")))
    assert meant(quote_override(f"samples.dir={path}")) == path


@given(TEXT | AWKWARD)
@example("${x}")
@example("\\${oc.env:HOME}")
def test_what_capsexp_assigns_is_exactly_that(text: str) -> None:
    line = assign("hydra.sweep.dir", text)
    assert meant(line) == text
    assert quote_override(line) == line


@given(TEXT | AWKWARD)
@example("\\\n")  # a dollar sign of a pattern matches before the last line's end, too
def test_a_line_to_paste_is_taken_as_it_stands(text: str) -> None:
    assume("${" not in text)
    [word] = shlex.split(pasted(f"samples.dir={text}"))
    assert meant(quote_override(word)) == text
    assert unquoted(word.partition("=")[2]) == text


@pytest.mark.slow
@settings(max_examples=30)
@given(AWKWARD)
def test_a_resolved_configuration_is_written_and_read_as_it_is(text: str) -> None:
    config = compose_base()
    config.samples.dir, config.samples.set = "/" + text, "dir"
    config.monitor.log = "/${oc.env:HOME}/" + text
    assert resolve(OmegaConf.create(to_yaml(config))) == config


def compose_base():  # type: ignore[no-untyped-def]
    from capsexp.config import Config, to_dict
    from capsexp.engines.null import NullConfig

    return resolve(to_dict(Config(engine=NullConfig())))


def test_through_hydra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "o'brien (${x}) 录音"
    given = ["engine=null", "samples=dir"]
    assert compose([*given, "samples.dir=~/录音 a"]).samples.dir == f"{tmp_path}/录音 a"
    assert compose([*given, assign("samples.dir", folder)]).samples.dir == str(folder)
    with pytest.raises(ConfigError, match=r"samples\.dir: .*write \\\$\{"):
        compose([*given, f"samples.dir={folder}"])
    two = plan([*given, "trials=1", "samples.dir=/a b,/c d"], None, "config")
    assert [run.config.samples.dir for run in two.planned] == ["/a b", "/c d"]
    (tmp_path / "a,b").mkdir()
    one = plan([*given, "trials=1", f"samples.dir={tmp_path}/a,b"], None, "config")
    assert [run.config.samples.dir for run in one.planned] == [f"{tmp_path}/a,b"]


def test_what_cannot_be_a_value_is_answered_with_the_line_to_paste() -> None:
    with pytest.raises(ConfigError, match="to pass it as plain text"):
        compose(["load.repeats=录音"])


@pytest.mark.parametrize(
    ("line", "filled"),
    [
        ("s.py {workers} --port={port}", "s.py 2 --port=7"),
        ("s.py {port} '{\"a\": 1}'", "s.py 7 '{\"a\": 1}'"),
        ('s.py {port} \'{{"a": {{"b": 1}}}}\'', 's.py 7 \'{"a": {"b": 1}}\''),
        ('s.py {port} \'{"a": {"b": {}}}\' {', 's.py 7 \'{"a": {"b": {}}}\' {'),
        ("s.py {0} {port!r} {x.y} {port}", "s.py {0} {port!r} {x.y} 7"),
    ],
)
def test_braces_of_a_servers_own_stay(line: str, filled: str) -> None:
    assert commandline.fill(line, workers=2, threads=1, host="h", port=7) == filled
    assert compose(["engine=null", "server=command", f"server.cmd={line}"]).server.cmd == line
    assert "port" in commandline.mentioned(line)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["server=command", "server.cmd=s.py {port}", "workers=1,2"],
            "workers=1,2: server.cmd does not mention",
        ),
        (["server=command", "server.cmd=s.py {port} {workers}", "threads=1,2"], "does not mention {threads}"),
        (["server=command", "server.cmd=s.py {port} {workers}", "pool=process,thread"], "does not mention {pool}"),
        (["server=command", "server.cmd=s.py {port}", "engine.rtf=0,1"], "engine.rtf=0,1: server.cmd does not mention"),
        (["server=local,command", "server.cmd=s.py {port}", "workers=1,2"], "workers=1,2: server.cmd"),
        (["server=external", "server.url=ws://x", "workers=1,2"], "capsexp.compare"),
        (["thresholds.speedup=1,2"], "thresholds.speedup: judges the runs"),
        (["validity=default,off"], "validity: judges"),
        (["report.tolerance=0.1,0.2"], "report.tolerance: judges"),
        (["trials_max=1,2"], "trials_max: applies to the whole sweep"),
        (["server=command", "server.cmd=s.py"], "server.port: server.cmd has no {port}"),
        (["server=command", "server.cmd=s.py", "server.port=0"], "server.port: server.cmd has no {port}"),
        (["samples.dir=/a"], "samples.dir: is used with samples=dir only"),
        (["server.url=ws://a:1"], "server.url: is read with server=external only, and server=local is chosen"),
        (["server.cmd=x {port}"], "server.cmd: is read with server=command only, and server=local is chosen"),
    ],
)
def test_a_sweep_that_would_measure_one_thing_twice_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        each_differs(plan(["engine=null", "trials=1", *overrides], None, "config").planned)
    assert said in str(told.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["server=command", "server.cmd=s.py {port} {workers}", "workers=1,2"],
        ["server=command", "server.cmd='a {port}','b {port}'"],
        ["server=local,command", "server.cmd=s.py {port}"],
        ["server=external", "server.url=ws://x,ws://y", "load.concurrency=1,2"],
    ],
)
def test_a_sweep_of_what_differs_is_taken(overrides: list[str]) -> None:
    planned = plan(["engine=null", "trials=1", *overrides], None, "config").planned
    assert len(planned) >= 2
    each_differs(planned)


@pytest.mark.parametrize(
    ("given", "kind", "key", "value"),
    [
        ("load.classes.mic.from_s=5", "mic", "from_s", 5),
        ("+load.classes.mic.from_s=5", "mic", "from_s", 5),
        ("load.classes.mic={users: 7, from_s: 5}", "mic", "from_s", 5),
        ("load.classes.calls={name: rate, rate: 2}", "calls", "rate", 2),
    ],
)
def test_a_name_of_ones_own_needs_no_plus(given: str, kind: str, key: str, value: int) -> None:
    [planned] = plan(["load=mixed", "trials=1", "workers=1", given], None, "config").planned
    classes = to_dict(planned.config)["load"]["classes"]
    assert classes[kind][key] == value
    assert classes["mic"]["name"] == "dictation"


@pytest.mark.parametrize(
    "url",
    [
        "ws://",
        "ws://:6016",
        "6016",
        "127.0.0.1:6016",
        "http://127.0.0.1:6016",
        "ws://h:0",
        "ws://h:x",
        "ws://[::1",
        "//h:1",
    ],
)
def test_an_address_that_is_not_whole_is_told_what_a_whole_one_is(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        compose(["engine=null", "server=external", f"server.url='{url}'"])
    said = str(told.value)
    assert said.startswith("server.url: ") and url in said
    assert "server.url=ws://HOST:PORT, e.g. ws://127.0.0.1:6016" in said


def capsexp(*words: str, python: str = sys.executable, **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [python, "-m", "capsexp", *words], capture_output=True, text=True, timeout=PATIENCE, check=False, **how
    )


def test_help_is_about_capsexp() -> None:
    done = capsexp("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("capsexp measures")
    assert "powered by Hydra" not in done.stdout
    assert done.stdout.index("Examples") < done.stdout.index("engine: null") < done.stdout.index("  name: sphinx")


def test_help_is_what_hydra_would_say(capsys: pytest.CaptureFixture[str]) -> None:
    from capsexp import questions
    from capsexp.config import conf_dir

    assert questions.answer(["workers=3"], ["--help"], None, "config") == 0
    ours = capsys.readouterr().out
    assert questions._hydras_own(["workers=3", "--help"], str(conf_dir()), "config") == 0
    assert capsys.readouterr().out == ours
    assert "workers: 3" in ours


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--help", "workers=1,2"],
            "workers=1,2: shows one configuration at a time: python -m capsexp workers=1 --help",
        ),
        (["--help", "--dry-run"], "--dry-run: cannot be given with a question such as --help or --cfg; leave it out"),
        (["--cfg", "jobs"], "--cfg=jobs: give one of job, hydra, all"),
        (["--help", "--config-dir"], "--config-dir: give its value behind it"),
        (["--help", "--package", "x"], "--package: is not used; give --config-dir with a folder of your own"),
        (
            ["--help", "--config-name", "mine"],
            "--config-name: no mine.yaml in conf/ or in the folder that --config-dir",
        ),
        (["--help", "engine="], "engine: unknown engine ''; valid: null, paraformer,"),
        (["--help", "workers"], "workers: settings are key=value, see --help"),
        (["-sc", "query=bash"], "--shell-completion: query= is for the shell, which sets COMP_LINE;"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_ask(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from capsexp import cli

    assert cli.main(words) == 2
    assert capsys.readouterr().err.removeprefix("capsexp: ").startswith(said)


@pytest.mark.parametrize("words", [["--help"], ["workers=1", "--dry-run"]])
def test_a_file_of_ones_own_that_is_no_yaml_is_named_with_the_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from capsexp import cli

    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "all.yaml").write_text("name: all\n  x: [1")
    assert cli.main([*words, "--config-dir", str(tmp_path)]) == 2
    assert f"{tmp_path / 'load' / 'all.yaml'}, line 2, column 4: mapping values" in capsys.readouterr().err


def test_an_answer_that_cannot_be_written_is_no_success() -> None:
    if sys.platform != "linux":
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "capsexp", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
    assert (done.returncode, done.stderr) == (1, "capsexp: No space left on device\n")


def test_version() -> None:
    from capsexp import __version__

    assert capsexp("--version").stdout.strip() == f"capsexp {__version__}"


def test_one_configuration_of_a_sweep_is_shown_by_the_line_that_is_answered() -> None:
    done = capsexp("workers=1,2", "-m", "--cfg", "job")
    assert done.returncode == 2
    *_, line = done.stderr.strip().rpartition(": ")
    assert line == "python -m capsexp workers=1 --cfg job"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows end otherwise")
def test_nobody_who_reads_on_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "capsexp", "--cfg", "job"], stdout=writing, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.stderr == ""


def test_without_its_environment() -> None:
    """-S -I: an interpreter that finds nothing that was installed."""
    root = Path(__file__).parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import runpy; runpy.run_module('capsexp', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code, "workers=1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "activate the environment" in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_a_fault_of_a_job_is_not_told_as_one_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from capsexp import cli

    def job(*_: object) -> None:
        raise ValueError("a bug of ours")

    monkeypatch.setattr("capsexp.experiment.job.submit", job)
    out = tmp_path / "out"
    assert cli.main(["engine=null", "reference=off", "archive.enabled=false", f"hydra.sweep.dir={out}"]) == 1
    assert "a bug of ours" in capsys.readouterr().err.splitlines()[-1]
    assert (out / "report.json").is_file()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("+hydra.callbacks.x._target_=x", r"hydra\.callbacks: has no effect"),
        ("+hydra.job.env_set.X=1", r"hydra\.job\.env_set: has no effect"),
        ("hydra.job.chdir=true", r"hydra\.job\.chdir: has no effect"),
        ("hydra.run.dir=x", r"hydra\.run\.dir: .* hydra\.sweep\.dir=FOLDER"),
        ("hydra.sweep.subdir=x", r"hydra\.sweep\.subdir: .* hydra\.sweep\.dir=FOLDER"),
        ("hydra.verbose=true,false", r"hydra\.verbose=true,false: .* one value"),
    ],
)
def test_what_hydra_would_do_beyond_composing_is_refused(word: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        plan(["engine=null", word], None, "config")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["wrokers=1,2"], "wrokers: unknown key; did you mean 'workers'?"),
        (["workers=1,2", "engine.rtf=-1"], "engine.rtf: -1.0 is below 0"),
        (["workers=1,0"], "workers: 0 is not a number of workers; .* [workers=0]"),
        (["workers=0,1"], "workers: 0 is not a number of workers; .* [workers=0]"),
    ],
)
def test_a_combination_is_named_where_others_can_be_used(words: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan(["engine=null", *words], None, "config")
    first, _, last = says.partition(".*")
    assert str(error.value).startswith(first) and str(error.value).endswith(last)
    assert last or "[" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "needs the line to start"),
        ("  ", "needs the line to start"),
        ("'' {port}", "needs the line to start"),
        ("s.py 'a {port}", "no closing quotation; quote it as for a shell"),
        ("no-such-program {port}", "no program 'no-such-program' can be started; .* sh -c 'exec ...'"),
        ("cd /tmp && s.py {port}", "sh -c"),
        ("A=1 s.py {port}", "no program 'A=1'"),
        ("~/s.py {port}", "no program '~/s.py'"),
        (f"{sys.executable} s.py {{port}} | tee log", r"'\|' means nothing without a shell"),
        (f"{sys.executable} s.py {{prt}}", r"\{prt\} is not a placeholder; did you mean \{port\}"),
    ],
)
def test_a_line_that_starts_nothing_is_told_before(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^server.cmd: .*{says}"):
        commandline.startable(line)


@pytest.mark.parametrize(
    "rest",
    ["{port}", "'a | b' {port}", "'{\"a\": 1}' {port}", "'{{\"a\": 1}}' {port}", "${HOME} {x} {port}", "1,{port}"],
)
def test_a_line_that_starts_something(rest: str) -> None:
    commandline.startable(f"{sys.executable} {rest}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["load.seed=range(1,1000000000)"], "this sweep has "),
        (["load.seed=range(1,100)", "workers=range(1,100)"], "this sweep has "),
        (["trials=1000000000"], "this sweep has "),
        (["samples=glob(*)"], "this sweep has no end"),
    ],
)
def test_a_sweep_is_counted_before_it_is_made(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        plan(["engine=null", *given], None, "config")
    assert str(told.value).startswith(said)


def test_a_wrong_value_is_told_with_what_tells_its_run_from_others_and_no_more() -> None:
    with pytest.raises(ConfigError) as alone:
        plan(["engine=null", "load.repeats=0"], None, "config")  # of three trials
    assert str(alone.value).endswith("`auto`")
    with pytest.raises(ConfigError) as one:
        plan(["engine=null", "workers=1,two"], None, "config")
    assert str(one.value).endswith(" [workers=two]")
