"""What a plan is asked for, in words: each that cannot be used is named with what can."""

from __future__ import annotations

from typing import Any

import pytest

from capsexp.analysis.figures import Figures
from capsexp.compose import compose
from capsexp.config import SloConfig
from capsexp.errors import ConfigError
from capsexp.plan import ask
from capsexp.plan.fit import Measured
from capsexp.plan.predict import Settings
from tests.support import values


def a_run(key: str = "workers=1", rtfx: float = 1.0, **more: Any) -> Measured:
    return Measured(values.a_run(key=key, **more), Figures(throughput_rtfx=rtfx))


def of(**said: Any) -> Any:
    """A run with this load."""
    load = {"name": "all", "seg_duration": 20.0, "packet_s": 0.1, **said}
    return values.a_run(config=values.config(load=load))


def test_what_is_usual_is_what_conf_slo_promises() -> None:
    def limits(slo: SloConfig, kind: str | None = None) -> dict[str, float]:
        said = (
            slo.classes[kind]
            if kind
            else {key: value for key, value in vars(slo).items() if key not in ("name", "classes")}
        )
        return {key: value for key, value in said.items() if value is not None}

    assert limits(compose(["slo=dictation"]).slo) == ask.USERS_WAIT
    mixed = compose(["slo=mixed"]).slo
    assert (limits(mixed, "mic"), limits(mixed, "file")) == (ask.USERS_WAIT, ask.FILES_WAIT)


def test_settings_are_given_by_group() -> None:
    found = ask.overrides(["load.think_s=5", "slo.stop_to_text_p95_s=0.5", "server.schedule=fair"])
    assert found == {"load": {"think_s": "5"}, "slo": {"stop_to_text_p95_s": "0.5"}, "server": {"schedule": "fair"}}


@pytest.mark.parametrize("word", ["workers=4", "load.think_s", "load=rate", "load.a.b=1", "engine.rtf=1"])
def test_what_is_no_setting_of_a_plan_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=word[:4]):
        ask.overrides([word])


def test_a_load_keeps_what_the_sweep_says_of_audio() -> None:
    found: Any = ask.load(of(), "dictation", {"think_s": "9"})
    assert (found.name, found.pacing, found.seg_duration, found.packet_s, found.think_s) == (
        "dictation", "realtime", 20.0, 0.1, 9.0,
    )  # fmt: skip
    same: Any = ask.load(of(name="dictation", pacing="realtime", think_s=7.0), "dictation", {})
    assert same.think_s == 7.0
    files: Any = ask.load(of(concurrency=8), "rate", {"process": "constant"})
    assert (files.concurrency, files.process, files.pacing) == (0, "constant", "burst")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"thinks": "1"}, r"load\.thinks: load=dictation has no such setting; did you mean 'think_s'\?"),
        ({"think_s": "long"}, r"load\.think_s"),
        ({"pacing": "slow"}, r"load\.pacing: unknown value 'slow'"),
    ],
)
def test_a_load_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ask.load(of(), "dictation", given)


def test_the_server_gives_out_segments_as_it_did() -> None:
    run = values.a_run(config=values.config(server={"schedule": "fair", "max_queue": 3, "port": 1}))
    assert ask.settings(run, {}) == Settings(schedule="fair", max_queue=3)
    assert ask.settings(run, {"schedule": "fifo"}) == Settings(max_queue=3)
    for given, said in (
        ({"port": "2"}, "a plan knows dispatch"), ({"schedule": "fairly"}, "did you mean 'fair'"),
        ({"dispatch": "naive"}, "negative control"), ({"max_queue": "many"}, r"server\.max_queue"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            ask.settings(run, given)


def test_limits_are_those_given_or_the_sweeps_or_usual() -> None:
    dictating, files = ask.load(of(), "dictation", {}), ask.load(of(), "rate", {})
    promised = values.a_run(config=values.config(slo={"name": "x", "stop_to_text_p90_s": 2.0, "lag_p95_s": 1.0}))
    assert ask.limits(promised, dictating, {}) == {"stop_to_text_p90_s": 2.0}
    assert ask.limits(promised, dictating, {"stop_to_text_p99_s": "3"}) == {"stop_to_text_p99_s": 3.0}
    assert ask.limits(of(), dictating, {}) == {"stop_to_text_p95_s": 1.0}
    assert ask.limits(of(), files, {}) == {"late_share": 0.05}
    for given, said in (
        ({"lag_p95_s": "1"}, "not simulated"), ({"stop_to_text_p95_s": "0"}, "no limit"),
        ({"late_share": "often"}, "no limit"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            ask.limits(of(), dictating, given)
    with pytest.raises(ConfigError, match="not simulated for load=rate"):
        ask.limits(of(), files, {"stop_to_text_p95_s": "1"})


def test_one_server_is_planned_with() -> None:
    runs = [a_run(), a_run("workers=2", 2.0, workers=2), a_run("pool=thread", 1.5, pool="thread")]
    assert [one.run.key for one in ask.group_of(runs, None)] == ["workers=1", "workers=2"]
    assert [one.run.key for one in ask.group_of(runs, "pool=thread")] == ["pool=thread"]
    with pytest.raises(ConfigError, match="did you mean 'workers=2'"):
        ask.group_of(runs, "workers=3")
    with pytest.raises(ConfigError, match="a plan needs a successful run"):
        ask.group_of([], None)
