"""What composing a command line and its YAML would evaluate, place or follow already: found by reading alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from capsexp import untrusted
from capsexp.config import conf_dir
from capsexp.errors import ArchiveError
from capsexp.experiment.snapshot import LOCAL
from capsexp.overrides import quote_override
from capsexp.trust.allowed import measures
from capsexp.trust.tree import OF_LAUNCHING, Tree, flat

# References to other keys, whose values are looked at; the time; and what names our folders.
_HARMLESS = re.compile(
    r"\$\{(?:now:[^${}]*|capsexp\.(?:slug|run_dir):[^${}]*|oc\.select:[\w.]+(?:,[\w.]*)?|[A-Za-z_][\w.]*)\}"
)
_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_GROUP = re.compile(r"(?:(?:override|optional) )*/?(?P<group>[A-Za-z_][\w-]*(/[\w-]+)*)")
_OPTION = re.compile(r"/?[\w.-]+(/[\w.-]+)*")
_LOCAL = ("optional .@_global_", LOCAL.stem)
_QUIET = ("hydra/job_logging", "hydra/hydra_logging")


def written(tree: Tree, lines: Sequence[Sequence[str]], given: Sequence[str]) -> list[str]:
    """What composing any of these command lines would evaluate, place or follow already. Raises ArchiveError."""
    if not re.fullmatch(r"[\w-]+", tree.name):
        raise ArchiveError(f"its configuration has the name {tree.name!r}")
    for line in lines:
        untrusted.line(line)
    theirs = list(dict.fromkeys(override for line in lines for override in line if override not in given))
    conf = tree.conf if tree.foreign else None
    trees = _trees(conf) if conf is not None else {}
    texts = [*theirs, *(text for content in trees.values() for text in _strings(content))]
    found = [f"evaluate {text!r}" for text in texts if not _harmless(text)]
    found += [line for override in theirs for line in _of_override(override)]
    if conf is not None:
        found += [line for name, content in trees.items() for line in _of_yaml(conf / name, name, content)]
    return list(dict.fromkeys(found))


def _trees(conf: Path) -> dict[Path, Any]:
    """The YAML of conf/ as plain data, by its name there."""
    found = {}
    for path in sorted(conf.rglob("*")):
        # Where case does not count, Hydra finds x.YAML as well.
        if path.suffix.lower() not in (".yaml", ".yml") or path.is_dir():
            continue
        try:
            untrusted.tree(path)
            found[path.relative_to(conf)] = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        except (OmegaConfBaseException, YAMLError, ValueError, OSError, RecursionError, AttributeError) as error:
            line = " ".join(str(error).split())[:120]
            raise ArchiveError(f"conf/{path.relative_to(conf).as_posix()}: cannot be read: {line}") from None
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str):
        yield value


def _harmless(text: str) -> bool:
    """Whether nothing is evaluated, also once Hydra has read its escapes: `$\\{` is `${` to it."""
    return all(_plainly(form) for form in (text, text.replace("\\", "")))


def _plainly(text: str) -> bool:
    before = ""
    while before != text:  # from the innermost outwards: the name of a resolver can be composed too
        before, text = text, _HARMLESS.sub("", text)
    return "${" not in text


def _of_override(override: str) -> Iterator[str]:
    """Of a word of its command line."""
    try:
        [parsed] = OverridesParser.create().parse_overrides([quote_override(override)])
    except HydraException:
        return  # composing will say so
    except (ValueError, RecursionError) as error:  # a number that nobody reads
        raise ArchiveError(f"its command line cannot be read: {error}") from None
    key = parsed.key_or_group
    if key == "hydra.sweep.dir":
        return  # replaced
    if key.partition(".")[0].partition("/")[0] == "hydra":
        yield f"set {override.lstrip('+~')}"
    elif parsed.package is not None or not (_KEY.fullmatch(key) or _GROUP.fullmatch(key)):
        yield f"place something elsewhere ({override})"
    elif isinstance(parsed.value(), dict) and not measures(key):
        yield f"set several keys at once ({override})"


def _of_yaml(path: Path, name: Path, tree: Any) -> Iterator[str]:
    """Of a file of its conf/, called `name` there, what composing acts upon and the composed tree does not show."""
    ours = conf_dir() / name
    if ours.is_file() and ours.read_bytes() == path.read_bytes():
        return
    said = f"conf/{name.as_posix()}"
    if name.parts[0] == "hydra" or path.is_symlink():
        yield f"set Hydra's own settings ({said})"
    header = re.findall(r"^\s*#.*@package\s*(.*?)\s*$", path.read_text("utf-8", "replace"), re.MULTILINE)
    if set(header) - {"_global_"}:
        yield f"place something elsewhere ({said}: @package {header[0]})"
    if not isinstance(tree, dict):
        return
    hydra = tree.get("hydra")
    settings = flat(hydra) if isinstance(hydra, dict) else {"": hydra} if hydra is not None else {}
    yield from (f"set hydra.{key} ({said})" for key, value in settings.items() if not _as_ours(key, value))
    defaults = tree.get("defaults", [])
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if not _plain_default(entry):
            yield f"compose with {entry!r} ({said})"


def _as_ours(key: str, value: Any) -> bool:
    if key in OF_LAUNCHING:
        return bool(OF_LAUNCHING[key] == value)
    swept = key.removeprefix("sweeper.params.")
    if swept != key:
        return bool(_KEY.fullmatch(swept)) and swept.partition(".")[0] != "hydra"
    return key == "sweep.dir" or key.startswith("help.")  # replaced; not shown


def _plain_default(entry: Any) -> bool:
    """Whether an entry of a defaults list names options of groups, and nothing of Hydra's but its silence."""
    if isinstance(entry, str):
        return bool(_OPTION.fullmatch(entry)) and ".." not in entry and not entry.lstrip("/").startswith("hydra")
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    [(key, option)] = entry.items()
    if (key, option) == _LOCAL:
        return True
    named = _GROUP.fullmatch(str(key))
    options = option if isinstance(option, list) else [option]
    if named is None or not all(o is None or (_OPTION.fullmatch(str(o)) and ".." not in str(o)) for o in options):
        return False
    group = named["group"]
    return group.partition("/")[0] != "hydra" or (group in _QUIET and options in (["none"], ["disabled"]))
