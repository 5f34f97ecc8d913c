"""Write a traced graph as an ONNX file, which other engines can read."""

import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable


def write_onnx(program: ExportedProgram, file: Path) -> None:
    """Convert a traced graph to one ONNX file that includes the weights.

    Raises:
        ModelUnavailable: the network has an operation that ONNX does not support.
    """
    try:
        with warnings.catch_warnings():
            # The exporter's libraries warn about each other; these warnings do not help a person who starts a worker.
            warnings.simplefilter("ignore")
            torch.onnx.export(program, (), file, external_data=False, verbose=False)
    except Exception as error:
        raise ModelUnavailable(f"this network cannot be written as ONNX ({error}); set model.engine: eager") from error
