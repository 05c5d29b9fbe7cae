"""capsexp: do more recognizer workers pay on this machine?"""

__version__ = "0.2.0"
