"""Settings as they are told to a reader: what each key is, what it may be and what it is by default."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from capsexp.setting import MOST, Setting, of

_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Row:
    """A setting. `default`: the value itself; `written`: the default as conf/ gives it; `takes`: what it may be;
    `choices`: of a text, those that `says`, the line that says what it is, does not name all."""

    key: str
    default: Any
    written: str
    takes: str
    says: str
    choices: tuple[str, ...]


def rows(settings: type) -> list[Row]:
    """Of each key of a group, in their order; raises TypeError where one has no default."""
    hints, made = typing.get_type_hints(settings), settings()
    found = []
    for each in fields(settings):
        value, what = getattr(made, each.name), of(each.metadata)
        if is_dataclass(value):
            continue
        written = what.written if what.written is not None else flow(value)
        unnamed = () if all(choice in what.says for choice in what.choices) else what.choices
        found.append(Row(each.name, value, written, _takes(hints[each.name], what), what.says, unnamed))
    return found


def line_of(config: type, key: str) -> str:
    """The line of a dotted key of the whole configuration; empty where there is none."""
    group, _, name = key.rpartition(".")
    held = getattr(config(), group) if group else config()
    return next((of(each.metadata).says for each in fields(held) if each.name == name), "")


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, float):
        return repr(value)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _takes(hint: Any, what: Setting) -> str:
    if what.takes:
        return what.takes
    return " or ".join(_one(each, what) for each in _either(hint))


def _either(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def _one(hint: Any, what: Setting) -> str:
    if typing.get_origin(hint) is list:
        (inner,) = typing.get_args(hint)
        return f"list of {_several(inner, what)}"
    if typing.get_origin(hint) is dict:
        return "mapping"
    if hint is str and what.choices:
        return ", ".join(f"`{choice}`" for choice in what.choices)
    word = _WORDS.get(hint, "any value")
    return f"{word}{_bounds(what)}" if hint in (int, float) else word


def _several(hint: Any, what: Setting) -> str:
    if hint is str:
        return _one(hint, what) if what.choices else "texts"
    return f"{_WORDS[hint]}s{_bounds(what)}"


def _bounds(what: Setting) -> str:
    low = f"{'above ' if what.above else ''}{what.low:.10g}"
    if what.high == MOST:
        return f", {low}" if what.above else f", from {low}"
    return f", {low} to {_power(what.high) if what.high > MOST else f'{what.high:.10g}'}"


def _power(high: float) -> str:
    return f"2^{int(high).bit_length() - 1}"


def groups(config: type) -> Iterator[tuple[str, type]]:
    """The groups of the whole configuration and their schemas, in their order."""
    made = config()
    yield from ((each.name, type(part)) for each in fields(config) if is_dataclass(part := getattr(made, each.name)))
