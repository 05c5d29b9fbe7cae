"""What a configuration is compared with."""

from capsexp.analysis import baseline
from capsexp.keys import SWEEP_KEYS
from tests.support.values import a_run, config


def test_a_group_differs_only_in_workers_and_pool() -> None:
    same = [config(), config(workers=3), config(pool={"name": "thread"}), config(trial=2, name="x")]
    assert len({baseline.group_key(c) for c in same}) == 1
    assert {baseline.group_key(config(**{key: "other"})) for key in SWEEP_KEYS} == {baseline.group_key(config())}
    other = config(server={**config()["server"], "dispatch": "task"})
    assert baseline.group_key(other) != baseline.group_key(config())
    assert baseline.group_key(config(threads=2)) != baseline.group_key(config())
    assert baseline.group_key(config(placement={"name": "pack"})) != baseline.group_key(config())
    of_before = {key: value for key, value in config().items() if key != "placement"}
    assert baseline.group_key(of_before) == baseline.group_key(config())
    assert baseline.placement(of_before) == "none"


def test_the_baseline_has_the_fewest_workers_and_pool_process_first() -> None:
    made = [
        a_run(key=key, workers=workers, pool=pool, config=config(threads=threads))
        for key, workers, pool, threads in (
            ("a", 2, "process", 1), ("b", 1, "thread", 1), ("c", 1, "process", 1), ("d", None, "process", 2),
        )
    ]  # fmt: skip
    assert baseline.find(made) == {"a": "c", "b": "c", "c": "c", "d": "d"}


def test_pinned_workers_are_compared_with_those_that_differ_in_nothing_else() -> None:
    made = [
        a_run(key=key, workers=workers, config=config(threads=threads, placement={"name": kind}))
        for key, workers, threads, kind in (
            ("a", 1, 1, "none"), ("b", 2, 1, "none"), ("c", 1, 1, "pack"), ("d", 2, 1, "pack"), ("e", 2, 2, "pack"),
        )
    ]  # fmt: skip
    assert baseline.find(made) == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "e"}
    assert baseline.unpinned(made) == {"c": "a", "d": "b"}
