"""A plan as a value, and as what people read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from tabulate import tabulate

from capsexp.counts import counted
from capsexp.escape import one_line
from capsexp.plan.fit import Model
from capsexp.plan.predict import Checked
from capsexp.plan.search import Planned, Predicted, Question

SCHEMA = 1
BINDS = {
    "cores": "the cores bind: more workers would share them",
    "memory": "memory binds: no further worker fits",
    "gateway": "the gateway binds: one process reads and writes for all connections",
    "contention": "workers at work slow each other down (sigma): more of them would not help",
    "service": "even a single user waits longer: recognizing a segment takes too long",
    "nothing": "nothing was found to bind",
}
TEXT, MARKDOWN = "simple", "pipe"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed, and what `--json` prints. `worst`: of the check, by how much a time was predicted too short, as
    a share; `cost`: of an hour of audio, in the unit of the price; `gateway_of`: the pacing that the gateway's cost was
    measured with, where that is not the one that is planned for."""

    schema: int = SCHEMA
    sweep: str
    asked: str
    amount: float
    unit: str
    slo: dict[str, float]
    cores: int
    memory_mb: float | None
    checked: tuple[Checked, ...]
    worst: float
    planned: Planned
    cost: float | None
    gateway_of: str | None = None
    assumptions: tuple[str, ...]
    marked: str = "predicted"

    @property
    def tight(self) -> bool:
        """Whether a limit would not hold, were the prediction as far off as it was in the check."""
        chosen = self.planned.chosen
        return chosen is not None and any(
            value * (1 + self.worst) > self.slo[name] for name, value in chosen.slo.items()
        )  # fmt: skip


def too_short(checked: Sequence[Checked]) -> float:
    """The most by which a time at the 95th percentile was predicted too short, as a share of the prediction."""
    found = (-one.share / (1 + one.share) for each in checked for one in each.errors if "_p95_" in one.metric)
    return max(0.0, *found, 0.0)


def assumptions(
    model: Model, question: Question, measured: Sequence[str], disturbed: bool, punctuated: bool = False
) -> tuple[str, ...]:
    """What the plan stands on, a sentence each."""
    service, law = model.service, model.law.parameters
    spread = sorted(service.factors)
    low, high = (spread[round(share * (len(spread) - 1))] for share in (0.05, 0.95))
    ten = service.mean_s(10.0, 10.0)
    coefficients = f"sigma={law.sigma:.4f}, kappa={law.kappa:.6f}"
    if model.sigma is not None:
        coefficients = f"sigma={model.sigma:g} was given (--sigma); the runs give {coefficients}"
    known = ", ".join(map(str, model.at_work))
    found = [
        f"Segments: {model.segments} measured ones of {one_line(', '.join(measured))}, with engine={model.engine}, "
        f"pool={model.pool}, threads={model.threads}. One of 10 s takes a worker alone {ten:.2f} s; 90 % of them take "
        f"from {low:.2f} to {high:.2f} times what is usual for their length.",
        f"Contention: measured with {known} workers at work; {coefficients}. Beyond that it is extrapolated by the "
        "scaling law, not measured.",
    ]
    if model.needs_cores:
        found.append(
            f"Workers at work use their cores: on {counted(question.cores, 'core')}, taken to be like the measured "
            f"{model.cores}, no more than one of {counted(model.threads, 'thread')} each is planned; shared memory "
            "bandwidth, turbo and two threads of a core are not known beyond what was measured."
        )
    else:
        found.append("Workers do not need a core each (they sleep, or wait for a device), so the cores are no limit.")
    pacing = question.load.pacing
    cost = model.gateway_cost(pacing)
    if not model.gateway_s:
        found.append("The gateway's CPU time was not measured (runs too short for the monitor) and is taken as 0.")
    else:
        elsewhere = model.gateway_elsewhere(pacing)
        other = f", measured with pacing={elsewhere} only" if elsewhere else ""
        found.append(
            f"The gateway uses {1000 * cost:.2f} ms of its one core for a second of audio{other}: it is full at "
            f"{1 / cost if cost else float('inf'):.0f} seconds of audio per second."
        )
    if model.memory is None:
        found.append("Memory was not measured.")
    else:
        once = " (one number of workers was measured: each is charged its share of all)" if model.one_count else ""
        found.append(
            f"Memory: {model.memory.base_mb:.0f} MB and {model.memory.per_worker_mb:.0f} MB for each worker, the peak "
            f"while models load{once}."
        )
    found.append("Connections are given to servers evenly and stay there. The network is not simulated.")
    if punctuated:
        found.append("Punctuation, which the last segment of a text waits for, is not simulated.")
    if disturbed:
        found.append("The measured runs were disturbed (INVALID in the report), so the plan is not reliable.")
    return tuple(found)


def text(document: Document) -> str:
    """For a terminal."""
    return "\n\n".join(_parts(document, TEXT)) + "\n"


