"""Classify frames in batches: a script that a good engineer could write in an afternoon.

It runs alone: `python batching_script.py --help`. It consumes a batch, decodes, stacks, classifies with torch, produces
JSON, flushes and commits, and repeats. With `--engine`, the worker's own code decodes, prepares and runs the batch
instead of torch, so that only the loops differ.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer
from torch_classifier import Answers, Classify, messages, torch_classifier

BATCH = 32


def main() -> None:
    arguments = _parser().parse_args()
    architecture, weights = arguments.architecture, arguments.weights
    if arguments.engine:
        classify = with_engine(Path(weights).parent, json.loads(arguments.engine))
    else:
        classify = torch_classifier(architecture, weights, resize=arguments.resize, threads=arguments.threads)

    servers = {"bootstrap.servers": arguments.servers}
    group = {"group.id": arguments.group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer, producer = Consumer(servers | group), Producer(servers)
    consumer.subscribe([arguments.frames])
    while True:
        frames = [each for each in consumer.consume(BATCH, timeout=0.1) if not each.error()]
        if not frames:
            continue
        answers = classify([frame.value() or b"" for frame in frames])
        for frame, message in zip(frames, messages(architecture, answers), strict=True):
            producer.produce(arguments.results, key=frame.key(), value=message)
        producer.flush()
        consumer.commit(asynchronous=False)


def with_engine(model: Path, settings: dict[str, Any]) -> Classify:
    # Without --engine, this script does not need the worker's code.
    from worker.domain.frames import EncodedFrame, Frame  # noqa: PLC0415 - see above
    from worker.domain.records import Position, Record, TopicPartition  # noqa: PLC0415 - see above
    from worker.domain.times import EventMillis, Monotonic  # noqa: PLC0415 - see above
    from worker.models.build import load_model  # noqa: PLC0415 - see above
    from worker.models.preparation import frame_decoder  # noqa: PLC0415 - see above
    from worker.settings import Limits, ModelGroup  # noqa: PLC0415 - see above

    group = ModelGroup(path=model, **settings)
    classifier = load_model(group)
    classifier.warm_up(BATCH)
    threads = ThreadPoolExecutor(classifier.streams)
    decode = frame_decoder(classifier.preprocessing, group, Limits())
    anywhere, at = Position(TopicPartition("frames", 0), 0), EventMillis(0)

    def classify(jpegs: Sequence[bytes]) -> Answers:
        batch = np.empty((len(jpegs), *classifier.input_shape), np.uint8)
        for jpeg, slot in zip(jpegs, batch, strict=True):
            record = Record(anywhere, None, jpeg, (), at)
            decode(EncodedFrame(Frame(anywhere, "camera", "frame", at, at, Monotonic(0)), record), slot)
        ranked = classifier.run_by(threads, batch)
        return ranked["indices"].tolist(), ranked["probabilities"].tolist()

    return classify


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group", "architecture", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--engine", help="the worker's settings of the group model, as JSON, instead of torch")
    parser.add_argument("--resize", choices=("torchvision", "opencv"), default="torchvision", help="with torch")
    parser.add_argument("--threads", type=int, help="threads of torch, for one of several processes")
    return parser


if __name__ == "__main__":
    main()
