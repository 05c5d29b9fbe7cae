"""The page: what stands in it, and the policy under which a browser shows it."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from capsexp import escape
from capsexp.analysis.metrics import BY_TAG
from capsexp.config.report import LANGUAGES
from capsexp.report import glance, sentences, tables
from capsexp.report.exporters.html import plots
from capsexp.report.exporters.html.plots import Plot
from capsexp.report.exporters.html.words import Words, say
from capsexp.results.read import SweepFiles
from capsexp.results.report import Report

_HERE = Path(__file__).parent
_TONES = {
    "FEASIBLE": "good", "FEASIBLE_WITH_CAVEATS": "open", "NOT_FEASIBLE": "bad", "INCONCLUSIVE": "open",
    "INVALID": "open", "PASS": "good", "FAIL": "bad", "NOT_JUDGED": "plain", "BASELINE": "plain",
}  # fmt: skip


def made(report: Report, files: SweepFiles | None) -> str:
    """The whole page."""
    drawn = plots.of_report(report)
    script, style = _text("vega.js"), _text("page.css")
    specs = {each.name: each.spec for each in drawn if each.spec is not None}
    chosen = files.sweep.report.get("lang") if files else "auto"
    context = {
        "report": report, "plots": {each.name: each for each in drawn}, "subject": glance.subject(report),
        "choice": chosen if chosen in LANGUAGES else "auto", "contents": CONTENTS, "command": _asked(files),
        "vega": Markup(script), "script": Markup(_text("page.js")), "style": Markup(style), "policy": _policy(),
        "specs": Markup(_json({"config": plots.CONFIG, "plots": specs})),
        "glance": glance, "tables": tables, "sentences": sentences, "metrics": BY_TAG, "_": say, "tone": tone,
        "spelled": spelled, "shown": shown, "verdict": verdict(report), "machine": machine(report),
        "question": question(report),
    }  # fmt: skip
    return str(_template().render(context))


def tone(verdict: str) -> str:
    """How a verdict or a reading is coloured, which its word says as well."""
    return _TONES.get(verdict, "bad")


def spelled(verdict: str) -> Words:
    return say(tables.spelled(verdict))


def verdict(report: Report) -> Words:
    """The verdict in one sentence, as the text has it."""
    if report.verdict == "INVALID" and not report.unfinished:
        return Words(sentences.why(report), say("the runs that would have to decide it do not count").zh)
    return say(sentences.why(report))


def machine(report: Report) -> Words:
    """What was measured on, and with what."""
    where, seconds = report.environment, sum(s.duration_s for s in report.samples)
    return say("{} CPUs usable, {:.0f} GB; {} samples, {:.0f} s of audio").format(
        where.get("cpus_usable", "?"), where.get("memory_mb", 0) / 1024, len(report.samples), seconds
    )


def question(report: Report) -> Words:
    if glance.asks_for_workers(report):
        return say("Do more recognizer workers pay on this machine, and how many?")
    return say("How does this server do on this machine?")


CONTENTS = (
    ("glance", say("At a glance")), ("scaling", say("Speed and memory")), ("configurations", say("Configurations")),
)  # fmt: skip


def shown(plot: Plot) -> list[list[Any]]:
    """The cells of a plot's table: numbers as the table shows them, and the plot draws them."""

    def cell(value: Any, digits: int | None) -> Any:
        if value is None:
            return ""
        return f"{value:.{digits}f}" if digits is not None else value

    return [[cell(v, column.digits) for v, column in zip(row, plot.columns, strict=True)] for row in plot.rows]


def _asked(files: SweepFiles | None) -> str | None:
    """The command that made the sweep."""
    return shlex.join(["python", "-m", "capsexp", *files.sweep.argv]) if files else None


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
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_seen,
    )  # fmt: skip
    return environment.get_template("page.html")


def _seen(value: Any) -> Any:
    """Foreign text without what is not seen where it stands, or turns what stands beside it."""
    return value if hasattr(value, "__html__") else escape.lines(value)
