"""python -m capsexp.archive verify X names each changed, missing or extra file; X is a sweep's folder or its zip."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from capsexp import escape
from capsexp.archive import verify
from capsexp.errors import ConfigError
from capsexp.files import tell


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2 or argv[0] != "verify":
        raise ConfigError("usage: python -m capsexp.archive verify X, a sweep's folder or its zip")
    problems = verify(Path(argv[1]))
    tell("\n".join(map(escape.one_line, problems)) if problems else json.dumps({"verified": Path(argv[1]).name}))
    return 1 if problems else 0


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.archive", __doc__))
