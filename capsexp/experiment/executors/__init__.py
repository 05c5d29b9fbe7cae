"""Where a run is executed, a file each."""

from capsexp.experiment.executors.base import Ended, Executor
from capsexp.plugins import PlugPoint

__all__ = ["EXECUTORS", "Ended", "Executor"]

EXECUTORS: PlugPoint[Executor] = PlugPoint("executor", __name__, "capsexp.executors", ("execute",))
