"""A value of the wrong type, told in one line that says what to give."""

from __future__ import annotations

import re

from omegaconf.errors import OmegaConfBaseException

_WANTED = {
    "bool": "true or false", "int": "a whole number", "Integer": "a whole number", "float": "a number",
    "Float": "a number", "str": "text", "list": "a list, as in [1,2]", "dict": "a mapping, as in {name: 1}",
}  # fmt: skip
# OmegaConf's own words: what was given, and which type was wanted.
_SAID = (
    re.compile(r"Value '(?P<value>.*)' is not a valid (?P<kind>bool) \(type \w+\)", re.DOTALL),
    re.compile(r"Value '(?P<value>.*)' of type '\w+' could not be converted to (?P<kind>\w+)", re.DOTALL),
    re.compile(r"(?:Incompatible value|field) '(?P<value>None)'.* for field of type '(?P<kind>\w+)'"),
    re.compile(r"Cannot assign \w+ to (?P<kind>Dict)\["),
    re.compile(r"Invalid value assigned: \w+ is not a (?P<kind>List)Config"),
)


def told(error: OmegaConfBaseException, group: str = "") -> str:
    """`KEY: what is wrong; give ...`, where OmegaConf says it of a key; `group`: what the key stands in."""
    key = ".".join(part for part in (group, getattr(error, "full_key", None)) if part) or "configuration"
    said = str(error).splitlines()[0]
    for pattern in _SAID:
        if found := pattern.match(str(error)):
            given = found.groupdict().get("value")
            value = "a single value" if given is None else "null" if given == "None" else repr(given)
            wanted = _WANTED.get(found["kind"], _WANTED.get(found["kind"].lower(), found["kind"]))
            return f"{key}: {value} cannot be used here; give {wanted}"
    if "nterpolation" in said:
        said += "; ${...} stands for another setting: where it is text, write \\${"
    return f"{key}: {said}"
