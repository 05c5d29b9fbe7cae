"""Sources of measurements, a file each. What the figures of a report are made of is always asked: who is there and
what they use (`processes`), and what the machine has (`system`)."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.errors import ConfigError
from capsexp.escape import one_line
from capsexp.monitor.probes.base import Column, Probe, Source, Watch
from capsexp.plugpoints import ALWAYS, PROBES

__all__ = ["ALWAYS", "PROBES", "Column", "Probe", "Source", "Watch", "usable"]


def usable(key: str, names: Sequence[str] | None) -> tuple[dict[str, Probe], dict[str, str]]:
    """The probes to ask, by name, those first that others' rows depend on; and what is wrong with others. None: all
    that can be asked here; what others lack is not worth a word. Raises ConfigError, in a line that begins with
    `key`, where one that is named cannot be asked here."""
    found: dict[str, Probe] = {}
    faults: dict[str, str] = {}
    for name in dict.fromkeys([*ALWAYS, *(PROBES.names() if names is None else names)]):
        try:
            probe = PROBES.get(name)
            missing = probe.missing()
        except Exception as error:  # somebody else's: it may raise anything
            why = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
            if names is not None:
                raise ConfigError(f"{key}: {name} cannot be used: {one_line(why)}") from error
            faults[name] = one_line(f"cannot be used: {why}")
            continue
        if missing is None:
            found[name] = probe
        elif names is not None:
            raise ConfigError(f"{key}: {name} cannot be used here: {missing}")
    return found, faults
