"""capsexp: do more recognizer processes pay on this machine?"""

__version__ = "0.2.0"
