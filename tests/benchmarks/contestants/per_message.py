"""Classify frames one message at a time: the loop of most tutorials.

It runs alone: `python per_message.py --help`. It polls, decodes, classifies with torch, produces and commits, and
repeats.
"""

import argparse
import json

import cv2
import numpy as np
import torch
from confluent_kafka import Consumer, Producer
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]


def main() -> None:
    arguments = _parser().parse_args()
    published = get_model_weights(arguments.architecture)["IMAGENET1K_V1"]
    transform, names = published.transforms(), published.meta["categories"]
    network = get_model(arguments.architecture)
    network.load_state_dict(torch.load(arguments.weights, weights_only=True))
    network.eval()

    consumer = Consumer(
        {
            "bootstrap.servers": arguments.servers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": arguments.servers})
    consumer.subscribe([arguments.frames])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        pixels = cv2.imdecode(np.frombuffer(message.value() or b"", np.uint8), cv2.IMREAD_COLOR_RGB)
        picture = transform(torch.from_numpy(pixels).permute(2, 0, 1))
        with torch.inference_mode():
            best = network(picture[None]).softmax(1)[0].topk(5)
        classes = [
            {"name": names[index], "probability": probability}
            for index, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        producer.produce(arguments.results, key=message.key(), value=json.dumps({"classes": classes}))
        producer.flush()  # the result must be written before the commit
        consumer.commit(message=message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group", "architecture", "weights"):
        parser.add_argument(f"--{name}", required=True)
    return parser


if __name__ == "__main__":
    main()
