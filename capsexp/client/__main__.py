import sys

from capsexp.client.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.client"))
