"""python -m capsexp.report.exporters.mlflow SWEEP [--tracking-uri URI]: log a sweep to MLflow (extra `mlflow`): a run
for each configuration. What is there already is left alone. The server is MLflow's own choice: MLFLOW_TRACKING_URI."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from capsexp import archive, escape
from capsexp.errors import CapsexpError, ConfigError
from capsexp.files import tell
from capsexp.report.exporters import mlflow
from capsexp.results.read import read_report


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="capsexp.report.exporters.mlflow", description=__doc__, allow_abbrev=False)
    parser.add_argument("sweep", type=Path, help="a sweep's folder or zip, whose report has been made")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's server, in place of MLFLOW_TRACKING_URI")
    asked = parser.parse_args(argv)
    with nullcontext(asked.sweep) if asked.sweep.is_dir() else archive.unpacked(asked.sweep) as folder:
        told = json.loads(mlflow.render(read_report(folder)))
    new = log(told, asked.tracking_uri)
    tell(f"{new} of {len(told['runs'])} runs logged to the experiment {told['experiment']!r}; the others were there")
    return 0


def log(told: dict[str, Any], uri: str | None = None) -> int:
    """How many runs were not there before. Raises ConfigError without MLflow, CapsexpError where it fails."""
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise ConfigError(f"MLflow is not here ({error}): pip install 'capsexp[mlflow]'") from None
    try:
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(told["experiment"])
        where = known.experiment_id if known else client.create_experiment(told["experiment"])
        new = 0
        for run in told["runs"]:
            digest = run["tags"]["capsexp.digest"]
            if client.search_runs([where], f"tags.`capsexp.digest` = '{digest}'", max_results=1):
                continue
            made = client.create_run(where, run_name=run["name"]).info
            client.log_batch(
                made.run_id,
                [Metric(name, value, made.start_time, 0) for name, value in run["metrics"].items()],
                [Param(name, value) for name, value in run["params"].items()],
                [RunTag(name, value) for name, value in run["tags"].items()],  # last, so that half a run is made again
            )
            client.set_terminated(made.run_id)
            new += 1
        return new
    except MlflowException as error:
        raise CapsexpError(f"MLflow: {escape.one_line(error).split('. ')[0]}") from None


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.report.exporters.mlflow"))
