"""Memory: workers that hold a known amount beyond those that hold nothing, which is what is taken off."""

from __future__ import annotations

from collections.abc import Iterator

from capsexp.results.report import Report
from capsexp.selftest.plant import Account, Figure, Plant, configuration

HELD_MB = 96


def key(workers: int, mb: int) -> str:
    return f"workers={workers},engine.memory_mb={mb}"


def grown(report: Report, account: Account) -> float | None:
    """What memory_growth has to be: of what the blank needs, and what is held beyond that."""
    one, two = (configuration(report, key(n, 0)).value("steady_memory_mb") for n in (1, 2))
    return (two + 2 * HELD_MB) / (one + HELD_MB) if one and two else None


def figures() -> Iterator[Figure]:
    for workers in (1, 2):
        for what, tag in (("peak", "peak"), ("load peak", "load_peak"), ("steady", "steady")):
            yield Figure(
                f"{what} memory, workers={workers}", workers * HELD_MB, f"{workers} x {HELD_MB} MB beyond the blank",
                f"{tag}_memory_mb", key(workers, HELD_MB), "MB", 0.03, 4.0, n=1, beyond=key(workers, 0),
            )  # fmt: skip
    two = key(2, HELD_MB)
    yield Figure(
        "memory per worker", HELD_MB, "that each holds beyond the blank",
        "marginal_memory_mb", two, "MB", 0.03, 4.0, n=1, beyond=key(2, 0),
    )  # fmt: skip
    yield Figure("memory growth", grown, "2 x it and the blank, by it and the blank", "memory_growth", two, "x", n=1)


PLANTS = (
    Plant(
        "memory",
        f"workers that hold {HELD_MB} MB each, beside some that hold nothing",
        "memory: peak, load peak, steady, growth, and what a worker adds",
        ("workers=1,2", f"engine.memory_mb=0,{HELD_MB}", "engine.rtf=0.4"),
        (2.0, 2.0),
        4,
        tuple(figures()),
    ),
)
