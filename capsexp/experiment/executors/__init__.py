"""Where a run is executed, a file each."""

from capsexp.experiment.executors.base import Ended, Executor
from capsexp.plugpoints import EXECUTORS

__all__ = ["EXECUTORS", "Ended", "Executor"]
