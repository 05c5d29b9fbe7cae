"""The line that starts somebody's server (`server.cmd`): what is filled in, and what it mentions."""

from __future__ import annotations

import re
from string import Formatter

KNOWN = ("workers", "threads", "host", "port")
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(KNOWN)})\}}")


def fill(line: str, **values: object) -> str:
    """The line with its placeholders filled in. Other braces stay as they are, or are doubled throughout as in any
    template (`{{"a": 1}}`)."""
    if _is_template(line):
        return line.format(**values)
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), line)


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
