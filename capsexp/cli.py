"""Compose, run or sweep, always report. Every error a user can act on is one line."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from capsexp import compose, interrupts
from capsexp.analysis import trials
from capsexp.config import EngineConfig, conf_dir, resolve, slug, to_dict
from capsexp.engines.base import model_files
from capsexp.engines.folders import prepare
from capsexp.errors import CapsexpError, ConfigError, EngineError, StorageError
from capsexp.experiment import environment
from capsexp.experiment.resume import outstanding, reopen
from capsexp.experiment.run import Planned, execute
from capsexp.experiment.sweep import Sweep, add, alone, make_folder, plan, record
from capsexp.files import clear_parts, read_json, storing, tell, write_json, write_text
from capsexp.report.build import assemble, rebuild
from capsexp.report.load import read_sweep
from capsexp.tool import TOKEN

_VALUED = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p")
_QUESTIONS = (
    "--help",
    "-h",
    "--hydra-help",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--version",
    "--resolve",
    "--shell-completion",
    "-sc",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all runs finished, 1 a run failed, was refused or is missing, 2 configuration, 3 a gate (with
    report.fail_on_gate), 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(argv)
    except CapsexpError as error:
        _say(f"capsexp: {error}")
        return 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        _say(f"capsexp: {error.filename or ''}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _say("capsexp: interrupted")
        return 130


def entry() -> None:
    """The console script."""
    sys.exit(main())


def arrange(argv: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Overrides, bare flags, and flags with a value: Hydra's own parser fails on an override that follows a flag."""
    overrides, flags, valued = [], [], {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _VALUED:
            valued[name] = value if equals else next(rest, "")
        elif word in ("--cfg", "-c", "--info", "-i"):
            flags.append(f"--{'cfg' if 'c' in word else 'info'}={next(rest, 'job')}")
        elif word.startswith("-"):
            flags.append(word)
        else:
            overrides.append(word)
    return overrides, flags, valued


def _main(argv: list[str]) -> int:
    argv = _secret_aside(argv)
    overrides, flags, valued = arrange(argv)
    chosen = valued.get("--config-dir", valued.get("-cd"))
    config_dir = Path(chosen) if chosen is not None else None
    config_name = valued.get("--config-name", valued.get("-cn", "config"))
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: {config_dir} is not a folder")
    if any(flag.partition("=")[0] in _QUESTIONS for flag in flags):
        return _hydra(config_dir, config_name, [*overrides, *flags], lambda config: None)
    unknown = [flag for flag in flags if flag not in ("-m", "--multirun", "-r", "--run")]
    if unknown:
        raise ConfigError(f"{unknown[0]}: unknown flag; settings are key=value, see --help")

    resumed = [o for o in overrides if o.startswith("resume=") and o not in ("resume=", "resume=null")]
    if resumed:
        rest = [o for o in overrides if o not in resumed]
        place = Path(resumed[-1].partition("=")[2]).absolute()
        if config_dir is None:
            config_dir, config_name = _own_tree(place, config_name)
        sweep, argv, _ = reopen(place, rest, config_dir, config_name)
        argv = [*argv, *rest]
    else:
        sweep = plan(overrides, config_dir, config_name)
    with interrupts.in_order() as asked:
        return _perform_all(sweep, argv, bool(resumed), config_dir, config_name, asked)


def _perform_all(
    sweep: Sweep, argv: list[str], resumed: bool, config_dir: Path | None, config_name: str, asked: list[int]
) -> int:
    """Run what is due of a sweep and report. `asked`: the signals that have come."""
    engines = list({repr(p.config.engine): p.config.engine for p in sweep.planned}.values())
    for engine in engines:
        _check_model(engine)
    due = outstanding(sweep) if resumed else [(planned, "") for planned in sweep.planned]
    folder = sweep.folder if resumed else make_folder(sweep)
    clear_parts(folder)
    if config_dir != folder / "conf":
        _keep_tree(folder, config_dir)
    write_json(folder / "environment.json", environment.describe(engines))
    write_json(folder / "sweep.json", record(sweep, argv, interrupted=False))  # from here on it can be resumed
    if not sweep.launcher.endswith("BasicLauncher"):
        _say("warning: runs that share the machine disturb each other's figures; use hydra/launcher=basic")
    _say(f"{len(due)} run{'' if len(due) == 1 else 's'} into {_shown(folder)}")
    if resumed:
        _say(f"{len(sweep.planned) - len(due)} finished before and kept")
        for planned, reason in due:
            _say(f"{planned.dir.partition('-')[2]} {reason}")
    interrupted, lost, report = False, "", None
    try:
        if resumed:
            code = 0
            for planned, _ in due:
                code |= _perform(sweep, folder, [planned], alone(planned), config_dir, config_name)
        else:
            code = _perform(sweep, folder, sweep.planned, sweep.overrides, config_dir, config_name)
        if not code:
            code = _more(sweep, folder, argv, config_dir, config_name)
    except KeyboardInterrupt:
        interrupted, code = True, 130
    except (_Abandoned, StorageError, OSError) as error:
        lost = str(error)
    except Exception:
        if not asked:  # libraries turn an interrupt into errors of their own
            raise
        interrupted, code = True, 130
    finally:
        with interrupts.ignored():  # reporting what is there must not be cut short by a second Ctrl-C
            try:
                if interrupted:
                    write_json(folder / "sweep.json", record(sweep, argv, interrupted=True))
                report = _finish(sweep, folder)
            except (StorageError, OSError) as error:
                lost = lost or str(error)
    if lost:
        raise StorageError(f"{lost}; the sweep has ended: make room, then go on with resume={_shown(folder)}")
    if interrupted:
        return 130
    assert report is not None
    if code or any(c["status"] != "ok" for c in report["configurations"]):
        return 1
    if sweep.report["fail_on_gate"] and report["verdict"] not in ("FEASIBLE", "FEASIBLE_WITH_CAVEATS"):
        return 3
    return 0


def _secret_aside(argv: list[str]) -> list[str]:
    """A token that stands on the command line goes where no file of the sweep will hold it."""
    kept = []
    for word in argv:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "server.token" and value and "${" not in value and value != "null":
            os.environ[TOKEN] = value.strip("'\"")
            word = f"server.token=${{oc.env:{TOKEN}}}"
        kept.append(word)
    return kept


def _own_tree(folder: Path, config_name: str) -> tuple[Path | None, str]:
    """The tree that a sweep to be resumed keeps, and its name in it, where its user had given one of their own."""
    try:
        _, _, valued = arrange(read_json(folder / "sweep.json")["argv"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, config_name  # reopening says what is wrong
    if not valued.keys() & {"--config-dir", "-cd"}:
        return None, config_name
    return folder / "conf", valued.get("--config-name", valued.get("-cn", "config"))


def _check_model(engine: EngineConfig) -> None:
    """Its files are there before anything starts; raises ConfigError."""
    try:
        prepare(engine, _say)
        model_files(engine)
    except EngineError as error:
        raise ConfigError(str(error)) from None


def _perform(
    sweep: Sweep,
    folder: Path,
    planned: Sequence[Planned],
    overrides: Sequence[str],
    config_dir: Path | None,
    config_name: str,
) -> int:
    planned = list(planned)
    arguments = [*overrides, f"hydra.sweep.dir='{folder}'", "-m"]
    return _hydra(config_dir, config_name, arguments, lambda config: _job(sweep, planned, config), planned)


def _more(sweep: Sweep, folder: Path, argv: list[str], config_dir: Path | None, config_name: str) -> int:
    """Repeat runs that are INVALID, and with trials=auto go on until the figures are known well enough."""
    fruitless = 0
    while True:
        report = assemble(read_sweep(folder))
        again = trials.repeats(report["configurations"], sweep.trials_max) if fruitless < trials.FRUITLESS else []
        wanted = again[:1]
        if not again and sweep.trials == "auto":
            wanted = trials.further(report["configurations"], sweep.report["ci_width"], sweep.trials_max)
        if not wanted:
            return 0
        if again:
            _say(f"{again[0][0]}, trial {again[0][1]} was disturbed and is repeated")
        added = add(sweep, wanted, config_dir, config_name)
        write_json(folder / "sweep.json", record(sweep, argv, interrupted=False))
        for planned, overrides in added:
            code = _perform(sweep, folder, [planned], overrides, config_dir, config_name)
            if code:
                return code
        if again:
            now = trials.repeats(assemble(read_sweep(folder))["configurations"], sys.maxsize)
            fruitless = fruitless + 1 if again[0] in now else 0


class _Abandoned(BaseException):
    """Nothing more can be kept: ends the sweep. After an Exception Hydra would go on with the next run."""


def _job(sweep: Sweep, plan: Sequence[Planned], raw: DictConfig) -> str:
    """One run. Catches, records and returns: an exception would make Hydra show the first failure and no other."""
    try:
        return _make(sweep, plan, raw)
    except (StorageError, OSError) as error:
        raise _Abandoned(str(error)) from None


def _make(sweep: Sweep, plan: Sequence[Planned], raw: DictConfig) -> str:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    planned = plan[hydra.job.num]
    run_dir = Path(hydra.runtime.output_dir)
    config = resolve(raw)
    if planned.num:
        time.sleep(config.cooldown)
    write_text(run_dir / "replay.yaml", _replay(config))
    _say(f"[{planned.num + 1}/{len(sweep.planned)}] {planned.dir.partition('-')[2]}")
    folder = run_dir.parent
    status = execute(planned, config, run_dir, sweep.worker_counts, _say, lambda: _checkpoint(folder))
    _say(f"      {_told(run_dir, status)}")
    return status


def _checkpoint(folder: Path) -> None:
    rebuild(folder)
    _say(f"      a checkpoint is in {_shown(folder)}/report.txt")


def _told(run_dir: Path, status: str) -> str:
    run = read_json(run_dir / "run.json")
    if status != "ok":
        return f"{status}: {run['error']}"
    metrics = run["metrics"]
    if metrics["makespan_s"] is None:
        return f"{metrics['completed']} of {metrics['requests']} requests completed"
    peak = metrics["memory"]["peak_mb"]
    memory = f", {peak:.0f} MB" if peak is not None else ""
    return f"{metrics['makespan_s']:.2f} s, {metrics['throughput_xrt']:.1f} x real time{memory}"


def _replay(config: Any) -> str:
    """The whole configuration in one file: `--config-dir RUN --config-name replay` makes this one run again."""
    hydra = OmegaConf.load(conf_dir() / "config.yaml").hydra
    return OmegaConf.to_yaml(OmegaConf.create({**to_dict(config), "trials": 1, "hydra": hydra}))


def _keep_tree(folder: Path, config_dir: Path | None) -> None:
    """The YAML this sweep was composed from, the user's over the shipped one, so that an archive can be run again."""
    for root in [conf_dir(), *([config_dir] if config_dir is not None else [])]:
        for path in sorted(root.rglob("*.yaml")):
            if root == config_dir and len(path.relative_to(root).parts) > 2:
                continue  # a tree is two levels deep; --config-dir may be anywhere
            kept = folder / "conf" / path.relative_to(root)
            with storing("conf"):
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(path.read_bytes())


def _finish(sweep: Sweep, folder: Path) -> dict[str, Any]:
    runs = [read_json(path) for path in sorted(folder.glob("*/run.json"))]
    write_json(folder / "environment.json", environment.with_engines(read_json(folder / "environment.json"), runs))
    report = rebuild(folder)
    tell((folder / "report.txt").read_text("utf-8").removesuffix("\n"))
    if sweep.archive["enabled"]:
        from capsexp import archive

        zipped = archive.build(folder, sweep.archive["samples"])
        _say(f"report in {_shown(folder)}, archived as {zipped.name}")
    return report


def _hydra(
    config_dir: Path | None, config_name: str, argv: list[str], job: Any, planned: Sequence[Planned] = ()
) -> int:
    import hydra
    from hydra.errors import HydraException

    def run_dir(num: int) -> str:
        return planned[num].dir if 0 <= num < len(planned) else slug(str(num))

    OmegaConf.register_new_resolver("capsexp.run_dir", run_dir, replace=True)
    path, config_name, extra = compose.tree(config_dir, config_name)
    overrides = [word for word in argv if not word.startswith("-")]
    flags = [word for word in argv if word.startswith("-")]
    before = sys.argv
    sys.argv = ["capsexp", *extra, *(compose.spell(o) for o in overrides), *flags]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise instead of printing and leaving with its own code
    warnings.filterwarnings("ignore", category=UserWarning, module="hydra")
    logging.captureWarnings(False)
    try:
        hydra.main(version_base="1.3", config_path=path, config_name=config_name)(job)()
    except (HydraException, ValueError) as error:
        raise ConfigError(compose.one_line(error)) from None
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    return 0


def _say(line: str) -> None:
    tell(line, sys.stderr)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
