"""Results that are lost, doubled, cut short or somebody else's, and a model that needs more while it loads.

The equipment is a server that shares nothing with ours but the words that engine=null makes of audio. It does wrong to
one clip, the victim, which it knows by its length; a sound one is the control. `naive` is our own server with N
processes behind one queue, each merging on its own: the practice that loses text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from capsexp.results.report import Estimate, Report
from capsexp.selftest.equipment.command import command
from capsexp.selftest.plant import Account, Expected, Figure, Named, Plant, configuration

CLIPS_S = (2.25, 2.5, 3.0, 2.75, 2.0, 3.25, 3.5, 3.75)
VICTIM, VICTIM_S = "clip02.wav", 3.0
LOADING_MB, HELD_MB = 160, 64
# What is done to the victim, whether it still completes, and a word of how a report has to call that.
WRONGS = (
    ("drops", "its connection is closed before the final result", 7 / 8, "before the final result"),
    ("doubles", "it gets two final results", 1.0, "2 final results"),
    ("cuts", "the end of its text is lost", 1.0, "cut short"),
    ("swaps", "it gets another clip's text", 1.0, "the answer to another request"),
)


def key(how: str) -> str:
    return f"server.model={how}"


def wrong(how: str, word: str) -> Callable[[Report], Sequence[str]]:
    """The samples that are named as wrong, those for another reason with that."""

    def read(report: Report) -> Sequence[str]:
        found = configuration(report, key(how)).wrong
        return [one.sample if word in one.reason else f"{one.sample} ({one.reason})" for one in found]

    return read


def lost_text(report: Report, account: Account) -> Estimate:
    """Requests that are named because the end, the beginning or the middle of their text is lost."""
    found = configuration(report, "workers=2")
    return Estimate(value=float(found.wrong_count) if found.requests.total else None, n=1)


def all_expected() -> Iterator[Expected]:
    count = len(CLIPS_S)
    yield Figure("correct, sound", 1.0, "nothing is done to it", "correctness", key("sound"), relative=0, n=count)
    for how, what, completed, word in WRONGS:
        share = (count - 1) / count
        yield Figure(
            f"correct, {how}", share, f"of one of {count} {what}", "correctness", key(how), relative=0, n=count
        )
        yield Figure(f"completed, {how}", completed, what, "completed", key(how), relative=0, n=count)
        yield Named(f"samples named as wrong, {how}", (VICTIM,), what, wrong(how, word))
    for what, tag, mb, why in (
        ("load peak", "load_peak", LOADING_MB, "held until it is ready"),
        ("steady", "steady", HELD_MB, "held from then on"),
    ):
        yield Figure(
            f"{what} memory, loads", mb, f"{why}, beyond the sound one", f"{tag}_memory_mb", key("loads"), "MB",
            0.03, 4.0, n=1, beyond=key("sound"),
        )  # fmt: skip
    yield Figure("peak memory, loads", highest, "that of loading", "peak_memory_mb", key("loads"), "MB", 0.03, 4.0, n=1)


def highest(report: Report, account: Account) -> float | None:
    """Of the one that needs more to load: what the sound one has until it is ready, and what is held until then."""
    sound = configuration(report, key("sound")).value("load_peak_memory_mb")
    return None if sound is None else sound + LOADING_MB


PLANTS = (
    Plant(
        "texts",
        "servers that lose, double, cut short or swap one of eight results, and one whose model needs more to load",
        "correctness: results that are lost, doubled or another request's may pass as right",
        (
            f"server.model=sound,{','.join(how for how, *_ in WRONGS)},loads",
            *command(f"--victim-s {VICTIM_S} --loading-mb {LOADING_MB} --held-mb {HELD_MB} --rtf 0.2"),
            "reference=engine",
        ),
        CLIPS_S,
        6,
        tuple(all_expected()),
    ),
    Plant(
        "naive",
        "our server with two processes behind one queue, each merging on its own: text is lost",
        "correctness: text that is lost at the seams of segments may pass as right",
        (
            "workers=2", "server.dispatch=naive", "reference=engine", "engine.rtf=0.05", "load.seg_duration=1",
            "load.seg_overlap=0.25",
        ),
        (8.0, 8.5, 9.0, 9.5),
        1,
        (
            Figure(
                "requests that lost text", 1.0, "each of four is cut between two processes", relative=0, n=1,
                least=True, read=lost_text,
            ),
        ),
    ),
)  # fmt: skip
