"""What is looked for before a sweep starts anything."""

from dataclasses import replace

import pytest

from capsexp import topology
from capsexp.config import Config, PlacementConfig
from capsexp.errors import ConfigError
from capsexp.experiment.preflight import placeable
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
    with pytest.raises(ConfigError, match=r"^placement=pack: gives every worker of this sweep the CPUs .*=spread"):
        check(FLAT, monkeypatch, (1, 2), "none", "spread", "pack")
    check(SMT, monkeypatch, (1, 2), "spread", "pack", "no_smt")  # alike with one worker, not with two
    with pytest.raises(ConfigError, match=r"^placement=pack: "):
        check(SMT, monkeypatch, (1,), "spread", "pack")


def test_what_this_machine_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^placement=no_smt: no two of the 2 CPUs here are one core"):
        check(FLAT, monkeypatch, (2,), "no_smt")
    with pytest.raises(ConfigError, match=r"^placement=numa: this machine has 1 NUMA node"):
        check(SMT, monkeypatch, (2,), "none", "numa")
