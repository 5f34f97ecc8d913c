"""Shared by the two bare loops: one model per core, on the worker's own engine, and their options."""

import argparse
import json
from collections.abc import Sequence
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
    parser.add_argument("--cores", type=int, required=True)


def load_core_models(arguments: argparse.Namespace, *, warm: int) -> tuple[Sequence[LoadedModel], Decode]:
    """Return one model per core, warmed up with `warm` pictures, and the decoder of frames for all of them.

    Each model has one stream and one thread. The worker has one model with several streams instead.
    """
    limit_opencv_threads(1)
    group = ModelGroup(path=arguments.model, **{**json.loads(arguments.engine), "streams": 1, "threads": 1})
    models = [load_model(group) for _ in range(arguments.cores)]
    for model in models:
        model.warm_up(warm)
    return models, frame_decoder(models[0].preprocessing, group, Limits())
