"""How fast plain processes were: right before which run, and once in a sweep. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from capsexp.results.run import Reference, ReferenceProcesses, Run


class PlainSpeeds:
    """Of a sweep's runs and its references, by their names."""

    def __init__(self, runs: Iterable[Run], references: Mapping[str, Reference]) -> None:
        self._references = references
        self._timed: dict[tuple[str, int, int], list[tuple[int, ReferenceProcesses]]] = {}
        for run in runs:
            for one in run.reference_runs:
                key = run.reference or "", run.trial, one.processes
                self._timed.setdefault(key, []).append((run.num, one))

    def beside(self, run: Run) -> float | None:
        """RTFx with as many processes as the run has workers, in its trial: the last that was timed before it, as a
        trial may be repeated; else the first."""
        if run.workers is None:
            return None
        timed = sorted(self._timed.get((run.reference or "", run.trial, run.workers), []), key=lambda one: one[0])
        before = [one for num, one in timed if num <= run.num]
        return (before[-1] if before else timed[0][1]).throughput_rtfx if timed else None

    def once(self, run: Run) -> float | None:
        """RTFx with as many processes, as it was timed for the whole sweep."""
        reference = self._references.get(run.reference or "")
        runs = reference.runs if reference else ()
        return next((one.throughput_rtfx for one in runs if one.processes == run.workers), None)

    def of(self, name: str) -> dict[int, list[ReferenceProcesses]]:
        """All that was timed of a reference, by process count, in the order of the runs."""
        found: dict[int, list[tuple[int, ReferenceProcesses]]] = {}
        for (key, _, count), timed in self._timed.items():
            if key == name:
                found.setdefault(count, []).extend(timed)
        return {n: [one for _, one in sorted(timed, key=lambda t: t[0])] for n, timed in sorted(found.items())}