def markdown(document: Document, picture: str | None = None) -> str:
    """For a page; `picture`: the file beside it."""
    parts = _parts(document, MARKDOWN)
    if picture:
        parts.insert(2, f"![what users wait, against the load]({picture})")
    return "\n\n".join(part.replace("Assumptions\n", "Assumptions\n\n") for part in parts) + "\n"


def _parts(document: Document, form: str) -> list[str]:
    listed = "\n".join(["Assumptions", *(f"- {line}" for line in document.assumptions)])
    asked = f"Asked: {document.asked}"
    return [asked, _answer(document), *_setups(document, form), *_failure(document), _check(document, form), listed]


def _answer(document: Document) -> str:
    planned, chosen = document.planned, document.planned.chosen
    if chosen is None:
        why = f": {BINDS[planned.edges[0].binds]}" if planned.edges else ": not even one worker fits into the memory"
        return f"Predicted: no number of workers holds this{why}."
    setup = chosen.setup
    where = counted(setup.machines, "machine")
    servers = f" with {setup.servers} servers each" if setup.servers > 1 else ""
    lines = [
        f"Predicted: {where}{servers}, {counted(setup.workers, 'worker')} per server "
        f"({counted(setup.all_workers, 'worker')} in all)."
    ]
    for edge in planned.edges:
        beside = f" with {edge.setup.servers} servers" if edge.setup.servers > 1 else ""
        more = "at least " if edge.open else "up to "
        if not edge.open or edge is planned.edges[-1]:
            ends = "more was not tried" if edge.open else f"then {BINDS[edge.binds]}"
            lines.append(
                f"A machine{beside} carries {more}{_amount(edge.amount, document.unit)}, with "
                f"{counted(edge.setup.workers, 'worker')} per server; {ends}."
            )
    if document.tight:
        lines.append(
            f"That is within the error of the check: times were predicted up to {100 * document.worst:.0f} % too "
            "short there. Plan for more, or measure closer to it."
        )
    if document.gateway_of is not None:
        lines.append(
            f"The gateway's cost is that of pacing={document.gateway_of}, the only one that was measured. "
            "Speech in real time costs many times as much: measure with load=dictation before you rely on this."
        )
    if document.cost is not None:
        lines.append(f"Cost: {document.cost:.4g} for an hour of audio, at this load all the time.")
    return "\n".join(lines)


def _amount(amount: float, unit: str) -> str:
    return f"{amount:.0f} {unit}" if unit == "users" else f"{amount:.1f} {unit}"


def _setups(document: Document, form: str) -> list[str]:
    chosen = document.planned.chosen
    if chosen is None:
        return []
    names = list(document.slo)
    header = ("predicted", "machines", "workers", *names, "holds", "RTFx", "workers busy", "gateway busy", "MB each")
    rows = [_row(name, one, names) for name, one in (("chosen", chosen), *document.planned.beside.items())]
    return [_table(rows, header, form)]


def _table(rows: Sequence[Sequence[str]], header: Sequence[str], form: str) -> str:
    return tabulate([[one_line(cell) for cell in row] for row in rows], header, form, disable_numparse=True)


def _row(name: str, one: Predicted, names: Sequence[str]) -> list[str]:
    setup = one.setup
    servers = f" x {setup.servers}" if setup.servers > 1 else ""
    memory = "-" if one.memory_mb is None else f"{one.memory_mb:.0f}"
    return [
        name, str(setup.machines), f"{setup.workers}{servers}", *(f"{one.slo[each]:.2f}" for each in names),
        "yes" if one.holds else "no", f"{one.throughput_rtfx:.1f}", f"{100 * one.worker_use:.0f} %",
        f"{100 * one.gateway_use:.0f} %", memory,
    ]  # fmt: skip


def _failure(document: Document) -> list[str]:
    found = document.planned.failure
    if found is None:
        return []
    return [
        f"A worker that dies is away for {found.away_s:.1f} s (as long as one took to load): the longest wait around "
        f"that is then {found.worst_s:.2f} s, instead of {found.worst_without_s:.2f} s (predicted)."
    ]


def _check(document: Document, form: str) -> str:
    if not document.checked:
        return (
            "Not validated: nothing in this sweep could be predicted from the rest of it. Measure a second number of "
            "workers, or a second trial, under load=all, closed, rate or dictation."
        )
    header = ("left out", "predicted from", "figure", "predicted", "measured", "off by", "requests")
    rows = [
        [
            each.key if each.trial is None else f"{each.key}, trial {each.trial}", ", ".join(each.by), one.metric,
            f"{one.predicted:.2f}", f"{one.measured:.2f}", f"{100 * one.share:+.1f} %", str(one.n),
        ]
        for each in document.checked
        for one in each.errors
    ]  # fmt: skip
    title = "Validated against runs of this sweep that the prediction did not use:"
    return f"{title}\n\n{_table(rows, header, form)}"
