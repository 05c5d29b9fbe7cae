"""What Slurm is told and what it says, as values."""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsexp.config.executor import NODES

# What ended by somebody else's doing, or the cluster's: it says nothing of what was measured.
VOID = frozenset({
    "BOOT_FAIL", "CANCELLED", "DEADLINE", "LAUNCH_FAILED", "NODE_FAIL", "PREEMPTED", "RECONFIG_FAIL", "REVOKED",
    "STOPPED", "SUSPENDED", "TIMEOUT",
})  # fmt: skip
_AGAIN = "its run is made again by resume=FOLDER"
HELPS = {  # after such an end, where more can be said than that
    "TIMEOUT": "raise executor.time_limit_min, or make the runs shorter",
    "NODE_FAIL": f"the node failed; {_AGAIN}, on another with executor.node=NAME",
    "PREEMPTED": f"another job took its place; {_AGAIN}, or choose executor.arguments=--qos=NAME",
    "LAUNCH_FAILED": "does that node see the sweep's folder and this Python?",
}
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
ENDING = frozenset({"RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT"})
# Reasons to wait that never pass by themselves, each with what helps.
HOPELESS = {
    "PartitionTimeLimit": "the partition allows less time: lower executor.time_limit_min",
    "PartitionNodeLimit": "the partition does not allow jobs of one node: choose another with executor.partition",
    "PartitionDown": "choose another with executor.partition",
    "PartitionInactive": "choose another with executor.partition",
    "BadConstraints": "no node has what executor.constraint asks for",
    "JobHeldUser": "release it or cancel it",
    "JobHeldAdmin": "ask the cluster's administrators",
    "AccountNotAllowed": "choose another: executor.arguments=--account=NAME",
    "QOSNotAllowed": "choose another: executor.arguments=--qos=NAME",
    "InvalidAccount": "choose another: executor.arguments=--account=NAME",
    "InvalidQOS": "choose another: executor.arguments=--qos=NAME",
}
USUAL = ("None", "Priority", "Resources", "")  # reasons to wait of which nothing is to be said
USABLE = frozenset({"idle", "allocated", "mixed", "completing", "reserved", "planned"})  # states of nodes


@dataclass(frozen=True)
class Job:
    id: str
    state: str
    reason: str = ""
    node: str = ""


def name(sweep_dir: Path) -> str:
    """Of all jobs of a sweep, and of no other: a runner that goes on with it finds those that were left."""
    return f"capsexp-{hashlib.sha256(bytes(sweep_dir)).hexdigest()[:12]}"


def launch(
    options: Mapping[str, Any], job: str, node: str | None, within_s: float, binds: bool, command: Sequence[str]
) -> list[str]:
    """The line that has `command` run on a node of its own, named `job`. `node`: the one to be used, where that is
    settled; `binds`: the cluster pins tasks to CPUs if it is not told otherwise. What the command is told in its
    environment goes from memory to memory: no file of Slurm's holds it, as it would with sbatch."""
    line = [
        "srun", f"--job-name={job}", "--nodes=1", "--ntasks=1", "--exclusive", "--mem=0", "--unbuffered",
        *(["--cpu-bind=none"] if binds else []),
    ]  # fmt: skip
    minutes = options.get("time_limit_min") or (within_s / 60 + 1 if math.isfinite(within_s) else None)
    asked = {
        "time": math.ceil(minutes) if minutes else None,
        "partition": options.get("partition"),
        "constraint": options.get("constraint"),
        "nodelist": options.get("node") or node,
    }
    line += [f"--{key}={value}" for key, value in asked.items() if value]
    return [*line, *shlex.split(options.get("arguments") or ""), *command]


def without_job(env: Iterable[str]) -> list[str]:
    """The names that tell srun to be part of a job, which it must not be where we run in one ourselves."""
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    return sorted(key for key in env if key.startswith("SLURM_") and key not in kept)


def lost(where: str, ended: str | None) -> str:
    """Of a job whose end says nothing of what was measured; `ended`: its state, None where Slurm forgot it."""
    helps = HELPS.get(ended or "", _AGAIN)
    return f"{where} was lost: Slurm says {ended or 'nothing about it any more'}; {helps}"


def at_once(where: str, code: int, said: str | None, folder: Path, program: str) -> str:
    """Of a job that ended before its run had begun; `said`: the last line that it printed, which names what is not
    there, None where not even Python began; `folder`, `program`: of the sweep, and our Python."""
    why = said or f"does that node see {folder} and {program}? srun's own message, above, says more"
    return f"{where} ended at once, with code {code}: {why}"


def queued(said: str) -> list[Job]:
    """Of `squeue -h -o '%i|%T|%r|%N'`."""
    rows = (line.split("|") for line in said.splitlines())
    return [Job(*(cell.strip() for cell in row)) for row in rows if len(row) == 4]


def described(said: str) -> Job | None:
    """Of `scontrol show job -o ID`; None where it does not know that job."""
    found = dict(re.findall(r"(?:^|\s)(JobId|JobState|Reason|NodeList)=(\S*)", said))
    if "JobId" not in found or "JobState" not in found:
        return None
    node = found.get("NodeList", "")
    return Job(found["JobId"], found["JobState"], found.get("Reason", ""), "" if node == "(null)" else node)


def hopeless(job: Job) -> str | None:
    """Why a job will never begin, and what helps."""
    helps = HOPELESS.get(job.reason) if job.state in WAITING else None
    return None if helps is None else f"job {job.id} will not begin ({job.reason}): {helps}"


def asked(options: Mapping[str, Any]) -> dict[str, str]:
    """What chooses nodes."""
    return {key: options[key] for key in NODES if options.get(key)}
