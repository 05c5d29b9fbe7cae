"""A report's files: each in the form of its exporter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from capsexp.config import ReportConfig
from capsexp.errors import ConfigError
from capsexp.files import storing, write_text
from capsexp.report.degrade import Survivor
from capsexp.report.exporters import EXPORTERS, Exporter, json, text
from capsexp.report.exporters.base import Drawing, Illustrated
from capsexp.results.read import SweepFiles
from capsexp.results.report import Report

ALWAYS = ("text", "json")  # what the terminal shows, and what the other commands read
_NAME = re.compile(r"report(\.[A-Za-z0-9_-]+)+")  # by which archives know a report


def write(folder: Path, report: Report, files: SweepFiles, survive: Survivor) -> Report:
    """Write the report in the sweep's forms, and in those that are always there; returns what was written. A form that
    fails costs itself, with a warning in report.json, which is written last and holds all of it. Forms of ours that are
    not asked for, and that an earlier report left, are removed: they would tell another story."""
    used: dict[str, Exporter] = {json.FILE: json, text.FILE: text}
    for name in _named(files.sweep.report.get("formats")):
        if name not in ALWAYS and (exporter := _load(name, used, survive)) is not None:
            used[exporter.FILE] = exporter
    for file, exporter in used.items():
        if exporter is not json:
            otherwise = f"{file} could not be written; {json.FILE} holds all of it\n"
            write_text(folder / file, survive(file, otherwise, _render, exporter, report, files))
    pictures = {
        name: whole
        for file, exporter in used.items() if isinstance(exporter, Illustrated)
        for name, whole in survive(f"pictures of {file}", {}, _pictures, exporter, report).items()
    }  # fmt: skip
    for name, drawn in pictures.items():
        write_text(folder / name, drawn)
    for exporter in map(EXPORTERS.get, EXPORTERS.ours()):
        for file in {exporter.FILE, *(exporter.PICTURES if isinstance(exporter, Illustrated) else ())}:
            if file not in used and file not in pictures:
                with storing(file):
                    (folder / file).unlink(missing_ok=True)
    report = msgspec.structs.replace(report, warnings=tuple(dict.fromkeys([*report.warnings, *survive.warnings])))
    write_text(folder / json.FILE, json.render(report))
    return report


def doubts(formats: Sequence[str]) -> list[str]:
    """A line for each form that cannot be written here, before a sweep is made for it."""
    survive, used = Survivor(), dict[str, Exporter]()
    for name in formats:
        if (exporter := _load(name, used, survive)) is not None:
            used[exporter.FILE] = exporter
    return survive.warnings


def _load(name: str, used: dict[str, Exporter], survive: Survivor) -> Exporter | None:
    """None, and a warning, where it cannot be used."""
    try:
        exporter = EXPORTERS.get(name)
        if not isinstance(exporter.FILE, str) or not _NAME.fullmatch(exporter.FILE):
            raise ConfigError(f"exporter {name!r} writes {exporter.FILE!r}, which is no name like report.html")
        if used.get(exporter.FILE, exporter) is not exporter:
            raise ConfigError(f"exporter {name!r} writes {exporter.FILE}, as another does")
    except ConfigError as error:
        survive.warnings.append(f"report.formats: {error}; its form is left out")
        return None
    return exporter


def _render(exporter: Exporter, report: Report, files: SweepFiles) -> str:
    rendered = exporter.draw(report, files) if isinstance(exporter, Drawing) else exporter.render(report)
    if not isinstance(rendered, str):
        raise TypeError(f"render gave {type(rendered).__name__}, not text")
    return rendered


def _pictures(exporter: Illustrated, report: Report) -> dict[str, str]:
    found = dict(exporter.pictures(report))
    if wrong := [name for name in found if name not in exporter.PICTURES or not _NAME.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is none of its PICTURES, or no name like report.speedup.svg")
    return found


def _named(formats: object) -> list[str]:
    """What an archive asks for may be anything."""
    known = formats if isinstance(formats, list) else ReportConfig().formats
    return list(dict.fromkeys(name for name in known if isinstance(name, str)))
