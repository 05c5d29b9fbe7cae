"""What may be set: every number has bounds, and what is out of them is told in one line before anything starts."""

import math
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from capsexp.compose import compose
from capsexp.config import Config, MonitorConfig, ReportConfig, conf_dir, resolve, to_dict
from capsexp.config.executor import ExecutorConfig
from capsexp.engines import ENGINES, every_settings, settings
from capsexp.errors import ConfigError
from capsexp.load import LOADS
from capsexp.targets import TARGETS
from tests.support.settings import changed


def numbers(tree: object, prefix: str = "") -> Iterator[str]:
    """The dotted keys of all numbers, by what their types say."""
    if is_dataclass(tree):
        for each in fields(tree):
            value = getattr(tree, each.name)
            if is_dataclass(value):
                yield from numbers(value, f"{prefix}{each.name}.")
            elif any(word in str(each.type).split(" | ") for word in ("int", "float")):
                yield f"{prefix}{each.name}"


NUMBERS = sorted(
    {
        (engine.name, key)
        for engine in every_settings()
        for key in numbers(Config(engine=engine))
        if engine.name == "null" or key[:7] == "engine."
    }
)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samples.minutes", 0), ("engine.rtf", -1), ("report.tolerance", -3), ("monitor.port", 99999999),
        ("server.port", 70000), ("load.message_s", 61), ("load.repeats", 0), ("threads", 10**9), ("hours", 0),
        ("reference.processes", [True]), ("thresholds.tiers.speedup.good", -1), ("cooldown", 1e300),
        ("load.repeats", 10**400),
    ],
)  # fmt: skip
def test_a_number_out_of_its_bounds_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}: ") as told:
        resolve(changed(key, value))
    assert len(str(told.value)) < 200


def test_more_workers_than_the_machine_could_ever_hold() -> None:
    with pytest.raises(ConfigError, match=r"^workers: 100000000 do not fit into this machine's \d+ MB .* at most \d+$"):
        compose(["engine=null", "workers=100000000"])
    assert compose(["engine=null", "workers=100000000", "server=command", "server.cmd='x {port} {workers}'"])


@pytest.mark.slow
@given(st.sampled_from(NUMBERS), st.sampled_from([math.nan, math.inf, -math.inf, -1e-9, -7, 1e30, 2**70]))
def test_no_number_is_infinite_negative_or_absurd(at: tuple[str, str], value: float) -> None:
    """Whatever number it is; a setting that is added has bounds without a word."""
    engine, key = at
    with pytest.raises(ConfigError, match=rf"^{key}: "):
        resolve(changed(key, value, engine))


def test_what_hydra_composes_is_what_the_schema_says() -> None:
    """Tools that are started without Hydra have the schema alone; conf/ is made of it."""
    schema = Config()
    schema.reference.name = schema.reference.of(schema.server.name)  # as it is settled when a command is composed
    assert to_dict(compose([])) == to_dict(schema)
    for name in LOADS.ours():
        given = ["load.csv=a.csv"] if "csv" in vars(LOADS.settings(name)()) else []
        made = compose([f"load={name}", *given]).load
        assert vars(made) == {**vars(LOADS.settings(name)()), **({"csv": "a.csv"} if given else {})}, name
    for group, point in (("engine", ENGINES), ("target", TARGETS)):
        for name in point.ours():
            said = OmegaConf.to_container(OmegaConf.load(conf_dir() / group / f"{name}.yaml"))
            assert said == vars(point.settings(name)()), name


def test_an_option_that_begins_with_another_says_only_what_differs() -> None:
    for path in sorted(conf_dir().glob("*/*.yaml")):
        said = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(said, dict)
        first = next((one for one in said.get("defaults", []) if isinstance(one, str) and one != "_self_"), None)
        if first is not None:
            before = OmegaConf.to_container(OmegaConf.load(path.with_name(f"{first}.yaml")))
            assert isinstance(before, dict)
            assert not {key for key in before.keys() & said.keys() - {"defaults"} if before[key] == said[key]}, path


