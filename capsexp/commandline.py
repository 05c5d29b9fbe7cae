"""The line that starts somebody's server (`server.cmd`): what is filled in, and what it mentions."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from string import Formatter

from capsexp.errors import ConfigError

KNOWN = ("workers", "threads", "host", "port", "model")
ALIKE = 0.8  # from there on (of 1) a name is another one misspelled
_SHELLS = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})  # words that no program is meant to get
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(KNOWN)})\}}")


def fill(line: str, **values: object) -> str:
    """The line with its placeholders filled in. Other braces stay as they are, or are doubled throughout as in any
    template (`{{"a": 1}}`)."""
    if _is_template(line):
        return line.format(**values)
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), line)


def words(line: str) -> list[str]:
    """The program and its arguments. Raises ConfigError."""
    try:
        found = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"server.cmd: {str(error).lower()}; quote it as for a shell") from None
    if not found or not found[0] or "\0" in line:
        raise ConfigError(
            "server.cmd: server=command needs the line to start, e.g. 'server.cmd=\"python s.py {workers} {port}\"'"
        )
    return found


def startable(line: str, cwd: str | None = None, install: str | None = None) -> None:
    """Raises ConfigError where there is no such program or script (`install`: how to get it), only a shell would
    understand the line, or a placeholder is misspelled."""
    for name in re.findall(r"(?<![${])\{(\w+)\}(?!\})", line):
        if name not in KNOWN and (meant := difflib.get_close_matches(name, KNOWN, 1, ALIKE)):
            raise ConfigError(f"server.cmd: {{{name}}} is not a placeholder; did you mean {{{meant[0]}}}?")
    if cwd is not None and not Path(cwd).is_dir():
        raise ConfigError(f"server.cwd={cwd}: no such folder")
    program, *arguments = words(line)
    named = next((word for word in arguments if word in _SHELLS), None)
    get = f"; to get it: {install}" if install else ""
    found = Path(cwd or ".") / program if "/" in program else program  # a name alone is looked for in PATH
    if named is None and (_PLACEHOLDER.search(program) or shutil.which(found)):
        script = arguments[0] if arguments else ""
        if script.endswith(".py") and not _PLACEHOLDER.search(script) and not (Path(cwd or ".") / script).is_file():
            raise ConfigError(f"server.cmd: no file {script!r} in the folder server.cwd={cwd or '.'}{get}")
        return
    if named is None and install:
        raise ConfigError(f"server.cmd: no program {program!r} is found{get}")
    what = f"no program {program!r} can be started" if named is None else f"{named!r} means nothing without a shell"
    raise ConfigError(f"server.cmd: {what}; for what a shell does (cd, A=1, ~, |, &&) write: sh -c 'exec ...'")


def mentioned_in(lines: Iterable[str]) -> set[str]:
    """The placeholders in any of them."""
    return {name for line in lines for name in mentioned(line)}


def mentioned(line: str) -> set[str]:
    """The placeholders in it."""
    if _is_template(line):
        return {name for _, name, _, _ in Formatter().parse(line) if name}
    return set(_PLACEHOLDER.findall(line))


def _is_template(line: str) -> bool:
    """Whether every brace in it is doubled or a placeholder's."""
    try:
        return all(
            name is None or (name in KNOWN and not spec and not conversion)
            for _, name, spec, conversion in Formatter().parse(line)
        )
    except ValueError:
        return False
