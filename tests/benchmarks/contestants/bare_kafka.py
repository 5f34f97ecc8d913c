"""A minimal worker: read frames from Kafka, decode, run the model, publish and commit, on all cores.

It has no windows, accuracy, metrics, checks or error handling. Each core has one thread, with a stream of the model:
`python -m tests.benchmarks.contestants.bare_kafka --help`.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
from confluent_kafka import Consumer, Message, Producer

from tests.benchmarks.contestants.core_models import add_options, load_core_model
from tests.support.pictures import frame_of
from worker.models.loaded import LoadedModel
from worker.ports import Decode

MESSAGES_A_CORE: Final = 32
"""Messages per poll and core. Each poll is published at once; larger polls wait for the broker less often."""


def classify(decode: Decode, model: LoadedModel, messages: Sequence[Message]) -> list[bytes]:
    """Return one answer per message."""
    pixels = np.empty((len(messages), *model.input_shape), np.uint8)
    for message, slot in zip(messages, pixels, strict=True):
        decode(frame_of(message.value()), slot)
    ranked = model.run(pixels)
    rows = zip(ranked["indices"].tolist(), ranked["probabilities"].tolist(), strict=True)
    return [json.dumps({"classes": list(zip(indices, likely, strict=True))}).encode() for indices, likely in rows]


def main() -> None:
    arguments = _parser().parse_args()
    model, decode = load_core_model(arguments)
    model.warm_up(MESSAGES_A_CORE)
    answer_all = partial(classify, decode, model)
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
        for share, answers in zip(shares, pool.map(answer_all, shares), strict=True):
            for message, answer in zip(share, answers, strict=True):
                producer.produce(arguments.results, key=message.key(), value=answer)
        producer.flush()
        consumer.commit(asynchronous=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group"):
        parser.add_argument(f"--{name}", required=True)
    add_options(parser)
    return parser


if __name__ == "__main__":
    main()