def test_the_defaults_are_within_their_bounds() -> None:
    for engine in ("null", "sphinx", "paraformer", "sherpa"):
        resolve(to_dict(Config(engine=settings(engine)())))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:6016", "server.url=ws://localhost:6016"),
        ("127.0.0.1:6016", "server.url=ws://127.0.0.1:6016"),
        ("http://asr.example:80/x", "server.url=ws://asr.example:80/x"),
        ("ws://127.0.0.1:99999", "Port out of range"),
        ("ws://127.0.0.1:x", "Port could not be cast"),
        ("ws://127.0.0.1:0", "port 0"),
        ("ws://", "not the address"),
        ("ws://[::1", "Invalid IPv6"),
    ],
)
def test_an_address_that_nobody_can_have(url: str, said: str) -> None:
    tree = changed("server.url", url)
    tree["server"]["name"] = "external"
    with pytest.raises(ConfigError, match=r"^server\.url: ") as told:
        resolve(tree)
    assert said in str(told.value)


@pytest.mark.parametrize("url", ["ws://localhost:6016", "wss://asr.example/v1?token=x", "ws://[::1]:6016"])
def test_an_address_that_somebody_has(url: str) -> None:
    tree = changed("server.url", url)
    tree["server"]["name"] = "external"
    assert resolve(tree).server.url == url


def test_a_promise_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^slo\.classes\.mic\.lag_p96_s: unknown limit.*lag_p9"):
        resolve(changed("slo.classes", {"mic": {"lag_p96_s": 1.0}}))
    for share, said in ((5.0, "5.0 is above 0.99"), (0.0, "0.0 is not above 0"), (-0.1, "-0.1 is below 0")):
        for key, value in (("slo.classes", {"mic": {"late_share": share}}), ("slo.late_share", share)):
            named = "slo.classes.mic.late_share" if key == "slo.classes" else key
            with pytest.raises(ConfigError, match=rf"^{re.escape(f'{named}: {said}')}"):
                resolve(changed(key, value))
    assert resolve(changed("slo.classes", {"mic": {"late_share": None}})).slo.classes == {"mic": {"late_share": None}}
    assert compose(["slo=mixed", "slo.classes.mic.stop_to_text_p95_s=2"]).slo.classes["mic"] == {
        "stop_to_text_p95_s": 2.0
    }
    assert compose(["thresholds.tiers.speedup.good=2"]).thresholds.tiers["speedup"]["good"] == 2.0
    assert compose(["slo=mixed"]).slo.classes["mic"] == {"stop_to_text_p95_s": 1.0}


def test_a_group_tells_all_that_is_wrong_with_it() -> None:
    probes = list(MonitorConfig(probes=["ghost", "gpu", "heat"]).problems())
    assert [line.partition(";")[0] for line in probes] == [
        "monitor.probes: unknown probe 'ghost'", "monitor.probes: unknown probe 'heat'",
        "monitor.probes: lacks processes and system, which every report needs",
    ]  # fmt: skip
    formats = list(ReportConfig(formats=["txt", "json", "jsn"]).problems())
    assert [line.partition(";")[0] for line in formats] == [
        "report.formats: unknown exporter 'txt'", "report.formats: unknown exporter 'jsn'",
    ]  # fmt: skip
    assert [line[:37] for line in ExecutorConfig("ocal").problems()] == ["executor: unknown executor 'ocal'; di"]
    assert not list(MonitorConfig(probes=["processes", "system"]).problems())


def test_who_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compose(["engine=null", "placement=pack"]).placement.name == "pack"
    with pytest.raises(ConfigError, match=r"^placement\.name: unknown value 'sprad'; .*spread"):
        resolve({**to_dict(Config()), "placement": {"name": "sprad"}})
    with pytest.raises(ConfigError, match=r"^placement=pack: pins the workers of server=local only; "):
        compose(["placement=pack", "server=external", "server.url=ws://127.0.0.1:1"])
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigError, match=r"^placement=pack: only Linux can pin "):
        compose(["engine=null", "placement=pack"])
