"""Why a configuration disappoints, as far as the data say; each sentence with the number behind it."""

from __future__ import annotations

from typing import Any

from capsexp.analysis import gates


def causes(
    configuration: dict[str, Any], baseline: dict[str, Any], metrics: dict[str, Any], cpu_count: int
) -> list[str]:
    """Sentences for a configuration that fails its speedup or efficiency gate; none for one that does well."""
    if not any(g["name"] in ("speedup", "efficiency") and g["verdict"] == gates.FAIL for g in configuration["gates"]):
        return []
    makespan = metrics["makespan_s"]
    if not makespan:
        return [f"only {metrics['completed']} of {metrics['requests']} requests completed"]
    workers, threads = configuration["workers"] or 1, configuration["threads"] or 1
    found = [
        _oversubscribed(workers, threads, cpu_count),
        _saturated(workers * threads, cpu_count, metrics),
        _too_few(configuration, workers, metrics),
        _idle(metrics),
        _slower_segments(configuration, baseline),
        _paging(metrics, makespan),
        _client(metrics, makespan),
        _front(metrics, makespan),
    ]
    said = [sentence for sentence in found if sentence]
    return said or ["none of the known causes shows in the data; look at segments.csv and monitor.csv of the run"]


def _oversubscribed(workers: int, threads: int, cpus: int) -> str | None:
    if workers * threads <= cpus:
        return None
    return f"threads oversubscribed: {workers} workers x {threads} = {workers * threads} threads on {cpus} CPUs"


def _saturated(threads: int, cpus: int, metrics: dict[str, Any]) -> str | None:
    busiest = max(100 * (metrics["cpu"]["utilisation"] or 0.0), metrics["cpu"]["system_percent"] or 0.0)
    if threads < cpus or busiest <= 90:
        return None
    return f"CPU saturated: {busiest:.0f} % of {cpus} CPUs in use; more workers have nothing to run on"


def _too_few(configuration: dict[str, Any], workers: int, metrics: dict[str, Any]) -> str | None:
    if configuration["dispatch"] in ("task", "hash") and metrics["requests"] < 3 * workers:
        return (
            f"too few requests for the workers: {metrics['requests']} requests on {workers} workers, "
            f"each bound to one by server.dispatch={configuration['dispatch']}"
        )
    if 0 < metrics["segments"] < 3 * workers:
        return (
            f"too few requests for the workers: {metrics['segments']} segments on {workers} workers; "
            "use more or longer samples"
        )
    return None


def _idle(metrics: dict[str, Any]) -> str | None:
    busy = metrics["worker_busy"]
    if not busy or sum(busy) / len(busy) >= 0.8:
        return None
    shares = ", ".join(f"{100 * share:.0f} %" for share in busy)
    return f"workers idle: they recognized during {shares} of the time"


def _slower_segments(configuration: dict[str, Any], baseline: dict[str, Any]) -> str | None:
    mine, theirs = configuration["compute_s"]["p50"], baseline["compute_s"]["p50"]
    if not mine or not theirs or mine / theirs <= 1.2:
        return None
    return (
        f"the same segments take {mine / theirs:.2f} times as long as in {baseline['key']}: "
        "workers contend for cores, cache or memory"
    )


def _paging(metrics: dict[str, Any], makespan: float) -> str | None:
    faults, swapped = metrics["major_faults"] or 0.0, metrics["swap_in_mb"] or 0.0
    if faults / makespan <= 100 and swapped <= 1:
        return None
    return f"memory paging: {faults / makespan:.0f} major faults per second, {swapped:.0f} MB read back from swap"


def _client(metrics: dict[str, Any], makespan: float) -> str | None:
    used, lag = (metrics["cpu"]["client_s"] or 0.0) / makespan, metrics["client_max_loop_lag_s"] or 0.0
    if used <= 0.8 and lag <= 0.5:
        return None
    return f"client the bottleneck: it used {100 * used:.0f} % of a CPU and kept results waiting for up to {lag:.2f} s"


def _front(metrics: dict[str, Any], makespan: float) -> str | None:
    used = (metrics["cpu"]["front_s"] or 0.0) / makespan
    if used <= 0.8:
        return None
    return f"front the bottleneck: it used {100 * used:.0f} % of a CPU to receive, cut and merge"
