"""Why a configuration disappoints, as far as the data say; each sentence with the number behind it."""

from __future__ import annotations

from typing import Any

from capsexp.analysis import gates


def causes(
    configuration: dict[str, Any],
    baseline: dict[str, Any],
    metrics: dict[str, Any],
    cpu_count: int,
    as_fast_with_fewer: str | None = None,
) -> list[str]:
    """Sentences, each with its figure and what to try, for a configuration that fails its speedup or efficiency gate
    or is no faster than one with fewer workers; none for one that does well."""
    missed = any(g["name"] in ("speedup", "efficiency") and g["verdict"] == gates.FAIL for g in configuration["gates"])
    if not missed and as_fast_with_fewer is None:
        return []
    makespan = metrics["makespan_s"]
    if not makespan:
        return [f"only {metrics['completed']} of {metrics['requests']} requests completed"]
    workers, threads = configuration["workers"] or 1, configuration["threads"] or 1
    gain = f"no faster than {as_fast_with_fewer}, with more workers" if as_fast_with_fewer else None
    found = [
        gain,
        _oversubscribed(workers, threads, cpu_count),
        _saturated(workers * threads, cpu_count, metrics),
        _too_few(configuration, workers, metrics),
        _idle(metrics, configuration["timeline"]),
        _slower_segments(configuration, baseline),
        _paging(metrics, makespan),
        _disk(metrics, makespan),
        _client(metrics, makespan),
        _front(metrics, makespan),
    ]
    said = [sentence for sentence in found if sentence]
    return (
        said
        if len(said) > bool(gain)
        else [*said, "none of the known causes shows in the data; look at segments.csv and monitor.csv of the run"]
    )


def _oversubscribed(workers: int, threads: int, cpus: int) -> str | None:
    if workers * threads <= cpus:
        return None
    return (
        f"threads oversubscribed: {workers} workers x {threads} = {workers * threads} threads on {cpus} CPUs; "
        f"try {f'threads={max(1, cpus // workers)}' if threads > 1 else f'workers={cpus}'}"
    )


def _saturated(threads: int, cpus: int, metrics: dict[str, Any]) -> str | None:
    busiest = max(100 * (metrics["cpu"]["utilisation"] or 0.0), metrics["cpu"]["system_percent"] or 0.0)
    if threads < cpus or busiest <= 90:
        return None
    return (
        f"CPU saturated: {busiest:.0f} % of {cpus} CPUs in use; more workers have nothing to run on; "
        "try fewer workers or a smaller model"
    )


def _too_few(configuration: dict[str, Any], workers: int, metrics: dict[str, Any]) -> str | None:
    if configuration["dispatch"] in ("task", "hash") and metrics["requests"] < 3 * workers:
        return (
            f"too few requests for the workers: {metrics['requests']} requests on {workers} workers, "
            f"each bound to one by server.dispatch={configuration['dispatch']}; try server.dispatch=segment"
        )
    if 0 < metrics["segments"] < 3 * workers:
        return (
            f"too few requests for the workers: {metrics['segments']} segments on {workers} workers; try load.repeats=3"
        )
    return None


def _idle(metrics: dict[str, Any], timeline: dict[str, Any] | None) -> str | None:
    busy = metrics["worker_busy"]
    if not busy or sum(busy) / len(busy) >= 0.8:
        return None
    shares = ", ".join(f"{100 * share:.0f} %" for share in busy)
    said = f"workers idle: they recognized during {shares} of the time"
    where = timeline or {}
    if where.get("queue_empty") is not None:
        said += f", no segment waited for {100 * where['queue_empty']:.0f} % of it"
    if where.get("client_waiting") is not None:
        said += f", and for {100 * where['client_waiting']:.0f} % the client had nothing left to send"
    return said + "; try load.repeats=3"


def _slower_segments(configuration: dict[str, Any], baseline: dict[str, Any]) -> str | None:
    mine, theirs = configuration["compute_s"]["p50"], baseline["compute_s"]["p50"]
    if not mine or not theirs or mine / theirs <= 1.2:
        return None
    return (
        f"the same segments take {mine / theirs:.2f} times as long as in {baseline['key']}: "
        "workers contend for cores, cache or memory; try fewer workers"
    )


def _paging(metrics: dict[str, Any], makespan: float) -> str | None:
    faults, swapped = metrics["major_faults"] or 0.0, metrics["swap_in_mb"] or 0.0
    if faults / makespan <= 100 and swapped <= 1:
        return None
    return (
        f"memory paging: {faults / makespan:.0f} major faults per second, {swapped:.0f} MB read back from swap; "
        "try fewer workers"
    )


def _disk(metrics: dict[str, Any], makespan: float) -> str | None:
    rate = (metrics.get("read_mb") or 0.0) / makespan
    return (
        f"disk: the server read {rate:.0f} MB/s; try a set that fits in memory, or fewer workers" if rate > 50 else None
    )


def _client(metrics: dict[str, Any], makespan: float) -> str | None:
    used, lag = (metrics["cpu"]["client_s"] or 0.0) / makespan, metrics["client_max_loop_lag_s"] or 0.0
    if used <= 0.8 and lag <= 0.5:
        return None
    return (
        f"client the bottleneck: it used {100 * used:.0f} % of a CPU and kept results waiting for up to "
        f"{lag:.2f} s; try a smaller load.concurrency"
    )


def _front(metrics: dict[str, Any], makespan: float) -> str | None:
    used = (metrics["cpu"]["front_s"] or 0.0) / makespan
    if used <= 0.8:
        return None
    return (
        f"front the bottleneck: it used {100 * used:.0f} % of a CPU to receive, cut and merge; "
        "try a larger load.message_s"
    )
