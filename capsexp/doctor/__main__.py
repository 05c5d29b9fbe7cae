import sys

from capsexp.doctor.app import main
from capsexp.tool import entry

sys.exit(entry(main, "capsexp.doctor"))
