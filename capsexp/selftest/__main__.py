import sys

from capsexp.selftest.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.selftest"))
