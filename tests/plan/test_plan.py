"""What a plan is made of, on measured runs that a simulation of known truth wrote."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from capsexp import load as loads
from capsexp.analysis.figures import Cpu, Figures, Memory, figures
from capsexp.load import Clip, Given
from capsexp.load.arrivals import dictation, rate
from capsexp.load.seeds import Seeds
from capsexp.plan import document
from capsexp.plan.fit import Measured, Model, fit
from capsexp.plan.limits import limits_known, steady
from capsexp.plan.predict import Settings, check, errors
from capsexp.plan.search import Planner, Question, Setup, cost_per_audio_hour
from capsexp.results.run import ClientFacts
from capsexp.simulation import Outcome, Server, simulate
from tests.support import values

CLIPS = (Clip("short", 4.0), Clip("middle", 9.0), Clip("long", 25.0))
DICTATION = {"name": "dictation", "pacing": "realtime", "users": 4, "turns": 6, "think_s": 2.0}


def truth(workers: int) -> Server:
    """0.1 s and a fifth of the audio, give or take."""

    def service(audio_s: float, new_s: float, chance: random.Random) -> float:
        return (0.1 + 0.2 * audio_s) * chance.uniform(0.9, 1.1)

    return Server(workers, service, gateway_s=0.002, ingest_s=0.02, delivery_s=0.01)


class Noted(Outcome):
    """With what each request took a worker, which one that measures would know."""

    takes: dict[int, float]


def tables(found: Noted, server: Server) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """As a run writes them, of requests that are a segment each."""
    requests, segments = [], []
    for one in found.requests:
        assert one.final_s is not None and one.start_s is not None
        finished = one.final_s - server.delivery_s
        queued = (one.start_s if one.stop_s is None else one.stop_s) + server.ingest_s
        requests.append({
            "request": one.number, "task_id": str(one.number), "duration_s": one.duration_s, "start_s": one.start_s,
            "sent_s": one.sent_s, "final_s": one.final_s, "status": "ok", "due_s": one.due_s, "begun_s": one.due_s,
            "stop_s": one.stop_s, "class": None, "step": None,
        })  # fmt: skip
        compute = found.takes[one.number]
        segments.append({
            "task_id": str(one.number), "segment": 0, "audio_s": one.duration_s, "new_s": one.duration_s, "worker": 0,
            "queued_s": queued, "started_s": finished - compute, "finished_s": finished,
            "queue_wait_s": max(0.0, finished - compute - queued), "compute_s": compute, "retries": 0, "status": "ok",
        })  # fmt: skip
    return requests, segments


def a_run(workers: int, trial: int = 1, server: Server | None = None, **more: Any) -> Measured:
    """Of a truth that is simulated; `more`: its load."""
    said = {**DICTATION, "seg_duration": 60.0, **more}
    kind = loads.LOADS.settings(said["name"])
    load = kind(**said)
    made = server or truth(workers)
    taken: list[float] = []

    def service(audio_s: float, new_s: float, chance: random.Random) -> float:
        taken.append(made.service_s(audio_s, new_s, chance))
        return taken[-1]

    turns = loads.plan(load, Given(CLIPS, Seeds.of(load, trial)))
    found = simulate(replace(made, service_s=service), CLIPS, turns, load, seed=100 + trial)
    noted = Noted(**vars(found))
    noted.takes = dict(enumerate(taken))
    requests, segments = tables(noted, made)
    run = values.a_run(
        num=trial, key=f"workers={workers}", trial=trial, workers=workers, config=values.config(
            workers=workers, load={**vars(load)},
        ),
        samples=[{"name": clip.name, "duration_s": clip.duration_s} for clip in CLIPS], phases_s={"load_models": 3.0},
    )  # fmt: skip
    seen = figures(run, requests, segments, [], ClientFacts(timed=True))
    return Measured(run, with_costs(seen, workers, noted), requests, segments, births(workers))


def with_costs(seen: Figures, workers: int, found: Outcome) -> Figures:
    memory = 100.0 + 50 * workers
    return replace(
        seen,
        memory=Memory("pss", memory, memory, memory, memory),
        cpu=Cpu(gateway_s=found.gateway_s, workers_s=sum(found.busy_s)),
    )


def births(workers: int) -> list[dict[str, Any]]:
    return [
        {"time_s": time + n, "worker": n, "pid": n, "event": event}
        for n in range(workers) for time, event in ((0.0, "started"), (1.5, "ready"))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> list[Measured]:
    return [a_run(workers, trial) for workers in (1, 2, 4) for trial in (1, 2)]


@pytest.fixture(scope="module")
def model(runs: list[Measured]) -> Model:
    return fit(runs)


def test_a_model_recovers_what_was_planted(model: Model) -> None:
    assert model.service.fixed_s == pytest.approx(0.1, abs=0.05)
    assert model.service.mean_s(20.0, 20.0) == pytest.approx(4.1, rel=0.03)
    assert 0.88 < min(model.service.factors) < 0.95 and 1.05 < max(model.service.factors) < 1.12
    assert model.gateway_s == {"realtime": pytest.approx(0.002, rel=0.01)}
    assert model.ingest_s == pytest.approx(0.02, abs=1e-6)
    assert model.delivery_s == pytest.approx(0.01, abs=1e-6)
    assert model.load_s == pytest.approx(1.5) and model.node_s == pytest.approx(3.0)
    assert model.memory is not None
    assert (model.memory.base_mb, model.memory.per_worker_mb) == pytest.approx((100, 50))
    assert model.needs_cores and model.workers_on(8) == 8


def test_workers_that_slow_each_other_down_are_seen_to() -> None:
    known = [a_burst(n, 0.1) for n in (1, 2, 4)]
    found = fit(known)
    slow = found.slowdown(4, 4)
    assert slow[4] / slow[1] == pytest.approx(1.3, rel=0.05)
    assert found.slowdown(8, 64)[8] / slow[1] == pytest.approx(1.7, rel=0.1)
    assert replace(found, sigma=0.0).slowdown(8, 64)[8] == pytest.approx(slow[1])  # said to be otherwise
    assert replace(found, sigma=0.2).slowdown(8, 64)[8] / slow[1] == pytest.approx(2.4)


def a_burst(workers: int, slowdown: float) -> Measured:
    """All workers at work all the time."""
    takes = 1 + slowdown * (workers - 1)
    segments = [
        {
            "task_id": str(n), "segment": 0, "audio_s": 5.0, "new_s": 5.0, "worker": n % workers, "queued_s": 0.0,
            "started_s": n // workers * takes, "finished_s": (n // workers + 1) * takes, "queue_wait_s": 0.0,
            "compute_s": takes, "retries": 0, "status": "ok",
        } for n in range(20 * workers)
    ]  # fmt: skip
    run = values.a_run(workers=workers, key=f"workers={workers}", phases_s={})
    return Measured(run, Figures(), [], segments, [])


def test_workers_beyond_the_cores_share_them(model: Model) -> None:
    two = model.slowdown(4, 2)
    assert two[4] == pytest.approx(2 * two[2], rel=0.02)
    sleeping = replace(model, needs_cores=False)
    assert sleeping.workers_on(2) is None
    assert sleeping.slowdown(4, 2)[4] == pytest.approx(1.0, abs=0.05)


def test_a_worker_that_waits_for_a_cpu_needs_one() -> None:
    one = a_burst(1, 0.0)
    starved = replace(one, figures=Figures(cpu=Cpu(workers_s=5.0)))  # of 20 s of work
    assert not fit([starved]).needs_cores
    assert fit([replace(starved, waited_s=10.0)]).needs_cores
    assert fit([one]).needs_cores  # nobody knows


def test_each_configuration_is_predicted_from_the_others(runs: list[Measured]) -> None:
    found = check(runs)
    assert [one.key for one in found] == ["workers=1", "workers=2", "workers=4"]
    for one in found:
        assert one.key not in one.by
        assert {error.metric for error in one.errors} == {
            "throughput_rtfx", "stop_to_text_p50_s", "stop_to_text_p95_s"
        }  # fmt: skip
        for error in one.errors:
            assert abs(error.share) < (0.05 if error.metric == "throughput_rtfx" else 0.15), (one.key, error)


def test_a_model_of_another_server_is_found_out(runs: list[Measured]) -> None:
    """The check would be worth nothing if it did not see a wrong prediction."""
    slower = truth(4)
    made = replace(slower, service_s=lambda a, n, c: 2 * truth(4).service_s(a, n, c))
    other = a_run(4, server=made)
    worst = max(abs(error.share) for error in errors(fit(runs[:4]), [other]))
    assert worst > 0.3


def test_of_one_configuration_each_trial_is_predicted_from_the_others(runs: list[Measured]) -> None:
    assert [(one.key, one.trial) for one in check(runs[:2])] == [("workers=1", 1), ("workers=1", 2)]
    assert check(runs[:1]) == []


def test_what_no_simulation_knows_is_not_checked(runs: list[Measured]) -> None:
    config = {**runs[2].run.config, "load": {"name": "schedule", "csv": "x"}}
    strange = [replace(one, run=msgspec.structs.replace(one.run, config=config)) for one in runs[2:4]]
    assert [one.key for one in check([*runs[:2], *strange])] == ["workers=1"]


def question(amount: float, users: bool = True, **more: Any) -> Question:
    load = dictation.Settings(seg_duration=60.0, think_s=2.0) if users else rate.Settings(seg_duration=60.0)
    slo = {"stop_to_text_p95_s": 6.0} if users else {"turnaround_p95_s": 12.0}
    return Question(**{"amount": amount, "load": load, "clips": CLIPS, "slo": slo, "cores": 8, **more})


def planner(model: Model, asked: Question) -> Planner:
    """With as few requests as do for a test."""
    return Planner(model, Settings(), asked, requests=200)


def test_a_plan_is_the_fewest_that_hold(model: Model) -> None:
    found = planner(model, question(12)).plan()
    assert found.chosen is not None and found.chosen.holds
    assert found.chosen.slo["stop_to_text_p95_s"] <= 6.0
    assert not found.beside["one worker dead"].holds
    assert found.beside["one worker dead"].setup.workers == found.chosen.setup.workers - 1
    assert found.beside["one worker more"].slo["stop_to_text_p95_s"] <= found.chosen.slo["stop_to_text_p95_s"]
    # Users speak 12.7 s on average, think 2 and wait about 3; so 12 of them make about 8.6 s of audio each second.
    assert found.chosen.throughput_rtfx == pytest.approx(8.6, rel=0.1)
    assert found.failure is not None and found.failure.worst_s >= found.failure.worst_without_s
    assert cost_per_audio_hour(found.chosen, 2.0) == pytest.approx(2.0 / found.chosen.throughput_rtfx)


def test_more_than_one_machine_carries_takes_several(model: Model) -> None:
    found = planner(model, question(100, cores=4)).plan()
    (edge,) = found.edges
    assert edge.binds == "cores" and edge.amount < 100
    assert found.chosen is not None and found.chosen.holds
    assert found.chosen.setup.machines >= 100 / edge.amount
    assert not found.beside["one machine dead"].holds


def test_memory_that_ends_the_workers_is_named(model: Model) -> None:
    made = planner(model, question(100, cores=64, memory_mb=320.0))
    assert made.most_workers(1) == (4, "memory")
    edge = made.edge(1)
    assert edge is not None and edge.binds == "memory" and edge.setup.workers == 4
    assert planner(model, question(100, memory_mb=120.0)).plan().chosen is None


def test_a_gateway_that_binds_is_named_and_gets_others_beside_it(model: Model) -> None:
    costly = replace(model, gateway_s={"realtime": 0.1})  # ten seconds of audio per second
    found = planner(costly, question(24, cores=64)).plan()
    assert found.edges[0].binds == "gateway"
    assert found.chosen is not None and found.chosen.setup.servers > 1 and found.chosen.setup.machines == 1
    assert found.edges[-1].amount > found.edges[0].amount


def test_workers_that_only_slow_each_other_down_are_named(model: Model) -> None:
    edge = planner(replace(model, sigma=0.3), question(100, cores=64)).edge(1)
    assert edge is not None and edge.binds == "contention" and edge.setup.workers == 63


def test_arrivals_that_are_more_than_workers_can_do_are_not_taken_for_a_short_wait(model: Model) -> None:
    asked = question(10.0, users=False)  # of which two workers do 9.3
    assert planner(model, asked).at(Setup(workers=2), 10.0).slo["turnaround_p95_s"] > 60


def test_a_limit_shorter_than_a_segment_takes_is_no_question_of_workers(model: Model) -> None:
    found = planner(model, question(3, slo={"stop_to_text_p95_s": 0.5})).plan()
    assert found.chosen is None and found.edges[0].binds == "service"


def test_files_that_arrive_are_planned_by_their_audio(model: Model) -> None:
    found = planner(model, question(12.0, users=False)).plan()
    assert found.chosen is not None and 3 <= found.chosen.setup.workers <= 6  # 12 x 0.21 are at work
    assert found.chosen.throughput_rtfx == 12.0
    late = planner(model, question(12.0, users=False, slo={"late_share": 0.05})).plan()
    assert late.chosen is not None and late.chosen.slo["late_share"] <= 0.05
    assert "stop_to_text_p95_s" not in limits_known(rate.Settings())


def test_the_beginning_and_the_end_of_a_load_are_left_out() -> None:
    load = dictation.Settings(users=3, turns=5, think_s=1.0)
    found = simulate(truth(2), CLIPS, loads.plan(load, Given(CLIPS)), load)
    kept = steady(found, True)
    last = min(one.due_s for one in found.requests if one.turn == 4)
    assert kept and all(one.turn and one.due_s <= last for one in kept)


def a_document(model: Model, asked: Question, runs: list[Measured]) -> document.Document:
    checked = check(runs)
    return document.Document(
        sweep="s", asked="what", amount=asked.amount, unit="users", slo=dict(asked.slo), cores=asked.cores,
        memory_mb=asked.memory_mb, checked=tuple(checked), worst=document.too_short(checked),
        planned=planner(model, asked).plan(), cost=0.5,
        assumptions=document.assumptions(model, asked, ["workers=1"], True),
    )  # fmt: skip


def test_a_plan_says_that_it_is_predicted_and_what_it_was_validated_against(model: Model, runs: list[Measured]) -> None:
    made = a_document(model, question(12), runs)
    said = document.text(made)
    assert said.startswith("Asked: what\n\nPredicted: 1 machine, ")
    assert "workers=4" in said and "stop_to_text_p95_s" in said and "off by" in said
    assert "disturbed (INVALID" in said and "Cost: 0.5 " in said
    page = document.markdown(made, "x.svg")
    assert "![what users wait, against the load](x.svg)" in page and "|:---" in page
    assert msgspec.json.decode(msgspec.json.encode(made))["marked"] == "predicted"


def test_a_gateway_that_was_measured_under_another_load_is_named_first(model: Model, runs: list[Measured]) -> None:
    (spoken,) = model.gateway_s
    assert model.gateway_elsewhere(spoken) is None and model.gateway_elsewhere("another") == spoken
    made = a_document(model, question(12), runs)
    assert "The gateway's cost" not in document.text(made)
    said = document.text(msgspec.structs.replace(made, gateway_of="burst"))
    assert said.index("pacing=burst, the only one that was measured") < said.index("Validated against")


def test_a_plan_without_anything_to_validate_it_says_so(model: Model, runs: list[Measured]) -> None:
    assert "Not validated" in document.text(a_document(model, question(3), runs[:1]))


def test_a_plan_within_the_error_of_its_check_says_so(model: Model, runs: list[Measured]) -> None:
    made = a_document(model, question(12), runs)
    assert msgspec.structs.replace(made, worst=0.0).tight is False
    tight = msgspec.structs.replace(made, worst=1.0)
    assert tight.tight and "within the error of the check" in document.text(tight)


def test_what_cannot_be_held_says_why(model: Model, runs: list[Measured]) -> None:
    said = document.text(a_document(model, question(3, slo={"stop_to_text_p95_s": 0.5}), runs[:1]))
    assert "Predicted: no number of workers holds this: even a single user waits longer" in said
