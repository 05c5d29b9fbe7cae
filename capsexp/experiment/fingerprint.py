"""Whether a run made before would come out the same now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import capsexp
from capsexp import samples
from capsexp.config import SWEEP_KEYS, Config, SamplesConfig, without_labels
from capsexp.errors import CapsexpError
from capsexp.experiment import environment

# What only watches, judges or files a run does not make another one of it.
ASIDE = SWEEP_KEYS | {"thresholds", "validity", "report", "archive"}


def fingerprint(config: Config) -> dict[str, str]:
    """What a run's figures depend on, besides the machine: hashes of configuration, samples, models, packages and
    code."""
    kept = {key: value for key, value in without_labels(config).items() if key not in ASIDE}
    return {
        "configuration": _hash(json.dumps(kept, sort_keys=True).encode()),
        "samples": of_samples(config.samples),
        "models": _hash(json.dumps(environment.models(config.engine, config.punctuation), sort_keys=True).encode()),
        "packages": _hash(json.dumps(environment.software(), sort_keys=True).encode()),
        "code": _code(),
    }


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
        return _hash(path.read_bytes())
    except OSError as error:  # the run goes on without it
        return f"unreadable: {error.strerror}"


@cache
def _code() -> str:
    root = Path(capsexp.__file__).resolve().parent
    return _hash(b"".join(path.read_bytes() for path in sorted(root.rglob("*.py"))))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
