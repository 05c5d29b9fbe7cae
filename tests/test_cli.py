"""The main job as its users run it: real processes and sockets, engine=null for speed. Nothing may be left running."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import LEGACY, PATIENCE
from tests.support.bench import BASE, Bench


def gate(configuration: dict[str, Any], name: str) -> str:
    return str(next(g["verdict"] for g in configuration["gates"] if g["metric"] == name))


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


def test_a_sweep_its_report_its_archive_and_its_replay(bench: Bench) -> None:
    (bench.audio / "n1.txt").write_text("nothing that noise could say")
    given = ("engine.rtf=0.1", "reference.processes=sweep", "trials=2")
    assert bench.run("workers=1,2", "-m", *given) == 0, bench.stderr
    report = bench.report()
    assert report["verdict"] == "FEASIBLE"
    assert report["valid"]
    assert [c["key"] for c in report["configurations"]] == ["workers=1", "workers=2"]
    one, two = report["configurations"]
    assert one["baseline"] == two["baseline"] == "workers=1"
    runs = [json.loads(path.read_text()) for path in bench.out.glob("*/run.json")]
    took = {(run["workers"], run["trial"]): bench.figures(run).makespan_s for run in runs}
    assert two["metrics"]["speedup"]["n"] == 2
    assert two["metrics"]["speedup"]["values"] == pytest.approx([took[1, trial] / took[2, trial] for trial in (1, 2)])
    assert two["metrics"]["speedup"]["value"] > 1.5  # sleeping workers: no shared core slows them
    assert [gate(one, n) for n in ("speedup", "memory_growth", "correctness")] == ["NOT_JUDGED", "NOT_JUDGED", "PASS"]
    assert one["requests"] == {"total": 8, "completed": 8, "identical": 8, "unsure": 0, "unlike": None}
    assert one["metrics"]["correctness"]["value"] == 1.0
    assert one["metrics"]["wer"]["value"] is None  # what engine=null says are no words of a language
    assert 0 < one["metrics"]["steady_memory_mb"]["value"] < two["metrics"]["steady_memory_mb"]["value"] < 1000
    assert one["metrics"]["latency_p95_s"]["value"] is None
    assert one["metrics"]["server_efficiency"]["value"] > 0.5
    assert [(c["processes"], c["threads"]) for c in report["reference"]] == [(1, 1), (2, 1)]
    assert str(bench.out.parent) not in json.dumps(report)

    # Rebuilt from the run directories alone: the same bytes.
    before = {
        name: (bench.out / name).read_bytes() for name in ("report.json", "report.txt", "report.md", "report.html")
    }
    for name in before:
        (bench.out / name).unlink()
    assert tool("capsexp.report", str(bench.out)).returncode == 0
    assert {name: (bench.out / name).read_bytes() for name in before} == before

    # Archived: the same content gives the same bytes, and every change has a name.
    from capsexp import archive

    zipped = bench.out.with_name("out.zip")
    first = zipped.read_bytes()
    assert archive.build(bench.out) == zipped
    assert zipped.read_bytes() == first
    assert archive.verify(bench.out) == archive.verify(zipped) == []
    for demanded in ([], ["thresholds.speedup=1.1"]):
        shown = tool("capsexp.report", str(zipped), *demanded)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert ("Thresholds were changed" in shown.stdout) == bool(demanded)
    assert zipped.read_bytes() == first
    (bench.out / "report.txt").write_text("FEASIBLE!")
    (bench.out / "environment.json").unlink()
    (bench.out / "more").write_text("")
    done = tool("capsexp.archive", "verify", str(bench.out))
    assert done.stdout.split("\n")[:3] == ["changed: report.txt", "extra: more", "missing: environment.json"]
    assert done.returncode == 1

    # Run again from the zip, with a change of ours.
    again = bench.out.with_name("again")
    line = ("capsexp.replay", str(zipped), "workers=1", f"hydra.sweep.dir={again}")
    done = tool(*line)
    assert (done.returncode, again.exists()) == (1, False)  # an archive does not choose what is read here
    assert "samples.dir" in done.stderr and "--trust" in done.stderr
    done = tool(*line, f"samples.dir={bench.audio}")
    assert done.returncode == 0, done.stderr
    assert "Then and now" in done.stdout
    config = json.loads(next(again.glob("0-*/run.json")).read_text())["config"]
    assert (config["workers"], config["engine"]["rtf"], config["load"]["seg_duration"]) == (1, 0.1, 2.0)


def test_the_files_of_a_run(bench: Bench) -> None:
    assert bench.run("workers=2", "load.repeats=2") == 0, bench.stderr
    run_dir = bench.out / "0-workers=2"
    run = json.loads((run_dir / "run.json").read_text())
    assert run["status"] == "ok"
    assert run["window_s"]["ready"] <= run["window_s"]["start"] < run["window_s"]["end"]
    requests = (run_dir / "requests.csv").read_text().splitlines()
    assert requests[0].startswith(
        "request,task_id,sample,duration_s,start_s,sent_s,first_result_s,final_s,results,finals"
    )
    assert len(requests) == 1 + 2 * 4
    roles = {line.split(",")[1] for line in (run_dir / "monitor.csv").read_text().splitlines()[1:]}
    assert {"gateway", "worker", "client", "monitor", "system"} <= roles
    segments = (run_dir / "segments.csv").read_text().splitlines()
    assert len(segments) == 1 + 2 * sum(1 + max(0, int((s - 1) // 2)) for s in (3, 6, 9, 23))
    assert {p.name for p in (run_dir / "transcripts").iterdir()} == {
        f"n{n}.wav.{x}" for n in range(4) for x in ("txt", "json")
    }
    # What ran, in one file, runs again.
    again = bench.out.with_name("again")
    done = tool(
        "capsexp", "--config-dir", str(run_dir), "--config-name", "replay", f"hydra.sweep.dir={again}", "load.repeats=1"
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((again / "0-workers=2" / "run.json").read_text())["config"]
    assert {**run["config"], "load": {**run["config"]["load"], "repeats": 1}} == config


def test_one_configuration_that_cannot_start_leaves_the_others(bench: Bench) -> None:
    assert bench.run("server=command,local", "server.cmd='false {port}'", "-m") == 1
    report = bench.report()
    assert [c["status"] for c in report["configurations"]] == ["failed", "ok"]
    assert "before it was ready" in report["configurations"][0]["errors"][0]
    assert not report["valid"]
    assert any("server=command: failed" in w for w in report["warnings"])
    assert "FAILED" in bench.stdout


def test_what_decides_nothing_has_an_exit_code_of_its_own(bench: Bench) -> None:
    assert bench.run("workers=1,2", "-m", "report.fail_on_gate=true") == 4  # one trial
    assert bench.report()["verdict"] == "INCONCLUSIVE"


def test_naive_dispatch_fails_the_correctness_gate(bench: Bench) -> None:
    assert (
        bench.run("server.dispatch=segment,naive", "workers=2", "engine.rtf=0.05", "-m", "report.fail_on_gate=true")
        == 4  # it fails, and of more workers nothing is decided
    )
    right, wrong = (bench.configuration(f"server.dispatch={d}") for d in ("segment", "naive"))
    assert gate(right, "correctness") == "PASS"
    assert gate(wrong, "correctness") == "FAIL"
    assert wrong["requests"]["completed"] == 4
    assert any(re.search("(differs from|words of) the reference", w) for w in bench.report()["warnings"])


def test_a_server_of_somebody_elses_loses_text_with_two_processes(bench: Bench) -> None:
    line = f"{sys.executable} {LEGACY} {{workers}} {{port}} 0.05"
    asked = ("workers=1,2", "server=command", f'server.cmd="{line}"', "reference=engine", "load.timeout=30", "-m")
    assert bench.run(*asked) == 0, bench.stderr
    one, two = bench.configuration("workers=1"), bench.configuration("workers=2")
    assert gate(one, "correctness") == "PASS"
    assert gate(two, "correctness") == "FAIL"
    assert two["requests"]["completed"] == two["requests"]["total"]
    assert two["metrics"]["steady_memory_mb"]["value"] > one["metrics"]["steady_memory_mb"]["value"] > 10
    assert two["metrics"]["cpu_workers_s"]["value"] is not None
    assert two["metrics"]["queue_wait_p50_s"]["value"] is None  # only our own server can say


def test_a_server_that_runs_already(bench: Bench) -> None:
    command = [sys.executable, "-m", "capsexp.server", "engine=null", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(line for line in server.stdout if line.startswith("listening")).split()[2]
        code = bench.run("server=external", f"server.url={url}")
        assert server.poll() is None  # it is not ours to stop
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE)
    assert code == 0, bench.stderr
    only = bench.report()["configurations"][0]
    assert only["metrics"]["correctness"]["value"] == 1.0
    assert only["workers"] is None  # nobody told us
    assert [one["kind"] for one in bench.report()["reference"]] == ["server"]  # nor which engine it has
    assert only["metrics"]["peak_memory_mb"]["value"] > 10


def test_bad_files_among_good_ones_are_reported_and_left_out(bench: Bench) -> None:
    (bench.audio / "empty.wav").write_bytes(b"")
    (bench.audio / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    assert bench.run() == 0, bench.stderr
    report = bench.report()
    assert [s["name"] for s in report["samples"]] == ["n0.wav", "n1.wav", "n2.wav", "n3.wav"]
    assert sum("skipped sample" in w for w in report["warnings"]) == 2


def test_no_reference_says_what_cannot_be_judged(bench: Bench) -> None:
    assert bench.run("reference=off", "workers=1,2", "-m") == 0, bench.stderr
    report = bench.report()
    assert gate(report["configurations"][1], "correctness") == "NOT_JUDGED"
    assert report["configurations"][1]["verdict"] != "FEASIBLE"
    assert any("there is no reference (reference=off)" in w for w in report["warnings"])


def test_trials_are_interleaved_and_become_one_row(bench: Bench) -> None:
    assert bench.run("workers=1,2", "trials=2") == 0, bench.stderr
    assert [p.name for p in sorted(bench.out.glob("[0-9]-*"))] == [
        "0-workers=1,trial=1", "1-workers=2,trial=1", "2-workers=1,trial=2", "3-workers=2,trial=2",
    ]  # fmt: skip
    assert [(c["key"], c["trials"]) for c in bench.report()["configurations"]] == [("workers=1", 2), ("workers=2", 2)]
    assert bench.configuration("workers=1")["requests"]["total"] == 8


def test_trials_auto_goes_on_in_the_same_folder(bench: Bench) -> None:
    given = ("trials=auto", "trials_max=4", "report.ci_width=0.001", "reference=off", "load.repeats=1")
    assert bench.run("workers=1,2", "-m", *given) == 0, bench.stderr
    names = {p.name for p in bench.out.glob("*-workers=*")}
    assert {"0-workers=1,trial=1", "5-workers=2,trial=3", "6-workers=1,trial=4", "7-workers=2,trial=4"} <= names
    assert len(names) == 8
    assert bench.configuration("workers=2")["trials"] == 4
    assert "trials_max=4" in bench.report()["trials"]["stopped"]


def test_a_disturbed_run_is_repeated_and_decides_nothing(bench: Bench) -> None:
    # No client is that fast: every run counts as disturbed.
    given = ("validity=default", "validity.min_s=null", "validity.client_cpu=0.000001", "trials_max=2", "reference=off")
    assert bench.run("workers=1,2", "-m", *given) == 0, bench.stderr
    report = bench.report()
    assert (report["verdict"], report["valid"]) == ("INVALID", False)
    assert [c["validity"]["invalid"] for c in report["configurations"]] == [2, 2]
    assert report["configurations"][1]["metrics"]["speedup"]["value"] is not None
    assert any("CLIENT_CPU" in w for w in report["warnings"])


def test_a_configuration_without_room_is_refused(bench: Bench) -> None:
    assert bench.run("workers=1,100", "-m", "engine.memory_mb=5000", "server.on_low_memory=refuse") == 1
    report = bench.report()
    assert [c["status"] for c in report["configurations"]] == ["ok", "refused"]
    assert "do not fit" in report["configurations"][1]["errors"][0]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("server=command", "server.cmd='sleep 60 {port}'", "server.ready_timeout=.5", "reference=off"),
            "not ready within server.ready_timeout",
        ),
        (("server=command", "server.cmd=\"python -c 'import nothing_of_the_kind' {port}\""), "nothing_of_the_kind"),
        (("server=command", "server.cmd=sh -c 'exec nothing_of_the_kind' {port}"), "nothing_of_the_kind"),
    ],
)
def test_a_run_that_fails_says_why(bench: Bench, overrides: tuple[str, ...], said: str) -> None:
    assert bench.run(*overrides) == 1
    only = bench.report()["configurations"][0]
    assert only["status"] == "failed"
    assert said in only["errors"][0]
    assert "\n" not in only["errors"][0]
    assert "Traceback" not in bench.stderr


def test_a_server_that_is_not_there_is_told_at_once_and_is_no_verdict(bench: Bench) -> None:
    assert bench.run("server=external", "server.url=ws://127.0.0.1:1") == 1
    assert bench.stderr.strip().count("\n") == 0
    assert "ws://127.0.0.1:1: no answer" in bench.stderr
    assert not bench.out.exists()


def test_a_working_folder_that_hydra_cannot_name(bench: Bench, tmp_path: Path) -> None:
    bench.cwd = tmp_path / "${x}"
    bench.cwd.mkdir()
    assert bench.finish(bench.start("engine=null", "reference=off", bare=True)) == 2
    assert "choose a folder without it" in bench.stderr
    assert bench.stderr.strip().count("\n") == 0
    assert not list(bench.cwd.iterdir())


@pytest.mark.parametrize("folder", ["o'brien", "a (b) 录音\\"])
def test_a_working_folder_of_any_name(bench: Bench, folder: str, tmp_path: Path) -> None:
    work = tmp_path / folder
    work.mkdir()
    bench.audio.rename(work / "clips")
    bench.cwd = work
    given = ("engine=null", "samples=dir", "samples.dir=clips", "load.seg_duration=2", "reference=off", "trials=1")
    assert bench.finish(bench.start(*given, bare=True)) == 0, bench.stderr
    [zipped] = (work / "outputs").glob("*/*.zip")
    assert "archived as" in bench.stderr
    assert tool("capsexp.archive", "verify", str(zipped)).returncode == 0


def test_a_port_that_the_server_cannot_be_told(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = ("server=command", f"server.cmd={sys.executable} {LEGACY} 1 {port} 0.01", f"server.port={port}")
        assert bench.run(*given, "server.ready_timeout=1") == 1
        assert f"server.port: {port} is taken" in bench.stderr
        assert bench.report()["configurations"][0]["status"] == "refused"
    again = f"hydra.sweep.dir={bench.out}-again"
    assert bench.run(*given, "trials=2", again) == 0, bench.stderr


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("workrs=2",), "did you mean 'workers'"),
        (("engine=sphinx", "engine.model_dir=/nowhere"), "engine.model_dir"),
        (("engine=paraformer", "engine.model_dir=/nowhere"), "engine.model_dir=/nowhere: there is no such folder"),
        (("+unknown=1",), "unknown: unknown key"),
        (("workers=0",), "workers: 0"),
        (("workers=1,abc", "-m"), "workers: 'abc'"),
        (("engine=sphynx",), "did you mean 'sphinx'"),
        (("load.repeats=x",), "load.repeats"),
        (("threads=1.5",), "threads"),
        (("server.dispatch=any",), "server.dispatch"),
        (("--frobnicate",), "--frobnicate: unknown flag"),
        (("experiment=quik",), "did you mean 'quick'"),
        (("samples=[",), "samples=["),
        (("server=command",), "server.cmd"),
        (("--config-dir", "/nowhere"), "--config-dir"),
        (("samples.dir=/nowhere",), "samples.dir: /nowhere is not a folder"),
        (("samples.dir=/a/b,/a-b", "-m"), "would both be called"),
        (("server.token=${oc.env:CAPSEXP_NOT_SET}",), "'CAPSEXP_NOT_SET' not found"),
        (("server.port=70000",), "server.port: 70000"),
    ],
)
def test_what_cannot_be_composed_is_one_line_and_starts_nothing(
    bench: Bench, overrides: tuple[str, ...], said: str
) -> None:
    assert bench.run(*overrides) == 2
    assert said in bench.stderr
    assert bench.stderr.strip().count("\n") == 0
    assert not bench.out.exists()


def test_a_token_and_an_address_that_others_reach(bench: Bench) -> None:
    # The monitor listens nowhere, and an archive holds no token: neither may ask for one.
    given = ("server.host=0.0.0.0", "server.token=${oc.env:MY_TOKEN}", "archive.enabled=true")
    bench.prefix = ["env", "MY_TOKEN=hunter2"]
    assert bench.run("workers=1", *given) == 0, bench.stderr
    assert bench.report()["configurations"][0]["metrics"]["correctness"]["value"] == 1.0
    assert bench.out.with_suffix(".zip").is_file()


def test_configurations_that_differ_late_or_in_chinese_have_names_of_their_own() -> None:
    from capsexp.config import slug

    long = "engine.model_dir=/models/" + "x" * 80
    assert slug(f"{long},workers=1") != slug(f"{long},workers=2")
    assert slug("samples.dir=/data/会议") != slug("samples.dir=/data/电话")
    assert max(len(slug(f"{long},workers=1")), len(slug("话" * 200))) <= 80
    assert slug("workers=2,pool=prefork") == "workers=2,pool=prefork"


def test_what_was_ignored_from_the_start_stays_so_and_what_comes_while_it_must_not_waits() -> None:
    import signal

    from capsexp import interrupts

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts.in_order() as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked
            reached: list[bool] = []

            def work() -> None:
                with interrupts.deferred():
                    signal.raise_signal(signal.SIGTERM)
                    reached.append(True)

            with pytest.raises(KeyboardInterrupt):
                work()
            assert reached and asked == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_output_folder_that_exists_or_cannot_be(bench: Bench) -> None:
    bench.out.mkdir()
    assert bench.run() == 2
    assert "exists" in bench.stderr
    (bench.out / "file").write_text("")
    assert bench.run(f"hydra.sweep.dir={bench.out}/file/below") == 2
    assert "cannot create" in bench.stderr


@pytest.mark.parametrize("when", ["reference", "launch", "load", "second run"])
def test_ctrl_c_in_each_phase_reports_and_leaves_nothing(bench: Bench, when: str) -> None:
    process = bench.start("workers=1,2", "-m", "engine.rtf=0.1", "engine.load_s=1")
    signs = {
        "reference": "reference/*/reference.log", "launch": "0-*/server.log", "load": "0-*/segments.csv",
        "second run": "1-*/segments.csv",
    }  # fmt: skip
    bench.until(process, signs[when])
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert bench.finish(process) == 130
    report = bench.report()
    assert report["interrupted"]
    done = {"reference": 0, "launch": 0, "load": 0, "second run": 1}[when]
    assert [c["status"] for c in report["configurations"]] == [*["ok"] * done, "interrupted", *["missing"] * (1 - done)]


@pytest.mark.slow
def test_whoever_calls_main_gets_their_signals_back(audio_dir: Path, tmp_path: Path) -> None:
    from capsexp.cli import main

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(signum) for signum in signals]
    line = (*BASE, f"samples.dir={audio_dir}", f"hydra.sweep.dir={tmp_path / 'sweep'}", "reference=off")
    assert main([*line, "archive.enabled=false"]) == 0
    assert [signal.getsignal(signum) for signum in signals] == before


def test_flags_and_overrides_in_any_order() -> None:
    from capsexp.argv import split_argv

    line = ["workers=1,2", "-m", "trials=2", "--config-dir", "x", "name=y", "--cfg", "job"]
    assert split_argv(line) == (["workers=1,2", "trials=2", "name=y"], ["-m", "--cfg=job"], {"--config-dir": "x"})


def test_a_config_folder_of_ones_own_shadows_the_shipped_one(bench: Bench, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "thresholds").mkdir(parents=True)
    (own / "thresholds" / "strict.yaml").write_text("defaults: [default]\nspeedup: 99.0\n")
    (own / "mine.yaml").write_text("defaults: [config, override thresholds: strict]\nname: mine\n")
    given = ("--config-dir", str(own), "--config-name", "mine", "workers=1,2", "trials=2", "-m")
    assert bench.run(*given) == 0, bench.stderr
    report = bench.report()
    assert report["thresholds"]["speedup"] == 99
    assert (report["name"], report["verdict"]) == ("mine", "NOT_FEASIBLE")
    assert report["diagnosis"]["workers=2"]


def test_a_config_folder_with_one_file_only_shadows_that(tmp_path: Path) -> None:
    from capsexp.compose import compose

    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "all.yaml").write_text("repeats: 7\n")
    assert compose([], tmp_path).load.repeats == 7
    assert compose([]).load.repeats == "auto"
    assert compose(["+experiment=quick"], tmp_path).name == "quick"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_closed_streams_change_nothing() -> None:
    command = [sys.executable, "-m", "capsexp", "--version"]
    for closed in ("<&-", ">&-", "<&- >&-"):
        shell = ["sh", "-c", f'"$@" {closed}', "sh", *command]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("capsexp.cli", ""),
        ("capsexp.compose", "capsexp: interrupted\n"),
        ("capsexp.sweep_command", "capsexp: interrupted\n"),
    ],
)
def test_ctrl_c_while_modules_are_imported_is_no_traceback(module: str, said: str) -> None:
    script = (
        "import runpy, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "runpy.run_module('capsexp', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", script, "workers=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (130, said)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can remove the folder that one is in")
@pytest.mark.parametrize("tool", ["capsexp", "capsexp.archive"])
def test_a_working_folder_that_is_gone(tool: str, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    shell = ["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", sys.executable, "-m", tool, "verify"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, f"{tool}: the working folder: No such file or directory; go to another with cd\n"
    )  # fmt: skip
