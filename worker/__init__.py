"""Kafka workers that run torch vision models over camera frames; in Python, `worker.load(model)` does the same.

>>> model = worker.load("mobilenet_v2")
>>> for result in model(["cat.jpg", "dog.jpg"]):
...     print(result.frame.id, result.classes[0].name)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.api import Model, Picture, Refused, Result, WorkerError, load, read

__version__ = "0.1.0"
__all__ = ["Model", "Picture", "Refused", "Result", "WorkerError", "load", "read"]


def __getattr__(name: str) -> Any:
    """Import what a program asks for, so that `import worker` alone takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker import api  # noqa: PLC0415 - see above

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
