"""Several loads at once, each of a class of its own: who dictates beside jobs of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from capsexp.errors import ConfigError
from capsexp.load.base import Given, LoadConfig, Plan, Sized, Turn, unbound
from capsexp.mistyped import told
from capsexp.plugins import nearest
from capsexp.setting import problems, setting

WHOLE = frozenset({
    "seg_duration", "seg_overlap", "seed", "arrival_seed", "think_seed", "timeout", "progress", "min_s", "give_up_s",
    "give_up_late", "give_up_class", "reuse",
})  # fmt: skip


@dataclass
class Settings(LoadConfig):
    """Several loads at once, each of a class of its own. from_s and up_to_s in a class choose among the samples by
    their length."""

    counted: ClassVar[bool] = False
    measures: ClassVar[frozenset[str]] = frozenset({"classes"})

    name: str = "mixed"
    concurrency: int = unbound("with load=mixed each class has its own")
    # What concerns the whole load is not said of a part.
    classes: dict[str, Any] = setting(
        {
            "mic": {"name": "dictation", "users": 4, "turns": 4, "think_s": 3.0},
            "file": {"name": "closed", "concurrency": 1, "repeats": 1},
        },
        "the load of each class, by the class's name; load.classes.file=null leaves a class out",
    )

    @property
    def size(self) -> str | None:
        """That of its first class which has one."""
        found = ((kind, part.load.size) for kind, part in self.parts().items())
        return next((f"classes.{kind}.{size}" for kind, size in found if size), None)

    def sized(self, size: float, requests: int) -> Sized:
        kind, part = next((kind, part) for kind, part in self.parts().items() if part.load.size)
        own = part.load.sized(size, requests)
        whole = {key: value for key, value in own.values.items() if key in WHOLE}
        values = {f"classes.{kind}.{key}": value for key, value in own.values.items() if key not in WHOLE}
        return Sized({**values, **whole}, own.requests, kind)

    def spread_s(self, text: str = "") -> float:
        return max((part.load.spread_s() for part in self.parts().values()), default=0.0)

    def by_class(self) -> dict[str, LoadConfig]:
        return {kind: part.load for kind, part in self.parts().items()}

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if all(said is None for said in self.classes.values()):
            yield "load.classes: there is none; give each a load, as load.classes.mic.name=dictation"
        try:
            parts = self.parts()
        except ConfigError as error:
            yield str(error)
            return
        for kind, part in parts.items():
            for problem in (*problems(part.load, "load"), *part.load.problems()):
                yield f"load.classes.{kind}.{problem.removeprefix('load.')}"

    @classmethod
    def longer(cls, own: Mapping[str, Any], times: float) -> tuple[str, int] | None:
        """By the first of its classes that can be made longer."""
        from capsexp.load import LOADS

        classes = own.get("classes")
        parts = classes.items() if isinstance(classes, Mapping) else ()
        given = ((kind, part) for kind, part in parts if isinstance(part, Mapping))
        found = ((kind, LOADS.known(part.get("name")).longer(part, times)) for kind, part in given)
        return next(((f"classes.{kind}.{said[0]}", said[1]) for kind, said in found if said), None)

    def parts(self) -> dict[str, Part]:
        return {kind: _part(self, kind, said) for kind, said in self.classes.items() if said is not None}


@dataclass(frozen=True)
class Part:
    load: LoadConfig
    from_s: float = 0.0
    up_to_s: float = float("inf")


def _part(config: Settings, kind: str, said: object) -> Part:
    from capsexp.load import LOADS  # which finds this file

    here = f"load.classes.{kind}"
    if not isinstance(said, Mapping) or not isinstance(said.get("name"), str):
        raise ConfigError(f"{here}.name: say which load it is: {', '.join(LOADS.names())}")
    own, name = dict(said), said["name"]
    limits = {key: own.pop(key) for key in ("from_s", "up_to_s") if key in own}
    if any(isinstance(limit, bool) or not isinstance(limit, int | float) for limit in limits.values()):
        raise ConfigError(f"{here}: from_s and up_to_s are seconds; give numbers")
    settings = LOADS.settings(name)
    keys = {each.name for each in fields(settings)} - WHOLE
    if name == config.name or settings.reads:
        raise ConfigError(f"{here}.name: load={name} cannot be a class of load=mixed; use another load")
    if strange := next((key for key in own if key not in keys), None):
        whole = "; it is the whole load's" if strange in WHOLE else nearest(str(strange), keys)
        raise ConfigError(f"{here}.{strange}: unknown key{whole}")
    every: Any = {**{key: getattr(config, key) for key in WHOLE - {"give_up_class"}}, **own}
    try:
        made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), every))
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, here)) from None
    assert isinstance(made, LoadConfig)
    return Part(made, **limits)


def plan(config: Settings, given: Given) -> Plan:
    """Each class is planned by itself, with chances of its own: no class changes another's times."""
    from capsexp.load import LOADS

    turns: list[Turn] = []
    users = 0
    for kind, part in config.parts().items():
        chosen = [n for n, clip in enumerate(given.clips) if part.from_s <= clip.duration_s <= part.up_to_s]
        if not chosen:
            raise ConfigError(f"load.classes.{kind}: no sample lasts between {part.from_s:g} and {part.up_to_s:g} s")
        own = Given(tuple(given.clips[n] for n in chosen), replace(given.seeds, whose=kind))
        found = LOADS.get(part.load.name).plan(part.load, own)
        turns += [replace(turn, clip=chosen[turn.clip], user=users + turn.user, kind=kind) for turn in found]
        users += 1 + max((turn.user for turn in found), default=-1)
    return tuple(turns)
