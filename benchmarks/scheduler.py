"""How many events a second the server's scheduler takes: 64 workers, 200 flows, for each dispatch and schedule."""

import itertools
import sys
import time
from collections import deque

from capsexp.config.server import DISPATCH, SCHEDULES
from capsexp.server.core.order import order
from capsexp.server.core.queue import Work
from capsexp.server.core.scheduler import Given, Scheduler

WORKERS, FLOWS = 64, 200


def events(dispatch: str, schedule: str, count: int) -> float:
    """Seconds that so many take: a segment that comes, is given and is answered is three."""
    scheduler: Scheduler[Work] = Scheduler(WORKERS, 4 * WORKERS, dispatch, order(schedule, 1.0))
    for worker in range(WORKERS):
        scheduler.open(worker)
    flows = itertools.cycle([scheduler.flow(str(number), mic=number % 4 == 0) for number in range(FLOWS)])
    began, taken, held, busy = time.perf_counter(), 0, 0, deque[int]()

    def turn() -> int:
        given = [act.worker for act in scheduler.turn(taken * 1e-3) if isinstance(act, Given)]
        busy.extend(given)
        return 1 + len(given)

    while taken < count:
        while held < 4 * WORKERS:
            scheduler.submit(Work(next(flows)))
            held += 1
            taken += turn()
        scheduler.over(scheduler.answered(busy.popleft()))
        held -= 1
        taken += turn()
    return time.perf_counter() - began


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for one, other in itertools.product(DISPATCH[:3], SCHEDULES):
        print(f"dispatch={one} schedule={other}: {asked} events in {events(one, other, asked):.1f} s", flush=True)
