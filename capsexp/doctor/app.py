"""python -m capsexp.doctor [key=value ...]: whether this machine is fit for an experiment, and what to fix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capsexp import tool
from capsexp.config import Config
from capsexp.doctor import look
from capsexp.doctor.findings import MEND, NOTE, Finding, findings, fit
from capsexp.engines.base import load
from capsexp.errors import CapsexpError
from capsexp.files import note, tell
from capsexp.protocol import RATE

WHAT = "Check whether this machine is fit for an experiment, and say what to fix. Exit code 0: it is; 1: it is not."
MARKS = {MEND: "FIX", NOTE: "note"}


def main(argv: Sequence[str]) -> int:
    words = [word for word in argv if word != look.ONE]
    config = tool.parse(words, "python -m capsexp.doctor", WHAT, {"--port": "server.port"}).config
    if look.ONE in argv:
        return _recognizes(config)
    note("checking (each engine recognizes a second of audio, which takes a few seconds) ...")
    found = findings(look.seen(config, words))
    for finding in found:
        tell(spelled(finding))
    if fit(found):
        tell("This machine is fit for an experiment.")
        return 0
    tell("This machine is not fit for an experiment yet: fix what is marked FIX.")
    return 1


def spelled(finding: Finding) -> str:
    remedy = f"\n      {finding.remedy}" if finding.remedy else ""
    return f"{MARKS.get(finding.level, 'ok'):4}  {finding.what}: {finding.said}{remedy}"


def _recognizes(config: Config) -> int:
    """Have the engine of a configuration recognize a second of silence; the last line says why it cannot."""
    try:
        config.engine.prepare(note)
        load(config.engine, 1).recognize(np.zeros(RATE, np.float32))
    except CapsexpError as error:
        tell(str(error))
        return 1
    return 0
