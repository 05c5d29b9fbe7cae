"""What is looked for before a sweep starts anything."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from capsexp import topology
from capsexp.compose import compose
from capsexp.config import Config, PlacementConfig
from capsexp.errors import ConfigError
from capsexp.experiment.preflight import placeable, plannable, unjudged
from capsexp.placement import Cpu, Topology

FLAT = Topology(tuple(Cpu(n, n) for n in range(2)))
SMT = Topology(tuple(Cpu(n, n % 2) for n in range(4)))


def check(machine: Topology, monkeypatch: pytest.MonkeyPatch, workers: tuple[int, ...], *kinds: str) -> None:
    monkeypatch.setattr(topology, "read", lambda: machine)
    placeable(
        [replace(Config(), workers=count, placement=PlacementConfig(kind)) for count in workers for kind in kinds]
    )


def test_two_placements_that_are_one_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check(FLAT, monkeypatch, (1, 2), "none", "spread")
    with pytest.raises(ConfigError, match=r"^placement=pack: pins every worker to the same CPUs .*=spread"):
        check(FLAT, monkeypatch, (1, 2), "none", "spread", "pack")
    check(SMT, monkeypatch, (1, 2), "spread", "pack", "no_smt")  # alike with one worker, not with two
    with pytest.raises(ConfigError, match=r"^placement=pack: "):
        check(SMT, monkeypatch, (1,), "spread", "pack")


def test_what_this_machine_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^placement=no_smt: none of the 2 CPUs here share a core"):
        check(FLAT, monkeypatch, (2,), "no_smt")
    with pytest.raises(ConfigError, match=r"^placement=numa: needs two NUMA nodes, but 1 NUMA node"):
        check(SMT, monkeypatch, (2,), "none", "numa")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("due_s,sample\n0,c.wav\n", r"no sample is named 'c\.wav'"),
        ("when\n0\n", "no row says when a request is due"),
        ("due_s\nsoon\n", "line 2: due_s is 'soon'"),
        ("due_s\n0\n900\n", "the last request is due after 900 s, no less than load.timeout=600"),
    ],
)
def test_a_table_that_no_client_could_follow_is_refused_before_anything_starts(
    tmp_path: Path, table: str, said: str
) -> None:
    (tmp_path / "day.csv").write_text(table)
    with pytest.raises(ConfigError, match=said):
        plan_of(["load=schedule", f"load.csv={tmp_path / 'day.csv'}"])


def test_a_table_that_is_no_text_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ConfigError, match=r"^load\.csv=.*day\.csv: cannot be read"):
        plan_of(["load=schedule", f"load.csv={tmp_path / 'day.csv'}"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["load=mixed", "load.classes.mic.from_s=1000"], "load.classes.mic: no sample lasts between 1000 and inf s"),
        (["load=dictation", "load.turns=1000"], "load.turns: 1000 turns take"),
        (["load=rate", "load.rate=0.001", "load.duration_s=1"], "load=rate: nothing arrives in that time"),
    ],
)
def test_a_load_that_cannot_be_made_of_these_samples_is_refused(overrides: Sequence[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_of(overrides)


def test_where_not_all_samples_are_known_the_client_decides() -> None:
    lasts = plannable(compose(["engine=null", "load=mixed", "load.classes.mic.from_s=1000"]).load, None)
    assert lasts == 3 * 3.0  # of the mic's thinking
    plan_of(["load=dictation"])


def test_how_long_a_load_lasts_at_least_is_known_before_it_starts() -> None:
    assert (plan_of(["load=rate", "load.rate=1", "load.duration_s=60"]) or 0) > 50
    assert plan_of(["load=all"]) is None
    assert plan_of(["load=all", "load.pacing=realtime"]) == 3.0  # all speak at once, the longest for 3 s
    assert plan_of(["load=closed", "load.pacing=realtime", "load.concurrency=1", "load.repeats=2"]) == 10.0


@pytest.mark.parametrize(
    ("overrides", "lasts"),
    [
        (["load=rate", "load.duration_s=60"], 60.0),
        (["load=stages", "load.rates=[1,2]", "load.step_s=30"], 60.0),
        (["load=dictation", "load.turns=5", "load.think_s=3"], 12.0),
        (["load=all", "load.pacing=realtime"], 0.0),
        (["load=all"], None),
    ],
)
def test_where_not_all_samples_are_known_its_settings_tell_how_long_a_load_lasts(
    overrides: Sequence[str], lasts: float | None
) -> None:
    assert plannable(compose(["engine=null", *overrides]).load, None) == lasts


def test_a_table_tells_how_long_it_lasts_whatever_the_samples_are(tmp_path: Path) -> None:
    table = tmp_path / "day.csv"
    table.write_text("due_s\n100\n400\n130\n")
    load = compose(["engine=null", "load=schedule", f"load.csv={table}", "load.speed=2"]).load
    assert plannable(load, None) == 150.0
    table.write_text("due_s\nsoon\n")
    with pytest.raises(ConfigError, match="line 2: due_s is 'soon'"):
        plannable(load, None)
    table.write_text("due_s\n")
    assert plannable(load, None) == 0.0


def plan_of(overrides: Sequence[str]) -> float | None:
    return plannable(compose(["engine=null", *overrides]).load, {"a.wav": 2.0, "b.wav": 3.0})


def test_limits_of_a_class_that_nobody_has_are_told_before_anything_starts() -> None:
    mixed = compose(["engine=null", "load=mixed", "slo=mixed", "slo.classes.nobody.stop_to_text_p95_s=1"])
    assert unjudged([mixed]) == [
        "slo.classes.nobody: no load of this sweep has such a class, so its limits cannot be judged; "
        "there are file, mic"
    ]
    alone = compose(["engine=null", "load=dictation", "slo=mixed"])
    assert [said.partition(":")[0] for said in unjudged([alone])] == ["slo.classes.mic", "slo.classes.file"]
    assert "classes are of load=mixed" in unjudged([alone])[0]
    assert len(unjudged([mixed, alone])) == 1  # one load of the sweep has it


def test_a_sample_that_nobody_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("due_s,sample\n0,xyz\n")
    with pytest.raises(ConfigError, match=r"no sample is named 'xyz'; valid: a\.wav, b\.wav$"):
        plan_of(["load=schedule", f"load.csv={tmp_path / 'day.csv'}"])
    many = {f"{number:03}.wav": 1.0 for number in range(100)}
    with pytest.raises(ConfigError, match=r"029\.wav and 70 more$"):
        plannable(compose(["engine=null", "load=schedule", f"load.csv={tmp_path / 'day.csv'}"]).load, many)
