"""python -m capsexp.plan SWEEP --users N | --rtfx R: workers and machines for that load, predicted from a sweep."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from capsexp.errors import ConfigError
from capsexp.files import tell, write_text
from capsexp.plan import ask, document
from capsexp.plan.fit import fit
from capsexp.plan.predict import check, clips_of
from capsexp.plan.read import measured
from capsexp.plan.search import Planner, Question, cost_per_audio_hour
from capsexp.report import drawings
from capsexp.results.run import Run
from capsexp.sweeps import opened

_EPILOG = (
    "KEY=VALUE: load.KEY, as load.think_s=5; slo.KEY, as slo.stop_to_text_p95_s=0.5; server.KEY, as "
    "server.schedule=mic_first. What is not given is as in the sweep."
)
PLOTTED = "#0b62c4"
SHARES = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1)  # of what the chosen setup is asked to carry, of which it is drawn


def main(argv: Sequence[str]) -> int:
    asked = _parsed(argv)
    with opened([asked.sweep]) as (swept,):
        every = measured(swept.files, swept.observed)
        valid = {one.run.num for one in swept.observed if not one.disturbed}
        name = swept.name
    runs = ask.group_of(every, asked.like)
    first, given = runs[0].run, ask.overrides(asked.overrides)
    load = ask.load(first, "dictation" if asked.users else "rate", given["load"])
    limits, settings = ask.limits(first, load, given["slo"]), ask.settings(first, given["server"])
    model = replace(fit(runs), sigma=asked.sigma)
    memory = asked.memory_gb * 1024 if asked.memory_gb else None
    question = Question(
        asked.users or asked.rtfx, load, clips_of(first), limits, asked.cores or model.cores, memory
    )  # fmt: skip
    if not any(clip.duration_s for clip in question.clips):
        raise ConfigError("the sweep's samples hold no audio, so nothing can be planned; give another sweep")
    checked = check(runs)
    planner = Planner(model, settings, question)
    planned = planner.plan()
    price, chosen = asked.price_machine_hour, planned.chosen
    made = document.Document(
        sweep=name,
        asked=_asked(question, model.cores),
        amount=question.amount,
        unit="users" if question.of_users else "RTFx",
        slo=limits,
        cores=question.cores,
        memory_mb=memory,
        checked=tuple(checked),
        worst=document.too_short(checked),
        planned=planned,
        gateway_of=model.gateway_elsewhere(question.load.pacing),
        cost=None if price is None or chosen is None else cost_per_audio_hour(chosen, price),
        assumptions=document.assumptions(
            model, question, list(model.keys), not any(one.run.num in valid for one in runs), _punctuated(first)
        ),
    )  # fmt: skip
    if asked.markdown:
        _write(asked.markdown, made, planner)
    tell(msgspec.json.format(msgspec.json.encode(made)).decode() if asked.json else document.text(made))
    return 0


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="capsexp.plan", description=__doc__, epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep's folder or its zip")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings changed from the sweep: see below")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--users", type=_whole, metavar="N", help="number of users who dictate (load=dictation)")
    amount.add_argument("--rtfx", type=_positive, metavar="R", help="seconds of audio offered per second (load=rate)")
    parser.add_argument("--cores", type=_whole, metavar="N", help="cores of each machine (default: as measured)")
    parser.add_argument(
        "--memory-gb", type=_positive, metavar="GB", help="memory of each machine for its servers (default: no limit)"
    )
    parser.add_argument("--sigma", type=_share, metavar="S", help="contention (sigma) instead of the fitted value")
    parser.add_argument("--price-machine-hour", type=_positive, metavar="P", help="price of one machine for an hour")
    parser.add_argument(
        "--like", metavar="KEY", help="the configuration whose engine, pool and threads are planned with"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the plan as Markdown, with a picture")
    return parser.parse_intermixed_args(argv)


def _positive(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{word!r} is no number above 0")
    return value


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no share from 0 to 1; 0: no worker makes another slower")
    return value


def _whole(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 100_000:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number from 1 to 100000")
    return int(word)


def _asked(question: Question, measured_cores: int) -> str:
    limits = ", ".join(f"{key} <= {value:g}" for key, value in question.slo.items())
    load = question.load
    who = (
        f"{question.amount:.0f} users who dictate (clips as in the sweep, {getattr(load, 'think_s', 0):g} s of thought)"
        if question.of_users
        else f"{question.amount:g} seconds of audio per second in files that arrive at random"
    )
    memory = "" if question.memory_mb is None else f", {question.memory_mb / 1024:g} GB for the servers"
    like = "" if question.cores == measured_cores else f" (measured on {measured_cores})"
    return f"{who}; {limits}; machines of {question.cores} cores{like}{memory}"


def _punctuated(run: Run) -> bool:
    return bool(run.group("punctuation").get("name", "none") != "none")


def _write(path: Path, made: document.Document, planner: Planner) -> None:
    chosen = made.planned.chosen
    if chosen is None:
        write_text(path, document.markdown(made))
        return
    name = next(iter(made.slo))
    seen = [planner.at(chosen.setup, _rounded(share * made.amount, made.unit)) for share in SHARES]
    marks = tuple(drawings.Mark(one.amount, one.slo[name]) for one in seen)
    limit = tuple(drawings.Mark(one.amount, made.slo[name]) for one in seen)
    picture = path.with_suffix(".svg")
    lines = (
        drawings.Line("limit", limit, dashed=True, plain=True),
        drawings.Line("predicted", marks, PLOTTED),
    )
    title = f"Predicted: {chosen.setup.all_workers} workers"
    write_text(picture, drawings.drawn(drawings.Picture(picture.name, title, made.unit, name, lines)))
    write_text(path, document.markdown(made, picture.name))


def _rounded(amount: float, unit: str) -> float:
    return float(max(1, round(amount))) if unit == "users" else amount
