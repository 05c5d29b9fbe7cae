"""Writes all that is made from the code: `python docs/generate.py`. A test fails where a file is not current."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
from tabulate import tabulate

from capsexp.analysis.metrics import GATED, METRICS
from capsexp.analysis.metrics.metric import Gate, Metric
from capsexp.config import Config
from capsexp.config.described import Row, flow, groups, rows
from capsexp.engines import ENGINES
from capsexp.load import LOADS
from capsexp.results.report import Report
from capsexp.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent
FULL = {  # the option of each group that lists all its keys
    "archive": "default",
    "executor": "local",
    "fault": "none",
    "monitor": "default",
    "pool": "process",
    "punctuation": "ct_transformer",
    "reference": "auto",
    "report": "default",
    "samples": "speech",
    "search": "grid",
    "server": "local",
    "slo": "none",
    "thresholds": "default",
    "validity": "default",
}
PLUGGED = {"engine": ENGINES, "target": TARGETS, "load": LOADS}  # groups of which each option has keys of its own
LIMITS = '''"""Made from capsexp/analysis/metrics/ by `python docs/generate.py`: change it there."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class Limits:
    """A limit on each metric that has a gate."""

{}
'''
MADE_FIRST = "capsexp/config/limits.py"  # the schema has it, of which others are made
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


def limits_module() -> str:
    """capsexp/config/limits.py. A file and no import: what runs read their settings with must not know of analysis."""
    fields = [
        f"    {tag}: float | None = setting({(m.gate or Gate()).limit}, {_limit(m)!r})" for tag, m in GATED.items()
    ]
    return LIMITS.format("\n".join(fields).replace("'", '"'))


def _limit(metric: Metric) -> str:
    words = ["at most" if metric.at_most else "at least", metric.unit or ("as a share" if metric.percent else "")]
    return ", ".join(filter(None, [*words, metric.gate and metric.gate.relative and "against the baseline"]))


def schema() -> str:
    """capsexp/results/report.schema.json."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Report)}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def option(settings: type, about: str = "", **given: str) -> str:
    """A file of conf/ with every key of a group, at its default or as `given`."""
    return _file(settings, about, [replace(row, written=given.get(row.key, row.written)) for row in rows(settings)])


def every_null(settings: type, about: str) -> str:
    """A file of conf/ in which every key of a group is null."""
    return _file(settings, about, [replace(row, written="null", says="") for row in rows(settings)])


def load_option(settings: type) -> str:
    """A file of conf/load/: the keys in which a load differs from load=all."""
    usual = {row.key: row.written for row in rows(LOADS.settings("all"))}
    own = [row for row in rows(settings) if usual.get(row.key) != row.written]
    return _file(settings, "", own, "defaults: [all, _self_]")


def config_file() -> str:
    """conf/config.yaml: what stands between its defaults list and what Hydra is told."""
    before, made, after = (ROOT / "conf/config.yaml").read_text("utf-8").partition(_made_from(Config))
    hydra = after[after.index("\nhydra:\n") :]
    return "\n".join([before + made, *_lines(rows(Config)), hydra])


def _file(settings: type, about: str, found: list[Row], *before: str) -> str:
    comments = [f"# {line}" for line in (about or _about(settings)).splitlines()]
    lines = _lines([replace(row, says="", choices=()) if row.key == "name" else row for row in found])
    return "\n".join([_made_from(settings), *comments, *before, *lines]) + "\n"


def _made_from(settings: type) -> str:
    source = Path(inspect.getfile(settings)).relative_to(ROOT).as_posix()
    return f"# Made from {source} by `python docs/generate.py`: change it there."


def _about(settings: type) -> str:
    return inspect.cleandoc(settings.__doc__ or "")


def _lines(found: list[Row]) -> Iterator[str]:
    pairs = [(f"{row.key}:{'' if _nested(row) else f' {row.written}'}", row) for row in found]
    column = max((len(pair) for pair, row in pairs if _comment(row) and len(pair) <= WIDE), default=0)
    for pair, row in pairs:
        yield f"{pair:<{column}}   # {_comment(row)}" if _comment(row) else pair
        yield from (f"  {key}: {flow(inner)}" for key, inner in (row.default.items() if _nested(row) else ()))


def _nested(row: Row) -> bool:
    """Whether it holds mappings by name, each of which has a line of its own."""
    return isinstance(row.default, dict) and any(isinstance(inner, dict) for inner in row.default.values())


def _comment(row: Row) -> str:
    return f"{row.says} ({' | '.join(row.choices)})" if row.choices else row.says


def settings_page() -> str:
    """docs/reference/settings.md."""
    parts = [
        "# Settings",
        "Made from the code by `python docs/generate.py`. Each is given as `key=value`; several values, `key=a,b`, "
        "make a sweep; `group=option` chooses a file of `conf/`. Sizes are MB (2**20 bytes), times seconds, unless a "
        "name says otherwise. A default in `${...}` is that of another setting. `null` is no value.",
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
    yield MADE_FIRST, limits_module
    yield "docs/reference/metrics.md", metrics_page
    yield "docs/reference/settings.md", settings_page
    yield "capsexp/results/report.schema.json", schema
    yield "conf/config.yaml", config_file
    for group, settings in groups(Config):
        if group in FULL:
            given = {"name": FULL[group]} if group == "punctuation" else {}
            yield f"conf/{group}/{FULL[group]}.yaml", partial(option, settings, **given)
        for name in PLUGGED[group].ours() if group in PLUGGED else ():
            own = PLUGGED[group].settings(name)
            whole = group != "load" or name == "all"
            yield f"conf/{group}/{name}.yaml", partial(option if whole else load_option, own)
    off = "Every run counts, whatever else the machine did."
    yield "conf/validity/off.yaml", partial(every_null, dict(groups(Config))["validity"], off)


PAGES = dict(_pages())

if __name__ == "__main__":
    before = (ROOT / MADE_FIRST).read_text("utf-8")
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), "utf-8")
    if (ROOT / MADE_FIRST).read_text("utf-8") != before:
        os.execv(sys.executable, [sys.executable, *sys.argv])
