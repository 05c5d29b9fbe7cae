"""What a reader is told of the settings: conf/ and docs/reference/settings.md are made of it (see docs/generate.py)."""

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from capsexp.config import Config
from capsexp.config.described import flow, groups, line_of, rows
from capsexp.engines import ENGINES
from capsexp.engines.base import EngineConfig
from capsexp.load import LOADS
from capsexp.setting import problems, redefault, setting
from capsexp.targets import TARGETS

PLUGGED = {"engine": ENGINES, "target": TARGETS, "load": LOADS}
SCHEMAS = [
    ("", Config),
    *((group, schema) for group, schema in groups(Config) if group not in PLUGGED),
    *((group, point.settings(name)) for group, point in PLUGGED.items() for name in point.ours()),
]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md").read_text("utf-8")


@pytest.mark.parametrize(("group", "schema"), SCHEMAS)
def test_every_setting_says_what_it_is_and_stands_on_the_page(group: str, schema: type) -> None:
    found = {row.key: row for row in rows(schema)}
    held = {each.name for each in fields(schema) if not is_dataclass(getattr(schema(), each.name))}
    assert found.keys() == held
    for key, row in found.items():
        assert row.says or (key == "name" and group in PLUGGED), f"{group}.{key}: says nothing"
        assert row.takes and "any value" not in row.takes, f"{group}.{key}: what may it be?"
        assert f"| `{group}.{key}`".replace("`.", "`") in PAGE, f"{group}.{key}: run python docs/generate.py"


@dataclass
class Ours:
    name: str = "ours"
    port: int | None = setting(None, "where it listens", high=65535, hint="give 1 to 65535")
    share: float = setting(0.5, "of all", high=1, above=True)
    form: str = setting("json", "of the answer", choices=("json", "text"))
    parts: list[int] = setting([5, 10], "in 60 ms", low=1)
    also: list[str] = setting([], "which others", choices=("a", "b"))
    seed: int = setting(0, "of chance", high=2**64)
    count: object = setting("auto", "how often", takes="whole number from 1, or `auto`")
    more: dict[str, float] = setting({"a": 1e-48}, "anything else")


@dataclass
class Theirs(EngineConfig):
    """As a package writes it that knows nothing of `setting`."""

    name: str = "theirs"
    word: str = "s"
    rates: list[float] = field(default_factory=lambda: [1.0])


def test_what_a_setting_may_be_is_told_in_words() -> None:
    assert {row.key: row.takes for row in rows(Ours)} == {
        "name": "text", "port": "whole number, 0 to 65535 or null", "share": "number, above 0 to 1",
        "form": "`json`, `text`", "parts": "list of whole numbers, from 1", "also": "list of `a`, `b`",
        "seed": "whole number, 0 to 2^64", "count": "whole number from 1, or `auto`", "more": "mapping",
    }  # fmt: skip
    assert {row.key: row.written for row in rows(Ours)} == {
        "name": "ours", "port": "null", "share": "0.5", "form": "json", "parts": "[5, 10]", "also": "[]", "seed": "0",
        "count": "auto", "more": "{a: 1e-48}",
    }  # fmt: skip


def test_a_schema_that_says_nothing_is_told_and_checked_all_the_same() -> None:
    assert [(row.key, row.takes, row.says) for row in rows(Theirs)] == [
        ("name", "text", ""), ("word", "text", ""), ("rates", "list of numbers, from 0", ""),
    ]  # fmt: skip
    assert list(problems(Theirs(rates=[-1.0]))) == ["rates: -1.0 is below 0"]


def test_choices_and_bounds_are_checked_where_they_are_said() -> None:
    wrong = Ours(form="jsn", also=["a", "c"], parts=[0], port=70000)
    assert list(problems(wrong, "target")) == [
        "target.port: 70000 is above 65535; give 1 to 65535", "target.form: unknown value 'jsn'; did you mean 'json'?",
        "target.parts: 0 is below 1", "target.also: unknown value 'c'; valid: a, b",
    ]  # fmt: skip
    assert not list(problems(Ours()))


def test_another_default_keeps_the_bounds_and_the_line() -> None:
    @dataclass
    class Derived(Ours):
        form: str = redefault(Ours, "form", "text")
        share: float = redefault(Ours, "share", 0.25, says="of half")

    found = {row.key: row for row in rows(Derived)}
    assert (found["form"].written, found["form"].says, found["form"].choices) == (
        "text",
        "of the answer",
        ("json", "text"),
    )
    assert (found["share"].written, found["share"].says) == ("0.25", "of half")
    assert list(problems(Derived(form="x", share=0.0))) == [
        "share: 0.0 is not above 0", "form: unknown value 'x'; valid: json, text",
    ]  # fmt: skip


def test_a_list_is_nobody_elses() -> None:
    Ours().parts.append(7)
    assert Ours().parts == [5, 10]


@pytest.mark.parametrize(
    "value", ["null", "off", "", "a: b", "5", "${x}", "中文", None, True, 7, [1, "no"], {"a": {"b": [2.5]}}]
)
def test_a_value_on_one_line_is_read_back(value: object) -> None:
    assert "\n" not in flow(value)
    assert yaml.safe_load(flow(value)) == value


def test_the_line_of_a_key() -> None:
    assert line_of(Config, "monitor.port") == "alone: port of the server to watch"
    assert line_of(Config, "threads") == "threads per worker"
    assert line_of(Config, "monitor.nothing") == ""
