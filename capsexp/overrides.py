"""Overrides as they are typed, in the words of Hydra's grammar.

A setting that is a text or a path is taken as it was typed: spaces, parentheses, backslashes and letters of any script
stand for themselves, and a comma separates the values of a sweep. What is in Hydra's quotes already, its functions
(`choice(...)`) and interpolations (`${...}`) stay what they are.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from capsexp.config import Config, literal
from capsexp.engines import ENGINES
from capsexp.load import LOADS
from capsexp.targets import TARGETS

# Of Hydra's own settings, those that are folders.
_FOLDERS = frozenset({"hydra.sweep.dir", "hydra.run.dir"})
# Never several values: a command or a folder may have a comma in it.
_SINGLE = _FOLDERS | {"server.cmd", "resume", "monitor.log"}
PRESET = "experiment"
_QUOTED = re.compile(r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*""", re.DOTALL)
_FUNCTION = re.compile(r"(?:choice|tag|shuffle|sort|glob|range|interval|str)\(.*\)", re.DOTALL)


def _types(tree: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each setting of a tree and its type, as it is written."""
    for each in fields(tree):  # type: ignore[arg-type]
        value = getattr(tree, each.name, None)
        if is_dataclass(value):
            yield from _types(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", str(each.type)


@cache
def _all_types() -> tuple[tuple[str, str], ...]:
    """Those of all engines, targets and loads."""
    trees = [
        *(Config(engine=engine) for engine in ENGINES.every()),
        *(Config(target=target) for target in TARGETS.every()),
        *(Config(load=load) for load in LOADS.every()),
    ]
    return tuple(dict.fromkeys(found for tree in trees for found in _types(tree)))


@cache
def texts() -> frozenset[str]:
    """The keys whose values are taken as they are typed."""
    return _FOLDERS.union(key for key, written in _all_types() if "str" in written.split(" | "))


@cache
def _tables() -> tuple[str, ...]:
    """The keys under which names are the user's own, each with its dot: load.classes., server.env."""
    return tuple(f"{key}." for key, written in _all_types() if written.startswith("dict["))


def key_of(override: str) -> str:
    """The setting that an override is of, without Hydra's plus or tilde."""
    return override.lstrip("+~").partition("=")[0]


def quote_override(override: str) -> str:
    """An override for Hydra; one that is in its words already stays as it is."""
    key, equals, value = override.partition("=")
    name = key_of(override)
    if not equals or name not in texts() | {"engine"}:
        return override
    if name == "engine":  # `engine=null` names an engine; the grammar would read the absence of one
        return key + equals + ",".join("'null'" if v.strip() == "null" else v for v in value.split(","))
    if not value or _FUNCTION.fullmatch(value) or all(_QUOTED.fullmatch(v) for v in _split(value, quotes=True)):
        return override
    alone = name in _SINGLE or ("," in value and Path(value).expanduser().exists())
    parts = [value] if alone else _split(value)
    if name in _FOLDERS and value.startswith("~"):
        parts = [str(Path(value).expanduser())]
    return key + equals + ",".join(v if v in ("", "null") else quoted(v) for v in parts)


def fitted(overrides: Sequence[str], has_preset: bool) -> list[str]:
    """As Hydra wants what has no place yet: with a plus, and with two what may have one. The first is `experiment=` for
    a tree whose defaults have no preset, the other any name of the user's own (`load.classes.mic.from_s=5`)."""
    return [_fitted(override, has_preset) for override in overrides]


def _fitted(override: str, has_preset: bool) -> str:
    if override.startswith("~"):
        return override
    if key_of(override) == PRESET:
        return ("" if has_preset else "+") + override.removeprefix("+")
    return f"++{override.lstrip('+')}" if key_of(override).startswith(_tables()) else override


def assign(key: str, value: object) -> str:
    """The override that sets exactly this text, whatever is in it."""
    return f"{key}={quoted(literal(str(value)))}"


def quoted(text: str) -> str:
    """In Hydra's quotes."""
    return QuotedString(text, Quote.single).with_quotes()


def unquoted(text: str) -> str:
    """What a value in Hydra's quotes says; any other as it is."""
    if len(text) < 2 or text[0] not in "'\"" or not _QUOTED.fullmatch(text):
        return text
    mark = text[0]
    return re.sub(rf"(\\+)(?={mark}|\Z)", lambda found: "\\" * (len(found[1]) // 2), text[1:-1])


def pasted(override: str) -> str:
    """The override that takes a value as the text that it is, for a shell."""
    key, _, value = override.partition("=")
    return shlex.quote(f"{key}={quoted(value)}")


def several(overrides: Sequence[str]) -> list[str]:
    """The texts among them that were read as several values, because of a comma."""
    return [o for o in overrides if key_of(o) in texts() and len(_split(o.partition("=")[2], quotes=True)) > 1]


def _split(value: str, quotes: bool = False) -> list[str]:
    """At the commas, but for those in an interpolation, or (`quotes`) in quotes."""
    guarded = r"\$\{[^}]*\}" + (r"""|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""" if quotes else "")
    parts, begin = [], 0
    for found in re.finditer(rf"{guarded}|,", value, re.DOTALL):
        if found[0] == ",":
            parts.append(value[begin : found.start()])
            begin = found.end()
    return [*parts, value[begin:]]


def how_many(word: str) -> float:
    """How many values an override gives its key, without making them; infinite for what has no end, or what our sweeps
    do not take (glob, interval)."""
    try:
        [parsed] = OverridesParser.create().parse_overrides([quote_override(word)])
        value = parsed.value()
        if isinstance(value, ChoiceSweep):
            return len(value.list)
        if isinstance(value, RangeSweep):
            return max(0.0, (float(value.stop or 0) - float(value.start or 0)) / float(value.step))
    except HydraException:
        return 1  # composing will say so
    except (ArithmeticError, ValueError):
        return math.inf
    return math.inf if isinstance(value, IntervalSweep | Glob) else 1  # unknown to our sweeper, or unbounded
