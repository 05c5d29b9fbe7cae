"""What others may add to: each plug point finds its implementations by name, ours and those of installed packages.

Ours are the modules of one package: a file is an implementation, so that nothing else has to be edited, and nothing
depends on when capsexp was last installed. Others' are entry points. Nothing is imported to know a name.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar, cast

from capsexp.errors import ConfigError

T = TypeVar("T")
S = TypeVar("S")
OURS = "capsexp."  # begins the names of our groups of entry points
SHARED = "base"  # the module that holds the protocol; what else implementations share is named `_...`


@cache  # a folder of ours does not change, and each request asks for its target
def _modules(package: str) -> tuple[str, ...]:
    folder = importlib.import_module(package).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folder) if m.name != SHARED and m.name[0] != "_"))


@dataclass(frozen=True)
class PlugPoint(Generic[T]):
    """`what`: the word for one of them; `package`: where ours are; `group`: of entry points; `needs`: the names that
    an implementation has, by which what is none is told. A name of ours is nobody else's."""

    what: str
    package: str
    group: str
    needs: tuple[str, ...] = ()

    def ours(self) -> list[str]:
        return list(_modules(self.package))

    def names(self) -> list[str]:
        """All that can be chosen, sorted."""
        return sorted({*self.ours(), *self._others()})

    def check(self, key: str, name: object) -> None:
        """Raises ConfigError, in one line that begins with `key`, for a name that nothing here has."""
        for problem in self.problems(key, [name]):
            raise ConfigError(problem)

    def problems(self, key: str, names: Iterable[object]) -> Iterator[str]:
        """A line that begins with `key` for each name that nothing here has."""
        for name in names:
            if name not in self.ours() and name not in self._others():  # other packages are asked only where they must
                yield f"{key}: {self._unknown(name)}"

    def get(self, name: str) -> T:
        """The implementation; raises ConfigError in one line for an unknown name and for one that cannot be used."""
        other = None if name in self.ours() else self._others().get(name)
        if other is None and name not in self.ours():
            raise ConfigError(self._unknown(name))
        where = other.value if other else f"{self.package}.{name}"
        try:
            loaded = other.load() if other else importlib.import_module(where)
        except Exception as error:  # somebody else's module: it may raise anything
            said = next(iter(str(error).splitlines()), "")
            raise ConfigError(
                f"{self.what} {name!r} ({where}) cannot be loaded: {type(error).__name__}: {said}"
            ) from error
        if lacks := [each for each in self.needs if not hasattr(loaded, each)]:
            raise ConfigError(f"{self.what} {name!r} ({where}) has no {' and no '.join(lacks)}")
        return cast(T, loaded)

    def distribution(self, name: str) -> str | None:
        """The package of somebody else's that adds it; None of ours, and of what nobody has."""
        other = None if name in self.ours() else self._others().get(name)
        return other.dist.name if other is not None and other.dist is not None else None

    def _unknown(self, name: object) -> str:
        return f"unknown {self.what} {name!r}{nearest(str(name), self.names())}"

    def _others(self) -> dict[str, EntryPoint]:
        """Of two packages that add one name, the same one on every machine."""
        found = entry_points(group=self.group)
        return {each.name: each for each in sorted(found, key=lambda each: each.value, reverse=True)}


@dataclass(frozen=True)
class Configured(PlugPoint[T], Generic[T, S]):
    """A plug point whose implementations have settings of their own: a dataclass `Settings` derived from `base`, with a
    default for every key, that says what the implementation can do."""

    base: type[S] = field(kw_only=True)

    def settings(self, name: str) -> type[S]:
        """Of one of them; raises ConfigError in one line for one that is not here or cannot be used."""
        found = getattr(self.get(name), "Settings", None)
        if not (isinstance(found, type) and issubclass(found, self.base)):
            where = f"{self.package}.{self.base.__name__}"
            raise ConfigError(f"{self.what} {name!r}: its Settings are no dataclass derived from {where}")
        return found

    def known(self, name: object) -> type[S]:
        """As `settings`; of one of another version, or of a package that is not here, what every one has."""
        try:
            return self.settings(str(name))
        except ConfigError:
            return self.base

    def every(self) -> Iterator[S]:
        """The settings of all that can be chosen, as they are by default."""
        for name in self.names():
            try:
                yield self.settings(name)()
            except ConfigError:  # a broken package of somebody else's is told where it is asked for
                continue


def conf_folders() -> list[Path]:
    """`conf/` of each package that adds something to any plug point: where its YAML is, a folder per group as in ours.
    Nothing is imported for it."""
    found = entry_points()
    theirs = [each for group in found.groups if group.startswith(OURS) for each in found.select(group=group)]
    names = {re.split(r"[.:\s]", each.value)[0] for each in theirs}
    specs = [importlib.util.find_spec(name) for name in sorted(names) if name.isidentifier()]
    folders = [Path(place) / "conf" for spec in specs if spec for place in spec.submodule_search_locations or ()]
    return [folder for folder in folders if folder.is_dir()]


SHOWN = 30  # names, in an error


def nearest(name: str, names: Iterable[object]) -> str:
    """`; did you mean 'x'?` or the valid names, of many the first."""
    known = sorted(str(n) for n in names)
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = [n for n in known if "." not in n] or known  # what is inside of others is left out; files all have a dot
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return f"; valid: {', '.join(shown[:SHOWN])}{more}"
