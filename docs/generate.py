"""Writes all that is made from the code: `python docs/generate.py`. A test fails where a file is not current."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
from tabulate import tabulate

from capsexp.analysis.metrics import METRICS
from capsexp.analysis.metrics.metric import Metric
from capsexp.config import Config
from capsexp.config.described import Row, groups, rows
from capsexp.engines import ENGINES
from capsexp.load import LOADS
from capsexp.results.report import Report
from capsexp.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
FULL = {"report": "default", "slo": "none"}  # the option of each group that lists all its keys
PLUGGED = {"engine": ENGINES, "target": TARGETS, "load": LOADS}  # groups of which each option has keys of its own
WIDE = 30  # characters of a key and its value, up to which comments stand one below the other


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    rows = [
        [
            f"`{m.tag}`", m.unit or "-", m.better, "" if m.gate is None else "at most" if m.at_most else "at least",
            m.definition, m.combined.rule.over, m.combined.rule.interval, _versus(m),
        ]
        for m in METRICS
    ]  # fmt: skip
    headers = ("tag", "unit", "better", "limit", "definition", "over trials", "interval", "two sweeps")
    table = tabulate(rows, headers, "pipe", disable_numparse=True)
    return (
        "# Metrics\n\n"
        "Made from the code by `python docs/generate.py`. A metric with a limit is a gate as soon as "
        "`thresholds.<tag>` is set. In report.json each has `value`, `ci95` (a 95 % interval, or null), `n` and `of` "
        "(what there are `n` of: trials, pairs of trials, requests or samples). MB are 2**20 bytes; memory is PSS "
        "summed over the server's processes (USS where the system tells no PSS), shares go from 0 to 1.\n\n"
        f"{table}\n\n"
        "over trials: how the trials that count become one value. two sweeps: which programs compare by it; timed "
        "loads last as long as they say, however fast the server is.\n"
    )


def _versus(metric: Metric) -> str:
    """By which programs two sweeps are compared by it."""
    how = metric.compared
    if how is None:
        return ""
    programs = "check" if how.by_sample else "compare, check" if how.checked else "compare"
    loads = "" if how.timed and how.untimed else ", of timed loads" if how.timed else ", of other loads"
    return programs + loads


def schema() -> str:
    """capsexp/results/report.schema.json."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Report)}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def option(settings: type) -> str:
    """A file of conf/ with every key of a group."""
    return _file(settings, [], rows(settings))


def load_option(settings: type) -> str:
    """A file of conf/load/ with the keys in which a load differs from load=all."""
    usual = {row.key: row.written for row in rows(LOADS.settings("all"))}
    own = [row for row in rows(settings) if usual.get(row.key) != row.written]
    return _file(settings, ["defaults: [all, _self_]"], own)


def _file(settings: type, before: list[str], found: list[Row]) -> str:
    about = [f"# {line}" for line in _about(settings).splitlines()]
    return "\n".join([_made_from(settings), *about, *before, *_lines(found)]) + "\n"


def _made_from(settings: type) -> str:
    return f"# Made from {_source(settings)} by `python docs/generate.py`: change it there."


def _source(settings: type) -> str:
    return Path(inspect.getfile(settings)).relative_to(ROOT).as_posix()


def _about(settings: type) -> str:
    return inspect.cleandoc(settings.__doc__ or "")


def _lines(found: list[Row]) -> Iterator[str]:
    pairs = [(f"{row.key}: {row.written}", row.says if row.key != "name" else "") for row in found]
    column = max((len(pair) for pair, says in pairs if says and len(pair) <= WIDE), default=0)
    for pair, says in pairs:
        yield f"{pair:<{column}}   # {says}" if says else pair


def settings_page() -> str:
    """docs/reference/settings.md."""
    parts = [
        "# Settings",
        "Made from the code by `python docs/generate.py`. Each is given as `key=value`, several values of one, with "
        "`-m`, as `key=a,b`; `group=option` chooses a file of `conf/`. Sizes are MB (2**20 bytes), times seconds, "
        "unless a name says otherwise. A default in `${...}` is that of another setting. `null` is no value.",
        "## The whole experiment",
        _table("", rows(Config)),
    ]
    for group, settings in groups(Config):
        parts.append(f"## `{group}`")
        if group not in PLUGGED:
            parts += [_about(settings), _table(f"{group}.", rows(settings))]
            continue
        for name in PLUGGED[group].ours():
            chosen = PLUGGED[group].settings(name)
            parts += [f"### `{group}={name}`", _about(chosen), _table(f"{group}.", rows(chosen))]
    return "\n\n".join(parts) + "\n"


def _table(prefix: str, found: list[Row]) -> str:
    cells = [[f"`{prefix}{row.key}`", f"`{row.written}`", row.takes, row.says] for row in found]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in cells]
    return tabulate(cells, ("key", "default", "may be", "what it is"), "pipe", disable_numparse=True)


def _pages() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "docs/reference/metrics.md", metrics_page
    yield "docs/reference/settings.md", settings_page
    yield "capsexp/results/report.schema.json", schema
    for group, settings in groups(Config):
        if group in FULL:
            yield f"conf/{group}/{FULL[group]}.yaml", partial(option, settings)


PAGES = dict(_pages())

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), "utf-8")
