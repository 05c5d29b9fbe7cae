"""Where a run is executed, a file each."""

from capsexp.experiment.executors.base import Executor, JobEnd
from capsexp.plugpoints import EXECUTORS

__all__ = ["EXECUTORS", "Executor", "JobEnd"]
