"""Everything but bookkeeping: read frames from Kafka, decode, run the model, publish, commit, on all cores.

No windows, accuracy, metrics, checks or answers to failures: the least that a worker can do. Each core has a thread
with a model of its own: `python -m tests.benchmarks.contestants.bare_kafka --help`.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from confluent_kafka import Consumer, Message, Producer

from tests.support.pictures import frame_of
from worker.media.images import limit_opencv_threads
from worker.models.build import load_model
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.ports import Decode
from worker.settings import Limits, ModelGroup

MESSAGES_A_CORE: Final = 32
"""In one poll; each poll is published at once, and more at a time are fewer waits for the broker."""


def classify(decode: Decode, messages: Sequence[Message], model: LoadedModel) -> list[bytes]:
    """Return an answer a message."""
    pixels = np.empty((len(messages), *model.input_shape), np.uint8)
    for message, slot in zip(messages, pixels, strict=True):
        decode(frame_of(message.value()), slot)
    ranked = model.run(pixels)
    rows = zip(ranked["indices"].tolist(), ranked["probabilities"].tolist(), strict=True)
    return [json.dumps({"classes": list(zip(indices, likely, strict=True))}).encode() for indices, likely in rows]


def main() -> None:
    arguments = _parser().parse_args()
    limit_opencv_threads(1)
    group = ModelGroup(path=arguments.model, **{**json.loads(arguments.engine), "streams": 1, "threads": 1})
    models = [load_model(group) for _ in range(arguments.cores)]
    for model in models:
        model.warm_up(MESSAGES_A_CORE)
    answer_all = partial(classify, frame_decoder(models[0].preprocessing, group, max_pixels=Limits().max_pixels))
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.servers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": arguments.servers, "enable.idempotence": True, "linger.ms": 0})
    consumer.subscribe([arguments.frames])
    pool = ThreadPoolExecutor(arguments.cores)
    while True:
        messages = [each for each in consumer.consume(MESSAGES_A_CORE * arguments.cores, 0.1) if not each.error()]
        if not messages:
            continue
        shares = [messages[first :: arguments.cores] for first in range(arguments.cores)]
        for share, answers in zip(shares, pool.map(answer_all, shares, models), strict=True):
            for message, answer in zip(share, answers, strict=True):
                producer.produce(arguments.results, key=message.key(), value=answer)
        producer.flush()
        consumer.commit(asynchronous=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a manifest")
    parser.add_argument("--engine", required=True, help="the worker's settings of the group model, as JSON")
    parser.add_argument("--cores", type=int, required=True)
    return parser


if __name__ == "__main__":
    main()
