"""Whether what an archive brings to be composed can be: a few lines of YAML can stand for more than a memory holds, a
word of a command line for more runs than a life is long. It is counted here before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from capsexp.errors import ArchiveError
from capsexp.experiment.combinations import MANY
from capsexp.overrides import how_many, key_of

LONGEST = 1 << 18  # bytes of a YAML file: one of ours has a few thousand
MOST = 100_000  # values in it, once its aliases are followed
LINE = 1 << 16  # characters of a command line: its grammar takes a second for every few thousand


def tree(path: Path) -> None:
    """Raises ValueError for a YAML file that is too large, or too large once its aliases are followed; YAMLError,
    RecursionError, OSError."""
    if path.stat().st_size > LONGEST:
        raise ValueError(f"it is larger than {LONGEST >> 10} KB")
    known: dict[int, float] = {}

    def count(node: yaml.Node) -> float:
        if id(node) not in known:
            known[id(node)] = math.inf  # what holds itself has no end
            inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            known[id(node)] = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(count(part) for part in inner))
        return known[id(node)]

    root = yaml.compose(path.read_text("utf-8"), yaml.SafeLoader)
    if root is not None and count(root) > MOST:
        raise ValueError(f"its aliases stand for more than {MOST} values")


def line(words: Sequence[str]) -> None:
    """Raises ArchiveError for a command line that takes too long to be read."""
    if sum(map(len, words)) > LINE:
        raise ArchiveError(f"its command line is longer than {LINE} characters")
    if any(word.count(mark) > 50 for word in words for mark in "[{("):
        raise ArchiveError("its command line is nested too deeply")


def runs(overrides: Sequence[str], preset: Mapping[str, str], trials: object) -> None:
    """Raises ArchiveError for a sweep of more runs than anybody waits for. `preset`: what the tree itself sweeps over;
    `trials`: how often each."""
    given = {key_of(override) for override in overrides}
    words = [*overrides, *(f"{key}={value}" for key, value in preset.items() if key not in given)]
    line(words)
    count = math.prod(map(how_many, words)) * (trials if isinstance(trials, int) else 1)
    if count > MANY:
        raise ArchiveError(f"its command has more than {MANY} runs, the most that are allowed")
