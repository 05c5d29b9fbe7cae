"""How the parts of the house may know of each other: data flows one way, and what is pure stays so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import capsexp

HOUSE = Path(capsexp.__file__).parent
# From the ground up; a room knows those below it. Rooms of one line do not know each other.
FLOORS = (
    ("errors", "bounds", "counts", "escape", "interrupts", "names", "pipes", "renamed", "lock"),
    ("plugins", "plugpoints", "files", "csvfile", "lifeline", "machine", "cgroup"),
    ("protocol", "segments", "extent", "audio"),
    ("engines", "targets", "load"),
    ("config",),
    ("samples", "overrides", "results"),
    ("compose",),
    ("server", "client", "monitor", "analysis"),
    ("report",),
    ("live",),
    ("experiment",),
    ("cli",),
)
PURE = (
    "analysis", "doctor/findings", "live/eta", "live/standing", "live/state", "load", "segments", "protocol", "targets",
    "server/core",
)  # fmt: skip
IMPURE = frozenset({"asyncio", "socket", "subprocess", "threading", "multiprocessing", "psutil", "websockets", "time"})


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(name: str, everywhere: bool = True) -> frozenset[str]:
    """What a module imports, but for types alone; `everywhere`: in its functions, too."""
    known, found = modules(), set()
    for node in _statements(ast.parse(known[name].read_text(encoding="utf-8")), everywhere):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in known else node.module for one in within}
    return frozenset(found - {name})


def _statements(tree: ast.AST, everywhere: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if not everywhere and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        yield from _statements(node, everywhere)


def test_no_module_needs_one_that_needs_it() -> None:
    # A package's own front says what is in it, and is no part of what it holds.
    graph = {name: {one for one in imported(name, everywhere=False) if one in modules()} for name in modules()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


def test_no_import_leads_up() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    up = []
    for name in modules():
        parts = name.split(".")
        if len(parts) < 2 or parts[1] not in floor or parts[-1] == "__main__":  # a command may use what it likes
            continue
        for one in imported(name):
            room = one.split(".")[1] if one.startswith("capsexp.") else None
            if room in floor and room != parts[1] and floor[room] >= floor[parts[1]] and floor[room] > 2:
                up.append(f"{name} imports {one}")
    assert not up


def test_what_is_pure_has_no_clock_process_or_socket() -> None:
    found = []
    for name, path in modules().items():
        place = path.relative_to(HOUSE).with_suffix("").as_posix()
        if any(place == pure or place.startswith(f"{pure}/") for pure in PURE):
            found += [f"{name} imports {one}" for one in imported(name) if one.split(".")[0] in IMPURE]
    assert not found


def test_a_run_does_not_know_how_it_is_judged() -> None:
    seen, waiting = set(), ["capsexp.run"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting += [one for one in imported(name) if one in modules() and one not in seen]
    judged = sorted(name for name in seen if name.startswith("capsexp.analysis"))
    assert not judged
