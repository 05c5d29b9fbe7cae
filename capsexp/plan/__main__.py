import sys

from capsexp.plan.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.plan"))
