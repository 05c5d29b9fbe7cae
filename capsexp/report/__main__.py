"""python -m capsexp.report DIR: build the report again from the run directories alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

from capsexp.errors import ConfigError
from capsexp.files import tell
from capsexp.report.build import rebuild
from capsexp.tool import entry


def main(argv: Sequence[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        raise ConfigError("usage: python -m capsexp.report DIR, the folder of a sweep")
    rebuild(Path(argv[0]))
    tell((Path(argv[0]) / "report.txt").read_text("utf-8").removesuffix("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(entry(main, "capsexp.report"))
