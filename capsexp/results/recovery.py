"""Whether a server that was harmed is whole again, from the rows of faults.csv and workers.csv. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.results.rows import FaultRow, WorkerRow

# After these a worker has to be replaced; after the others it is when it could not go on.
REPLACED = frozenset({"kill_worker", "kill_all_workers", "crash_engine", "freeze_worker", "kill_node", "freeze_node"})


def recoveries(deeds: Sequence[FaultRow], events: Sequence[WorkerRow]) -> list[float | None]:
    """Per fault that needs it: seconds until every worker that it struck was ready again in another process; None where
    that was not seen. `deeds` are the rows of faults.csv, `events` those of workers.csv."""
    found: list[float | None] = []
    for struck in by_fault(deeds):
        back = [back_at(deed, events) for deed in struck if ends_worker(deed, events)]
        if back:
            known = [at for at in back if at is not None]
            began = min(deed["time_s"] for deed in struck)
            found.append(max(known) - began if len(known) == len(back) else None)
    return found


def awaited(deeds: Sequence[FaultRow], events: Sequence[WorkerRow]) -> bool:
    """Whether the server is not whole again; never for one that tells nothing of its workers."""
    return bool(events) and any(took is None for took in recoveries(deeds, events))


def by_fault(deeds: Sequence[FaultRow]) -> list[list[FaultRow]]:
    """The rows of each injected fault."""
    return [[d for d in deeds if d["fault"] == number] for number in dict.fromkeys(d["fault"] for d in deeds)]


def back_at(deed: FaultRow, events: Sequence[WorkerRow]) -> float | None:
    """When the last of the workers that lived in the struck process was ready in another."""
    lived = {e["worker"] for e in events if e["pid"] == deed["pid"]}
    ready = [min((e["time_s"] for e in events if _is_new(e, worker, deed)), default=None) for worker in lived]
    known = [at for at in ready if at is not None]
    return max(known) if known and len(known) == len(ready) else None


def ends_worker(deed: FaultRow, events: Sequence[WorkerRow]) -> bool:
    """Whether the struck process is to be replaced, or was."""
    died = (e["event"] == "died" and e["pid"] == deed["pid"] and e["time_s"] >= deed["time_s"] for e in events)
    return deed["kind"] in REPLACED or any(died)


def _is_new(event: WorkerRow, worker: int, deed: FaultRow) -> bool:
    again = event["event"] == "ready" and event["worker"] == worker and event["pid"] != deed["pid"]
    return bool(again and event["time_s"] >= deed["time_s"])
