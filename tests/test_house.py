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
# All rooms of the house, from the ground up: a module is in the one whose name is the longest that it begins with. A
# room knows those below it; rooms of one line do not know each other.
FLOORS = (
    (
        "begin",
        "errors",
        "escape",
        "counts",
        "interrupts",
        "keys",
        "mistyped",
        "names",
        "pipes",
        "renamed",
        "runfiles",
        "waiting",
    ),
    ("argv", "begin", "lifeline", "cgroup", "extent", "placement", "protocol", "ray_connection"),
    ("files", "plugins", "segments", "commandline", "address", "machine", "topology", "audio"),
    ("csvfile", "debug", "lock", "plugpoints", "setting"),
    ("engines", "targets", "load", "server.core"),
    ("config", "results", "simulation"),
    ("samples", "overrides", "punctuation", "analysis"),
    ("compose",),
    ("tool",),
    ("server", "client", "monitor", "twin"),
    ("report",),
    ("redact",),
    ("archive",),
    ("live", "doctor", "list"),
    ("experiment", "sweeps", "monitor.__main__", "report.__main__", "report.exporters.mlflow.__main__"),
    ("untrusted",),
    ("trust",),
    ("resume", "run"),
    ("sweep_command", "questions"),
    ("cli",),
    ("replay", "compare", "check", "plan", "selftest", "__main__"),
)
PURE = (
    "analysis", "doctor.findings", "live.eta", "live.standing", "live.state", "load", "placement",
    "plan.document", "plan.fit", "plan.limits", "plan.predict", "plan.search", "protocol",
    "segments", "selftest.judge", "selftest.plant", "selftest.spelled", "server.core", "simulation", "targets",
)  # fmt: skip
IMPURE = frozenset({
    "asyncio", "fcntl", "multiprocessing", "os", "psutil", "select", "shutil", "signal", "socket", "subprocess",
    "tempfile", "threading", "time", "websockets",
})  # fmt: skip


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


def room_of(name: str) -> str:
    """Raises LookupError for a module that is in none."""
    rooms = [room for rooms in FLOORS for room in rooms if f"{name}.".startswith(f"capsexp.{room}.")]
    if not rooms:
        raise LookupError(f"{name} is in no room of FLOORS")
    return max(rooms, key=len)


def test_no_import_leads_up() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    ours = modules().keys() - {"capsexp"}
    assert {room_of(name) for name in ours} == floor.keys()
    up = []
    for name in ours:
        own = room_of(name)
        for one in imported(name) & ours:
            if (room := room_of(one)) != own and floor[room] >= floor[own]:
                up.append(f"{name} imports {one}")
    assert not up


def reached(name: str) -> dict[str, str]:
    """Each module that importing this one brings along, those of packages on the way too, with who asks for it."""
    by, waiting = {name: ""}, [name]
    while waiting:
        here = waiting.pop()
        for one in sorted(imported(here)):
            parts = one.split(".")
            for module in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
                if module in modules() and module not in by:
                    by[module] = here
                    waiting.append(module)
    return by


def test_what_is_pure_brings_no_clock_process_socket_or_file_along() -> None:
    found = set()
    for name in modules():
        if any(f"{name}.".startswith(f"capsexp.{pure}.") for pure in PURE):
            by = reached(name)
            for module in by:
                for one in imported(module):
                    if one.partition(".")[0] in IMPURE:
                        found.add(f"{name}: {by[module]} imports {module}, which imports {one}")
    assert not sorted(found)


def test_a_run_does_not_know_how_it_is_judged() -> None:
    judged = sorted(name for name in reached("capsexp.run") if name.startswith("capsexp.analysis"))
    assert not judged


def test_tests_stand_in_folders_that_mirror_the_packages() -> None:
    packages = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders == packages
