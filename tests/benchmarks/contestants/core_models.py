"""Shared by the bare loops: a model with the worker's own engines, and the options that choose it."""

import argparse
import json
from pathlib import Path

from worker.media.images import limit_opencv_threads
from worker.models.build import load_model
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.ports import Decode
from worker.settings import Limits, ModelGroup


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the model, its engine and the number of cores."""
    parser.add_argument("--model", type=Path, required=True, help="a folder with a manifest")
    parser.add_argument("--engine", required=True, help="the worker's settings of the group model, as JSON")
    parser.add_argument("--cores", type=int, required=True, help="number of loops")


def load_core_model(arguments: argparse.Namespace) -> tuple[LoadedModel, Decode]:
    """Return the model, which is not warm, and the decoder of its frames; all loops share them."""
    limit_opencv_threads(1)
    group = ModelGroup(path=arguments.model, **json.loads(arguments.engine))
    model = load_model(group)
    return model, frame_decoder(model.preprocessing, group, Limits())
