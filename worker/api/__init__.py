"""How a Python program uses a model: `worker.load(model)` and what belongs to it."""

from worker.api.model import Model, load
from worker.api.pictures import Picture
from worker.api.reading import read
from worker.api.results import Refused, Result
from worker.domain.errors import WorkerError

__all__ = ["Model", "Picture", "Refused", "Result", "WorkerError", "load", "read"]
