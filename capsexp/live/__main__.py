import sys

from capsexp.live.app import __doc__ as about
from capsexp.live.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.live", about))
