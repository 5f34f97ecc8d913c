"""Classify frames with PyFlink: the Kafka connector of the Table API, and a vectorised (pandas) function.

It runs alone, in an environment that has apache-flink and torch: `python pyflink_table.py --help`. Flink runs in this
process's own Java machine, with one Python worker for each core. docs/benchmarks.md says where each setting comes from.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

HELPER = Path(__file__).with_name("torch_classifier.py")


class Classify(ScalarFunction):  # type: ignore[misc]
    """Takes a batch of JPEGs, and returns their results as JSON."""

    def __init__(self, architecture: str, weights: str) -> None:
        self._architecture, self._weights = architecture, weights

    def open(self, _: FunctionContext) -> None:
        from torch_classifier import messages, torch_classifier  # noqa: PLC0415 - Flink sends it to the worker

        self._answer = torch_classifier(self._architecture, self._weights, threads=1)
        self._messages = messages

    def eval(self, pictures: Any) -> Any:
        return pd.Series(self._messages(self._architecture, self._answer(list(pictures))))


def main() -> None:
    arguments = _parser().parse_args()
    # As on a cluster; in one Java machine, Flink would run all Python workers as threads of this process.
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - its name
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    settings = {
        "pipeline.jars": ";".join(f"file://{jar}" for jar in arguments.jars.split(",")),
        "parallelism.default": str(arguments.cores),
        "python.executable": sys.executable,
        "python.execution-mode": "process",
        "python.fn-execution.arrow.batch.size": str(arguments.batch),
        "python.fn-execution.bundle.size": str(2 * arguments.batch),
        "execution.checkpointing.interval": "10s",
        "restart-strategy.type": "none",
    }
    for name, value in settings.items():
        table.get_config().set(name, value)
    table.add_python_file(str(HELPER))

    table.execute_sql(
        _table(
            "frames",
            arguments.servers,
            arguments.frames,
            "picture BYTES",
            {
                "properties.group.id": arguments.group,
                "scan.startup.mode": "earliest-offset",
            },
        )
    )
    table.execute_sql(_table("results", arguments.servers, arguments.results, "message STRING", {}))
    classify = udf(
        Classify(arguments.architecture, arguments.weights), result_type=DataTypes.STRING(), func_type="pandas"
    )
    table.create_temporary_function("classify", classify)
    table.execute_sql("INSERT INTO results SELECT `key`, classify(picture) FROM frames").wait()


def _table(name: str, servers: str, topic: str, value: str, more: dict[str, str]) -> str:
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": servers,
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    } | more
    listed = ", ".join(f"'{option}' = '{setting}'" for option, setting in options.items())
    return f"CREATE TABLE {name} (`key` BYTES, {value}) WITH ({listed})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group", "architecture", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--jars", required=True, help="files of the Kafka connector, separated by commas")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--batch", type=int, default=32, help="rows of an Arrow batch; a bundle has twice as many")
    return parser


if __name__ == "__main__":
    main()
