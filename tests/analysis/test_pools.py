"""What a pool that shares the model saves, and CPU time that contradicts threads."""

from dataclasses import replace

import pytest

from capsexp.analysis import pools
from capsexp.results.report import Configuration, Estimate
from tests.support.values import cpu, figures, with_value


def test_a_pool_that_shares_the_model_is_named_with_what_it_saves() -> None:
    def one(pool: str, mb: float, rtfx: float) -> Configuration:
        metrics = {"peak_memory_mb": Estimate(value=mb), "throughput_rtfx": Estimate(value=rtfx)}
        return Configuration(key=f"pool={pool}", pool=pool, workers=2, threads=1, engine="e", metrics=metrics)

    found = [one("process", 2000.0, 40.0), one("prefork", 1200.0, 39.0)]
    assert pools.saved(found[0], found) is None
    assert pools.saved(found[1], found[1:]) is None
    saved = pools.saved(found[1], found)
    assert saved is not None
    assert (saved.peak_mb, saved.share, saved.throughput) == (800.0, pytest.approx(0.4), 0.975)
    assert pools.sentence(found[1], found) == (
        "pool=prefork saves 800 MB (40 %) compared with pool=process, at 0.97x of its throughput."
    )
    found[1] = with_value(found[1], peak_memory_mb=2100.0)
    assert "costs 100 MB (5 %)" in (pools.sentence(found[1], found) or "")


@pytest.mark.parametrize(
    ("threads", "cpu_s", "says"),
    [(1, 20.0, None), (1, 30.0, "used 1.5 CPUs with threads=1"), (2, 38.0, None),
     (2, 20.0, "used only 1.0 CPUs with threads=2"), (1, 1.0, None)],
)  # fmt: skip
def test_cpu_that_contradicts_threads_is_a_warning(threads: int, cpu_s: float, says: str | None) -> None:
    run = figures(10.0, cpu=cpu(workers_s=cpu_s), worker_busy=(1.0, 1.0))
    said = pools.wrong_threads("k", 2, threads, 4, run)
    assert said is None if says is None else says in (said or "")
    assert pools.wrong_threads("k", 2, 1, 4, replace(run, worker_busy=())) is None
    assert pools.wrong_threads("k", 2, 2, 2, replace(run, cpu=cpu(workers_s=20.0))) is None  # no more CPUs to use
