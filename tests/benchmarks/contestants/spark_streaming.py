"""Classify frames with Spark Structured Streaming: the Kafka source, `mapInPandas`, the Kafka sink.

It runs alone, in an environment that has pyspark and torch: `python spark_streaming.py --help`. Spark runs in this
process's own Java machine, with one Python worker for each core. docs/benchmarks.md says where each setting comes from.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

HELPER = Path(__file__).with_name("torch_classifier.py")


def main() -> None:
    arguments = _parser().parse_args()
    architecture, weights = arguments.architecture, arguments.weights

    def classify(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from torch_classifier import messages, torch_classifier  # noqa: PLC0415 - Spark sends it to the worker

        answer = torch_classifier(architecture, weights, threads=1)
        for batch in frames:
            results = messages(architecture, answer([bytes(value) for value in batch["value"]]))
            yield pd.DataFrame({"key": batch["key"], "value": results})

    os.environ["PYSPARK_PYTHON"] = sys.executable  # otherwise its workers are the first python3 in PATH
    spark = (
        SparkSession.builder.master(f"local[{arguments.cores}]")
        .config("spark.jars", arguments.jars)
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", arguments.batch)
        .config("spark.python.worker.reuse", "true")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.addPyFile(str(HELPER))
    frames = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", arguments.servers)
        .option("subscribe", arguments.frames)
        .option("startingOffsets", "earliest")
        .option("minPartitions", arguments.cores)
        .load()
    )
    results = frames.select("key", "value").mapInPandas(classify, "key binary, value string")
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            results.writeStream.format("kafka")
            .option("kafka.bootstrap.servers", arguments.servers)
            .option("topic", arguments.results)
            .option("checkpointLocation", checkpoint)
            .start()
        )
        query.awaitTermination()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "architecture", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--group", help="not used: Spark keeps its offsets itself, and makes a group of its own")
    parser.add_argument("--jars", required=True, help="files of the Kafka connector, separated by commas")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--batch", type=int, default=32, help="rows of an Arrow batch")
    return parser


if __name__ == "__main__":
    main()
