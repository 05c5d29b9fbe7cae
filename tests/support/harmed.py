"""Sweeps as values that have all that a page can show: segments, faults, wrong texts, names that are markup."""

from typing import Any

from capsexp.results.read import RunFiles, SweepFiles
from capsexp.results.run import Answer, SampleTexts
from tests.support.reports import a_run, a_sweep

MARKUP = (
    "</script><script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(2)>'\"`${x}{{7*7}}&lt;\x1b\u202e"
)


def trials(workers: int, *makespans: float, **more: Any) -> list[RunFiles]:
    return [a_run(workers, s, trial=n, **more) for n, s in enumerate(makespans, start=1)]


def segmented(one: RunFiles, count: int, faults: int = 0) -> RunFiles:
    """With a request of a segment each for every 10 ms, at the workers in turn; every seventh was tried again."""
    workers, [first] = one.run.workers or 1, one.requests
    one.requests[:] = [{**first, "request": n, "task_id": f"t{n}", "start_s": n / 100, "sent_s": n / 100 + 0.001,
                        "final_s": n / 100 + 0.5} for n in range(count)]  # fmt: skip
    one.segments.extend(
        {"task_id": f"t{n}", "segment": 0, "offset_s": 0.0, "audio_s": 10.0, "new_s": 10.0, "worker": n % workers,
         "pid": 2, "queued_s": n / 100, "started_s": n / 100 + 0.1, "finished_s": n / 100 + 0.4, "queue_wait_s": 0.1,
         "compute_s": 0.3, "retries": int(n % 7 == 6), "status": "ok"}
        for n in range(count)
    )  # fmt: skip
    one.faults.extend(
        {"fault": n, "kind": "kill", "time_s": n / 10, "until_s": None, "worker": n % workers, "pid": 2}
        for n in range(faults)
    )
    answer = Answer(task_id="t0", text="so it is", text_accu="so it is", also=tuple(f"t{n}" for n in range(1, count)))
    one.transcripts["s0"] = SampleTexts(sample="s0", results=(answer,))
    return one


def hostile(count: int = 4) -> SweepFiles:
    """Everything that may be somebody else's is markup."""
    runs = [
        segmented(a_run(w, 10.0 / w, key=f"workers={w},{MARKUP}", trial=t, warnings=[MARKUP]), count)
        for w in (1, 2)
        for t in (1, 2)
    ]
    for run in runs:
        run.transcripts["s0"] = SampleTexts(sample="s0", results=(Answer(task_id="t0", text=MARKUP, text_accu=MARKUP),))
    return a_sweep(runs, name=MARKUP, argv=[MARKUP])


def broken() -> SweepFiles:
    """Runs that failed and are missing, a fault, a text that lost words."""
    dead = a_run(3, None, key="workers=3", status="failed", error="the server died")
    missing = [("workers=2", 3), ("workers=4", 1)]
    whole = [segmented(run, 30, faults=2) for run in (*trials(1, 10.0, 10.1), *trials(2, 5.0, 5.2))]
    lost = Answer(task_id="t3", text="so is", text_accu="so is it now")
    texts = whole[2].transcripts["s0"]
    right = tuple(f"t{n}" for n in range(1, 30) if n != 3)
    first = Answer(task_id="t0", text="so it is", text_accu="so it is", also=right)
    whole[2].transcripts["s0"] = SampleTexts(sample=texts.sample, results=(first, lost))
    return a_sweep([*whole, dead], missing=missing)
