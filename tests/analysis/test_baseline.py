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


def test_the_baseline_has_the_fewest_workers_and_pool_process_first() -> None:
    made = [
        a_run(key=key, workers=workers, pool=pool, config=config(threads=threads))
        for key, workers, pool, threads in (
            ("a", 2, "process", 1), ("b", 1, "thread", 1), ("c", 1, "process", 1), ("d", None, "process", 2),
        )
    ]  # fmt: skip
    assert baseline.find(made) == {"a": "c", "b": "c", "c": "c", "d": "d"}
