"""A traced graph as an ONNX file, which other engines read."""

import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable


def write_onnx(program: ExportedProgram, file: Path) -> None:
    """Translate a traced graph, with its weights inside the one file.

    Raises:
        ModelUnavailable: the network has an operation that ONNX does not know.
    """
    try:
        with warnings.catch_warnings():
            # The exporter's own libraries deprecate each other; none of it is for the person who starts a worker.
            warnings.simplefilter("ignore")
            torch.onnx.export(program, (), file, external_data=False, verbose=False)
    except Exception as error:
        raise ModelUnavailable(f"this network cannot be written as ONNX ({error}); set model.engine: eager") from error
