"""What stands in the page beside its plots and tables: the answer, what disturbed, the machine, what words mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from capsexp import escape
from capsexp.analysis import metrics
from capsexp.analysis.metrics.metric import Place
from capsexp.report import beside, glance, placements, racing, sentences, tables
from capsexp.report.exporters.html.words import Words, say, sentence
from capsexp.results.report import Report
from capsexp.results.verdicts import Reading, Verdict

MOST_FACTS, LONGEST_FACT = 60, 300  # of the environment: names at one place, characters of a value
TONES: dict[str, str] = {
    Verdict.FEASIBLE: "good", Verdict.CAVEATS: "open", Verdict.NOT_FEASIBLE: "bad", Verdict.INCONCLUSIVE: "open",
    Verdict.INVALID: "open", Verdict.BASELINE: "plain",
    Reading.PASS: "good", Reading.FAIL: "bad", Reading.NOT_JUDGED: "plain",
}  # fmt: skip


def tone(verdict: str) -> str:
    """How a verdict or a reading is coloured, which its word says as well."""
    return TONES.get(verdict, "bad")


def told(english: str) -> Words | Markup:
    """A sentence of the analysis, in the reader's language where it is known in that."""
    words = sentence(english)
    return words if words.zh != words.en else Markup('<span lang="en">{}</span>').format(escape.one_line(english))


def spelled(verdict: str) -> Words:
    return say(tables.spelled(verdict))


def reading(cell: str | Words) -> Any:
    """A cell of a table: verdicts in their colours, anything else as it is."""
    if isinstance(cell, Words):
        return cell
    code = cell.replace(" ", "_")
    if code in TONES:
        return Markup('<span class="badge {}">{}</span>').format(TONES[code], spelled(code))
    names = [say(name) for name in cell.split(", ")]
    if all(name.zh != name.en for name in names):  # of metrics
        return Words(cell, "、".join(name.zh for name in names))
    return told(cell) if sentence(cell).zh != cell else cell


def explained() -> list[tuple[Words, Words]]:
    """What the columns of the table mean."""
    found = [metric for metric in metrics.METRICS if metric.plain and metric.places & {Place.TABLE, Place.TEXT}]
    return [(say(metric.header), Words(*metric.plain)) for metric in found if metric.plain]


def more(report: Report) -> tuple[tuple[Words, list[str]], ...]:
    """What the text has beside its tables."""
    return (
        (
            say("The reference: the same work by the same engine without a server, or by the server alone"),
            beside.reference_lines(report),
        ),
        (say("Out of the race"), racing.lines(report)),
        (say("CPUs and placement"), placements.lines(report)),
        (say("GPUs"), beside.gpu_lines(report)),
        (say("Memory in the steady state"), beside.leak_lines(report)),
        (say("What the predictions are made of"), tables.scaling_lines(report)),
    )


def verdict(report: Report) -> Words:
    """The verdict and what it says, as the text has it."""
    why = sentences.why(report)
    usual = sentences.meaning(report).replace("{}; ", "")
    return say("{}: {}.").format(spelled(report.verdict), Words(why, say(usual).zh))


def machine(report: Report) -> Words:
    """What was measured on, and with what."""
    where, seconds = report.environment, sum(s.duration_s for s in report.samples)
    return say("CPUs usable: {}, {:.0f} GB; samples: {}, {:.0f} s of audio").format(
        where.get("cpus_usable", "?"), where.get("memory_mb", 0) / 1024, len(report.samples), seconds
    )


def question(report: Report) -> Words:
    return say(glance.question(report))


def value(item: glance.Item) -> Words:
    return Words(item.value, item.value.replace(" to ", " 到 "))


def limit(item: glance.Item) -> Words:
    if not item.bound:
        return Words("", "")
    return (say("at most {}") if item.at_most else say("at least {}")).format(item.bound)


VERDICT_FIRST = ("configuration", "verdict", "correct")  # of a table that is wider than a screen


def configurations(report: Report) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the main table, with what matters most where everybody sees it, and without what is known of
    none."""
    columns = list(zip(tables.headers(), *tables.rows(report), strict=True))
    first = [next(one for one in columns if one[0] == head) for head in VERDICT_FIRST]
    rest = [one for one in columns if one[0] not in VERDICT_FIRST and set(one[1:]) - {"-"}]
    headers, *found = (list(row) for row in zip(*first, *rest, strict=True))
    return headers, found


CONTENTS = (
    ("glance", say("At a glance")), ("scaling", say("Speed and memory")), ("time", say("Where the time went")),
    ("capacity", say("Capacity")), ("configurations", say("Configurations")), ("gates", say("Limits")),
    ("disturbed", say("What disturbed which run")), ("wrong", say("Wrong transcripts")),
    ("causes", say("Causes and predictions")), ("environment", say("Machine and samples")),
    ("again", say("How to run it again")),
)  # fmt: skip


def disturbed(report: Report) -> list[list[str]]:
    """A row for each reason why a run does not count."""
    return [
        [
            c.key,
            "-" if run.num is None else str(run.num),
            str(run.trial),
            reason.code,
            reason.reason,
            reason.remedy or "",
        ]
        for c in report.configurations
        for run in c.validity.runs
        for reason in run.reasons
    ]


def facts(tree: Any, name: str = "", depth: int = 3) -> Iterator[tuple[str, str]]:
    """The values of a tree by their names, deep ones in short: an archive's may be of any shape."""
    if isinstance(tree, Mapping) and tree and depth:
        for key, value in list(tree.items())[:MOST_FACTS]:
            yield from facts(value, f"{name}.{key}" if name else str(key), depth - 1)
    elif isinstance(tree, Mapping):
        yield name, say("{} more values").en.format(len(tree))
    else:
        said = ", ".join(map(str, tree)) if isinstance(tree, (list, tuple)) else str(tree)
        yield name, said if len(said) <= LONGEST_FACT else f"{said[:LONGEST_FACT]}…"
