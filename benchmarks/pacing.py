"""How late is the client with the packets of many users who speak at once? Against engine=null, beside its server.

For each number of users: p50 and p99 of how late the client was by itself, or why the run counts for nothing.
"""

from __future__ import annotations

import argparse

from common import sweep

from capsexp.results.read import read_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--packet-s", type=float, default=0.05)
    asked = parser.parse_args()
    users = ",".join(map(str, asked.users))
    given = (
        "engine=null", "engine.rtf=0.001", "samples=quick", "load=dictation", f"load.users={users}", "load.turns=2",
        "load.think_s=1", f"load.packet_s={asked.packet_s:g}", "reference=off", "workers=2", "trials=1",
        "trials_max=1", "validity.min_s=null", "live=false",
    )  # fmt: skip
    with sweep(*given) as out:
        found = read_report(out)
    for c in found.configurations:
        late = [c.value(f"lateness_p{percent}_s") for percent in (50, 99)]
        said = ", ".join("unknown" if value is None else f"{1000 * value:.2f} ms" for value in late)
        reasons = dict.fromkeys(reason.reason for run in c.validity.runs for reason in run.reasons)
        judged = f"INVALID: {'; '.join(reasons)}" if reasons else "valid"
        print(f"{c.key}: {c.requests.completed} of {c.requests.total} requests; late by p50, p99: {said}; {judged}")


if __name__ == "__main__":
    main()
