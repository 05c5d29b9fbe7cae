"""One long file on 2 workers: segments go to any of them, or all to one."""

from __future__ import annotations

from common import by_key, ratios, repeats, runs

for dispatch in ("segment", "task"):
    found = runs(
        repeats(), "workers=1,2", "samples=long", "samples.minutes=2", f"server.dispatch={dispatch}", "reference=off"
    )
    keys = by_key(found)
    ratios(f"dispatch={dispatch}: 2 workers on one file", keys["workers=1"], keys["workers=2"])
