import sys

from capsexp.monitor.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.monitor"))
