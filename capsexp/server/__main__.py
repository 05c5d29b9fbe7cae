"""python -m capsexp.server: nothing is imported here, as every spawned worker imports this file again."""

import sys

if __name__ == "__main__":
    from capsexp.server.app import main
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.server"))
