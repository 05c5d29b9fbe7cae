"""The page: what stands in it, and the policy under which a browser shows it."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from capsexp import escape
from capsexp.config.report import LANGUAGES
from capsexp.debug import log
from capsexp.report import beside, capacities, glance, sentences, tables
from capsexp.report.exporters.html import content, plots, runs
from capsexp.report.exporters.html.differences import differences
from capsexp.report.exporters.html.plots import Plot
from capsexp.report.exporters.html.words import say
from capsexp.results.read import SweepFiles
from capsexp.results.report import Report

_HERE = Path(__file__).parent


def made(report: Report, files: SweepFiles | None) -> str:
    """The whole page."""
    whole, single = _drawn(report, files)
    chosen = files.sweep.report.get("lang") if files else "auto"
    context = {
        "report": report, "whole": whole, "single": single, "command": _asked(files), "glance": glance,
        "tables": tables, "beside": beside, "capacities": capacities, "sentences": sentences,
        "differences": differences(report, files),
    }  # fmt: skip
    return rendered("page.html", (*whole, *single), chosen, context)


def rendered(template: str, drawn: Iterable[Plot], language: object, context: Mapping[str, Any]) -> str:
    """A whole page: what is the same in all of them, and `context`, which is this one's."""
    specs = {each.name: each.spec for each in drawn if each.spec is not None}
    common = {
        "choice": language if language in LANGUAGES else "auto", "vega": Markup(_text("vega.js")),
        "script": Markup(_text("page.js")), "style": Markup(_text("page.css")), "policy": _policy(),
        "specs": Markup(_json({"config": plots.CONFIG, "plots": specs})), "content": content, "_": say, "shown": shown,
    }  # fmt: skip
    return str(_templates().get_template(template).render({**common, **context}))


def _drawn(report: Report, files: SweepFiles | None) -> tuple[list[Plot], list[Plot]]:
    """What is drawn of the whole, and of single runs. A plot that fails costs itself: the tables of a run may be
    anybody's, and the page says so in its place."""
    whole = [survived(partial(make, report)) for make in plots.OF_REPORT]
    if files is None:
        without = say("Single runs are drawn where the sweep's files are at hand: python -m capsexp.report FOLDER")
        return whole, [Plot("runs", say("Single runs"), missing=without)]
    whole.append(survived(lambda: runs.latencies(report, files)))
    return whole, [survived(make) for one in runs.shown(report, files) for make in runs.of_run(one)]


def survived(make: Callable[[], Plot]) -> Plot:
    try:
        return make()
    except Exception as error:
        log.error("a plot", exc_info=error)
        why = say("A plot could not be drawn: {}").format(f"{type(error).__name__}: {error}")
        return Plot("failed", say("Plot"), missing=why)


def shown(plot: Plot) -> list[list[Any]]:
    """The cells of a plot's table: numbers as the table shows them, and the plot draws them."""

    def cell(value: Any, digits: int | None) -> Any:
        if value is None:
            return ""
        return f"{value:.{digits}f}" if digits is not None else value

    return [[cell(v, column.digits) for v, column in zip(row, plot.columns, strict=True)] for row in plot.rows]


def _asked(files: SweepFiles | None) -> str | None:
    """The command that made the sweep, without where it put it."""
    words = [word for word in files.sweep.argv if not word.startswith("hydra.")] if files else []
    return shlex.join(["python", "-m", "capsexp", *words]) if files else None


def _json(tree: Any) -> str:
    """For a script element, which nothing in it ends."""
    said = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return said.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@lru_cache(maxsize=1)
def _policy() -> str:
    """Nothing runs or styles the page but what is written here, and nothing is loaded."""
    scripts = " ".join(_hash(_text(name)) for name in ("vega.js", "page.js"))
    style = _hash(_text("page.css"))
    return f"default-src 'none'; script-src {scripts}; style-src {style}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


@lru_cache(maxsize=1)
def _templates() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_seen,
    )  # fmt: skip


def _seen(value: Any) -> Any:
    """Foreign text without what is not seen where it stands, or turns what stands beside it."""
    return value if hasattr(value, "__html__") else escape.lines(value)
