"""The words of a command line, by kind."""

from __future__ import annotations

from collections.abc import Sequence

ASKING = frozenset({  # about the settings
    "--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--resolve", "--shell-completion", "-sc",
})  # fmt: skip
SEVERAL = ("-m", "--multirun")  # Hydra's flags for several runs
_VALUED = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p")


def split_argv(argv: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Overrides, bare flags, and flags with a value: Hydra's own parser fails on an override that follows a flag."""
    overrides, flags, valued = [], [], {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _VALUED:
            valued[name] = value if equals else next(rest, "")
        elif word in ("--cfg", "-c", "--info", "-i"):
            about = ("cfg", "job") if "c" in word else ("info", "all")
            flags.append(f"--{about[0]}={next(rest, about[1])}")
        elif word.startswith("-"):
            flags.append(word)
        else:
            overrides.append(word)
    return overrides, flags, valued
