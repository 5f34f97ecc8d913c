"""Classify frames with Quix Streams as in its documentation: topics, a dataframe, apply, to_topic.

It runs alone, in an environment that has quixstreams and torch: `python quix_streams.py --help`.
"""

import argparse
import tempfile
from typing import Any

import cv2
import numpy as np
import torch
from quixstreams import Application
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]


def main() -> None:
    arguments = _parser().parse_args()
    published = get_model_weights(arguments.architecture)["IMAGENET1K_V1"]
    transform, names = published.transforms(), published.meta["categories"]
    network = get_model(arguments.architecture)
    network.load_state_dict(torch.load(arguments.weights, weights_only=True))
    network.eval()

    def classify(jpeg: bytes) -> dict[str, Any]:
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        picture = transform(torch.from_numpy(pixels).permute(2, 0, 1))
        with torch.inference_mode():
            best = network(picture[None]).softmax(1)[0].topk(5)
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return {"classes": [{"name": names[index], "probability": probability} for index, probability in found]}

    app = Application(
        broker_address=arguments.servers,
        consumer_group=arguments.group,
        auto_offset_reset="earliest",
        loglevel="INFO",
        state_dir=tempfile.gettempdir(),  # otherwise in the current folder
    )
    frames = app.topic(arguments.frames, value_deserializer="bytes")
    results = app.topic(arguments.results, value_serializer="json")
    dataframe = app.dataframe(topic=frames)
    dataframe = dataframe.apply(classify)
    dataframe = dataframe.to_topic(results)
    app.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("servers", "frames", "results", "group", "architecture", "weights"):
        parser.add_argument(f"--{name}", required=True)
    return parser


if __name__ == "__main__":
    main()
