"""Whether a run made before would come out the same now."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import CodeType

import capsexp
from capsexp import samples
from capsexp.config import Config, SamplesConfig, without_labels
from capsexp.errors import CapsexpError
from capsexp.experiment import environment, schedules
from capsexp.files import HASH, sha256
from capsexp.keys import AFTERWARDS, SCHEDULE, SWEEP_KEYS

# What only watches, judges or files a run does not make another one of it.
IGNORED_KEYS = SWEEP_KEYS | {*AFTERWARDS}
# Likewise of our own code: it composes and checks what is asked for, and judges, shows and files what came of it. All
# else may change a figure, whatever is new included.
IGNORED_CODE = (
    "__init__.py", "__main__.py", "analysis/*", "archive/*", "argv.py", "begin.py", "check.py", "cli.py", "compare.py",
    "compose.py", "config/__init__.py", "config/archive.py", "config/checks.py", "config/described.py",
    "config/executor.py", "config/limits.py", "config/names.py", "config/report.py", "config/search.py",
    "config/slo.py", "config/thresholds.py", "config/validity.py", "counts.py", "debug.py", "doctor/*", "errors.py",
    "escape.py", "experiment/combinations.py", "experiment/environment.py", "experiment/executors/*",
    "experiment/fingerprint.py", "experiment/foresee.py", "experiment/further.py", "experiment/job.py",
    "experiment/outstanding.py", "experiment/own_schedules.py", "experiment/preflight.py", "experiment/probing.py",
    "experiment/schedules.py", "experiment/screen.py", "experiment/snapshot.py", "experiment/submission.py",
    "experiment/sweep.py", "experiment/sweep_folder.py",
    "experiment/sweep_runner.py", "keys.py", "list.py", "live/*", "monitor/live.py", "names.py", "overrides.py",
    "plan/*", "plugins.py", "questions.py", "redact.py", "replay.py", "report/*", "results/read.py",
    "results/report.py", "results/run.py", "results/signature.py", "results/sweep.py", "results/verdicts.py",
    "resume.py", "selftest/*", "setting.py", "simulation/*", "sweep_command.py", "sweeps.py", "trust/*", "twin/*",
)  # fmt: skip


def fingerprint(config: Config) -> dict[str, str]:
    """What a run's figures depend on, besides the machine: hashes of configuration, samples, models, packages and
    code, of which comments, docstrings and what is in IGNORED_CODE do not count."""
    kept = {key: value for key, value in without_labels(config).items() if key not in IGNORED_KEYS}
    own = {}
    if config.load.file:  # it is what it holds, wherever it is
        kept["load"] = {key: value for key, value in kept["load"].items() if key != config.load.reads}
        own = {SCHEDULE: of_schedule(Path(config.load.file))}
    return {
        "configuration": _hash(json.dumps(kept, sort_keys=True).encode()),
        "samples": of_samples(config.samples),
        "models": _hash(json.dumps(environment.models(config.engine, config.punctuation), sort_keys=True).encode()),
        "packages": _hash(json.dumps(environment.software(config), sort_keys=True).encode()),
        "code": code(Path(capsexp.__file__).resolve().parent),
        **own,
    }


def of_schedule(path: Path) -> str:
    try:
        return schedules.digest(path)
    except OSError as error:  # the run itself will say so
        return f"unreadable: {error.strerror or error}"


def of_samples(config: SamplesConfig) -> str:
    """Of what the samples hold, wherever they are."""
    return _samples(json.dumps(asdict(config), sort_keys=True))


@cache
def _samples(settings: str) -> str:
    try:
        found = samples.paths(SamplesConfig(**json.loads(settings)))
    except (CapsexpError, OSError) as error:  # the run itself will say so
        return _hash(json.dumps(["unreadable", str(error)]).encode())
    return _hash(json.dumps([(name, _content(path), text) for name, path, text in found]).encode())


def _content(path: Path) -> str:
    try:
        if not path.is_file():  # reading a FIFO or a device may never end
            return "unreadable: no regular file"
        return sha256(path)[:HASH]
    except OSError as error:  # the run goes on without it
        return f"unreadable: {error.strerror}"


SAME_CODE = "CAPSEXP_SAME_CODE"  # in the environment: what these very sources came to, for the processes that we start


@cache
def code(root: Path) -> str:
    """Of what is done by the modules of a package that can change a run's figures."""
    every = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    sources = [(name, path.read_bytes()) for name, path in every if not any(fnmatch(name, a) for a in IGNORED_CODE)]
    exactly = _hash(repr((sys.version, sources)).encode())
    known, _, found = os.environ.get(SAME_CODE, "").partition(" ")
    if known != exactly:
        found = _hash("".join(f"{name}\n{_done_by(source)}\n" for name, source in sources).encode())
        os.environ[SAME_CODE] = f"{exactly} {found}"
    return found


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _done_by(source: bytes) -> str:
    """A module without its comments, its layout and its docstrings: what it is compiled to."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first, *rest = node.body
            node.body = rest or [ast.copy_location(ast.Pass(), first)]
    return "".join(_told(compile(tree, "", "exec", dont_inherit=True)))


def _told(code: CodeType) -> Iterator[str]:
    """All of it but its places in the file."""
    yield code.co_code.hex()
    yield code.co_exceptiontable.hex() if sys.version_info >= (3, 11) else ""
    yield repr((code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags))
    yield repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    for constant in code.co_consts:
        yield from _told(constant) if isinstance(constant, CodeType) else [_spelled(constant)]


def _spelled(constant: object) -> str:
    """The same in each process, which a set's order is not."""
    if isinstance(constant, frozenset):
        return f"{{{sorted(map(_spelled, constant))}}}"
    return f"({', '.join(map(_spelled, constant))})" if isinstance(constant, tuple) else repr(constant)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:HASH]
