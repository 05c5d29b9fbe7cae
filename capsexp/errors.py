"""One root for everything capsexp raises on purpose.

CapsexpError
├── ConfigError      a key, type or value of the configuration          (exit code 2)
├── SampleError      audio that is missing or cannot be decoded
├── EngineError      a recognizer that is missing or failed
├── ServerError      a server that died, was not ready or hung
├── HarnessError     ourselves: no descriptors, no ports, a bug; no verdict on what was measured
│   └── LastingError what was asked for cannot be done: another run would fail the same
├── RunRefused       a run that was not started because it would not fit
├── StorageError     a disk that is full, read-only or gone
└── ArchiveError     an archive that is damaged or unsafe

The message of each is one line that says what to do next.
"""

import sys


class CapsexpError(Exception):
    """Root of all errors a user can act on."""


class ConfigError(CapsexpError):
    """A configuration that cannot be composed or used."""

    EXIT = 2  # of a tool of ours: the same again would end the same


class SampleError(CapsexpError):
    """Audio that is missing, empty or cannot be decoded."""


class EngineError(CapsexpError):
    """A recognizer that cannot be loaded or that failed on a segment."""


class ServerError(CapsexpError):
    """A server that died, was not ready in time or could not be reached."""


class HarnessError(CapsexpError):
    """What measures has failed, not what is measured: the run decides nothing."""

    failure = "harness"  # as run.json has it


class LastingError(HarnessError):
    """It has failed, and would again: it was asked for what cannot be done."""

    failure = "settings"


class RunRefused(CapsexpError):
    """A run that was not started, because the machine has no room for it."""


class StorageError(CapsexpError):
    """A file of ours that cannot be written: nothing further can be kept."""

    EXIT = 4  # of a tool that a run started, by which the runner knows


class ArchiveError(CapsexpError):
    """An archive that is damaged, incomplete or unsafe to read."""


def not_installed(error: ModuleNotFoundError) -> str | None:
    """What to do about a package that is missing; None of a module of ours, which is a fault."""
    if (error.name or "capsexp").partition(".")[0] == "capsexp":
        return None
    return (
        f"{error.name} is not installed for {sys.executable}; activate the environment that capsexp was installed into "
        "(source .venv/bin/activate), or install it: pip install -e ."
    )
