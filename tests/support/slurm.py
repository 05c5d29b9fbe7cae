"""A real Slurm of two nodes on this machine, from nothing: its state in a folder, its daemons children of ours. node1
(feature `small`) has one CPU, node2 (`big`) all of them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support import PATIENCE

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "srun", "squeue", "scontrol", "scancel", "sinfo")
CONFIG = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000 Feature=small State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000 Feature=big State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def lacking() -> str | None:
    """Why no cluster can be started here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Slurm of our own is started by root, on Linux"
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {lacks[0]} here (.ci/slurm installs Debian's)" if lacks else None


class Cluster:
    """Up when it is made; raises AssertionError where it does not come up."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.daemons = folder, dict[str, subprocess.Popen[bytes]]()
        (folder / "state").mkdir(mode=0o700, parents=True)
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        folder.chmod(0o755)
        text = CONFIG.format(host=socket.gethostname().partition(".")[0], folder=folder, ports=_ports(3))
        (folder / "slurm.conf").write_text(text)
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}
        given = [f"--{option}={folder}/munge.{name}" for option, name in (
            ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"),
        )]  # fmt: skip
        try:
            self._start("munged", "munged", "--foreground", "--force", f"--key-file={folder}/key", *given)
            self._until(lambda: (folder / "munge.socket").is_socket())
            self._start("slurmctld", "slurmctld", "-D", "-c")
            self._until(lambda: "UP" in self.said("scontrol", "ping"))
            for node, cpus in (("node1", "0"), ("node2", f"0-{(os.cpu_count() or 1) - 1}")):
                (folder / f"spool.{node}").mkdir()
                self._start(node, "taskset", "-c", cpus, "slurmd", "-D", "-N", node)
            self._until(lambda: self.said("sinfo", "-hNo", "%T").split() == ["idle", "idle"])
        except BaseException:
            self.down()
            raise

    def said(self, *words: str) -> str:
        """What a command says, whatever it ends with."""
        env = {**os.environ, **self.env}
        return subprocess.run(words, capture_output=True, text=True, env=env, timeout=PATIENCE).stdout

    def jobs(self) -> list[str]:
        return self.said("squeue", "-ho", "%i").split()

    def down(self) -> None:
        for process in reversed(list(self.daemons.values())):
            for signum, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    process.send_signal(signum)
                    process.wait(seconds)
                    break

    def _start(self, name: str, *line: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as out:
            self.daemons[name] = subprocess.Popen(
                line, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **self.env},
            )  # fmt: skip

    def _until(self, there: "object") -> None:
        deadline = time.monotonic() + PATIENCE
        while not there():  # type: ignore[operator]
            assert time.monotonic() < deadline, [path.read_text() for path in self.folder.glob("*.out")]
            time.sleep(0.05)


def _ports(count: int) -> Sequence[int]:
    """That are free now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def holders(secret: str, *places: Path) -> list[str]:
    """The files below some places that hold a text, also within others (zip)."""
    import zipfile

    found = []
    for path in (path for place in places for path in ([place] if place.is_file() else place.rglob("*"))):
        if path.is_file() and secret.encode() in path.read_bytes():
            found.append(str(path))
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                found += [f"{path}: {name}" for name in packed.namelist() if secret.encode() in packed.read(name)]
    return found
