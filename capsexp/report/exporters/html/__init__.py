"""report.html: one file with everything in it, for somebody who was not there. It needs no network, now or ever: its
plotting library (vega.js) is in the page, and its security policy lets nothing else run or load.

A plot is drawn from the table behind it, so that both show the same. What a run's tables would be needed for is left
out, with a sentence, where only the report is at hand.
"""

from __future__ import annotations

from capsexp.report.exporters.html import page
from capsexp.results.read import SweepFiles
from capsexp.results.report import Report

FILE = "report.html"


def render(report: Report) -> str:
    return page.made(report, None)


def draw(report: Report, files: SweepFiles) -> str:
    return page.made(report, files)
