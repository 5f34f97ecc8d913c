"""Classify frames in batches: a script that a good engineer could write in an afternoon.

It runs alone: `python batching_script.py --help`. It consumes a batch, decodes, stacks, classifies with torch, produces
JSON, flushes and commits, and repeats. With `--engine`, the worker's own code decodes, prepares and runs the batch
instead of torch, so that only the loops differ.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from confluent_kafka import Consumer, Producer
from numpy.typing import NDArray
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]

BATCH = 32
Classify = Callable[[Sequence[bytes]], tuple[list[list[int]], list[list[float]]]]
"""Takes JPEGs; returns, for each, the indices of the five most likely classes, and their probabilities."""


def main() -> None:
    arguments = _parser().parse_args()
    published = get_model_weights(arguments.architecture)["IMAGENET1K_V1"]
    names = published.meta["categories"]
    if arguments.engine:
        classify = with_engine(Path(arguments.weights).parent, json.loads(arguments.engine))
    else:
        classify = with_torch(arguments.architecture, arguments.weights, published.transforms(), arguments.resize)

    servers = {"bootstrap.servers": arguments.servers}
    group = {"group.id": arguments.group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer, producer = Consumer(servers | group), Producer(servers)
    consumer.subscribe([arguments.frames])
    while True:
        messages = [each for each in consumer.consume(BATCH, timeout=0.1) if not each.error()]
        if not messages:
            continue
        indices, probabilities = classify([message.value() or b"" for message in messages])
        for message, best, likely in zip(messages, indices, probabilities, strict=True):
            classes = [{"name": names[index], "probability": p} for index, p in zip(best, likely, strict=True)]
            producer.produce(arguments.results, key=message.key(), value=json.dumps({"classes": classes}))
        producer.flush()
        consumer.commit(asynchronous=False)


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def with_torch(architecture: str, weights: str, transform: Any, resize: str) -> Classify:
    """Prepare as torchvision's weights require, or resize with OpenCV, which is faster and gives other pixels."""
    network = get_model(architecture)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    side, crop = transform.resize_size[0], transform.crop_size[0]

    def by_opencv(picture: NDArray[np.uint8]) -> torch.Tensor:
        height, width = picture.shape[:2]
        scale = side / min(height, width)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        top, left = (small.shape[0] - crop) // 2, (small.shape[1] - crop) // 2
        return torch.from_numpy(small[top : top + crop, left : left + crop].copy()).permute(2, 0, 1)

    def classify(jpegs: Sequence[bytes]) -> tuple[list[list[int]], list[list[float]]]:
        pictures = [decode(each) for each in jpegs]
        with torch.inference_mode():
            if resize == "opencv":
                pixels = torch.stack([by_opencv(each) for each in pictures]).float().div_(255)
                mean, std = torch.tensor(transform.mean), torch.tensor(transform.std)
                batch = pixels.sub_(mean[:, None, None]).div_(std[:, None, None])
            else:
                batch = torch.stack([transform(torch.from_numpy(each).permute(2, 0, 1)) for each in pictures])
            best = network(batch).softmax(1).topk(5)
        return best["indices"].tolist(), best.values.tolist()

    return classify


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

    def classify(jpegs: Sequence[bytes]) -> tuple[list[list[int]], list[list[float]]]:
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
    return parser


if __name__ == "__main__":
    main()
