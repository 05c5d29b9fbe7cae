"""The plants as data: what is planted can be made, and whatever a report prints first has one."""

import shutil
from pathlib import Path

import msgspec
import pytest

from capsexp import compose
from capsexp.analysis.metrics import BY_TAG
from capsexp.argv import split_argv
from capsexp.config import conf_dir, to_dict
from capsexp.errors import ConfigError
from capsexp.experiment.sweep import Planned, PlannedSweep, plan
from capsexp.selftest import runner
from capsexp.selftest.app import chosen, main
from capsexp.selftest.plant import Figure, Plant
from capsexp.selftest.plants import PLANTS, neighbour
from capsexp.selftest.plants.pace import done_s, waited_s
from tests.support.reports import of as report

# What is read first in a report.
FIRST = {
    "speedup", "throughput_rtfx", "makespan_s", "efficiency", "server_efficiency", "peak_memory_mb", "in_flight",
    "load_peak_memory_mb", "steady_memory_mb", "memory_growth", "marginal_memory_mb", "correctness", "completed",
    "turnaround_p50_s", "latency_p50_s", "stop_to_text_p50_s", "lag_p50_s", "queue_wait_p50_s", "compute_p50_s",
    "core_hours_per_audio_hour", "leak_mb_per_h",
}  # fmt: skip


def figures(plant: Plant) -> list[Figure]:
    return [one for one in plant.expected if isinstance(one, Figure)]


def planned_sweep(plant: Plant, folder: Path) -> PlannedSweep:
    runner.clips(folder / "clips", plant.clips_s)
    runner.shipped_only(folder)
    _, *words = runner.command(plant, folder, ["capsexp"])
    overrides, _, valued = split_argv(words)
    return plan(overrides, Path(valued["--config-dir"]), "config")


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_plant_can_be_made_as_it_says(plant: Plant, tmp_path: Path) -> None:
    planned = planned_sweep(plant, tmp_path).planned
    assert len(planned) == plant.runs
    keys = {one.key for one in planned}
    for figure in figures(plant):
        assert figure.read or (figure.key in keys and figure.tag in BY_TAG), figure.what
        assert figure.beyond is None or figure.beyond in keys


def test_what_a_user_has_set_for_every_command_changes_no_plant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = next(plant for plant in PLANTS if plant.name == "pace")
    (tmp_path / "before").mkdir()
    before = planned_sweep(plant, tmp_path / "before").planned
    shipped = tmp_path / "shipped"
    shutil.copytree(conf_dir(), shipped)
    (shipped / "local.yaml").write_text(
        "report: {fail_on_gate: true}\nsearch: {name: race}\nload: {pacing: realtime, give_up_late: 1}\n"
        "server: {dispatch: hash, schedule: fair, max_retries: 0}\nworkers: 3\nthresholds: {speedup: 9}\n"
    )
    monkeypatch.setattr(compose, "conf_dir", lambda: shipped)
    assert plan(["engine=null"], None, "config").config.workers == 3
    (tmp_path / "after").mkdir()
    after = planned_sweep(plant, tmp_path / "after").planned

    def settings(one: Planned) -> object:
        return {**to_dict(one.config), "samples": None}  # whose folder is another

    assert [settings(one) for one in after] == [settings(one) for one in before]


def test_every_figure_that_is_read_first_is_planted() -> None:
    tags = {figure.tag for plant in PLANTS for figure in figures(plant)}
    assert not FIRST - tags


def test_what_one_worker_or_two_do_with_a_queue() -> None:
    assert done_s(1)[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert done_s(2)[:3] == pytest.approx([0.2, 0.2, 0.4])
    assert waited_s(2)[:3] == pytest.approx([0.0, 0.0, 0.2])
    assert max(done_s(1)) == 2 * max(done_s(2))


TAKEN = (
    "workers=1: its run INVALID: LOST_CPU: other processes held a CPU; 0.1 to 9.0 s after its start; "
    "the CPUs were taken by "
)


@pytest.mark.parametrize(
    ("names", "told", "in_a_crowd"),
    [
        ("python (9.0 CPU s), selftest-busy (2.2 CPU s)", 2.2, False),
        ("python (9.0 CPU s), make (4.0 CPU s), cc1 (3.0 CPU s)", 3.0, True),
        ("python (9.0 CPU s)", None, False),
    ],
)
def test_who_took_the_cpu_is_read_by_name(names: str, told: float | None, in_a_crowd: bool) -> None:
    found = msgspec.structs.replace(report(), warnings=("another", TAKEN + names))
    assert neighbour.took(found, {}).value == told
    assert neighbour.crowded(found) is in_a_crowd


def test_some_are_chosen_by_name() -> None:
    assert chosen([]) == list(PLANTS)
    assert [plant.name for plant in chosen(["mem", "leak"])] == ["memory", "leak"]
    with pytest.raises(ConfigError, match="did you mean 'memory'"):
        chosen(["memry"])


def test_a_folder_to_keep_is_a_new_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a new folder"):
        main(["-k", "leak", "--keep", str(tmp_path)])
