"""What a configuration is compared with."""

from typing import Any

from capsexp.analysis import baseline
from capsexp.keys import SWEEP_KEYS
from capsexp.results import nodes
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


SMALL = {"cpu": "A", "cpu_flags": ["avx2"], "cpus_usable": 1, "memory_mb": 8000, "system": "Linux 6.1"}
BIG = {**SMALL, "cpus_usable": 2}


def test_a_type_of_node_is_what_its_speed_depends_on() -> None:
    assert nodes.kind(SMALL) == "1 x A, 8 GB, Linux 6.1 [0520]"
    assert nodes.kind({**SMALL, "memory_mb": 7800, "packages": {"x": "2"}}) == nodes.kind(SMALL)
    for change in ({"cpu": "B"}, {"cpu_flags": []}, {"cpus_usable": 2}, {"memory_mb": 16000}, {"system": "Linux 6.6"}):
        assert nodes.kind({**SMALL, **change}) != nodes.kind(SMALL)
    for unknown in (None, {}, {"cpus_usable": 1}, {"cpus_usable": "1", "memory_mb": "8"}):
        assert nodes.kind(unknown) is None


def test_nothing_is_compared_with_what_another_type_of_node_reached() -> None:
    made = [
        a_run(key=key, workers=workers, environment=where, config=config(workers=workers))
        for key, workers, where in (("a", 1, SMALL), ("b", 2, SMALL), ("c", 3, BIG), ("d", 4, BIG), ("e", 2, None))
    ]
    assert baseline.find(made) == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "e"}
    assert baseline.elsewhere(made) == {"c", "e"}  # d has one: c
    assert baseline.elsewhere(made[:2]) == frozenset()


def test_types_of_nodes_that_were_asked_for_are_measured_side_by_side() -> None:
    def on(constraint: str | None) -> dict[str, Any]:
        return config(executor={"name": "slurm", "constraint": constraint, "same_node": True})

    made = [a_run(key=f"{feature}{n}", workers=n, config=on(feature)) for feature in ("x", "y") for n in (1, 2)]
    assert baseline.find(made) == {"x1": "x1", "x2": "x1", "y1": "y1", "y2": "y1"}
    assert baseline.elsewhere(made) == frozenset()
    assert baseline.group_key(on(None)) == baseline.group_key(config())  # where it was made does not matter by itself
