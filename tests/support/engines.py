"""The engines as parameters of tests; compiling a model takes half a minute, so `make test` compiles few of them."""

from typing import Final

import pytest

_EAGER: Final = pytest.param("eager")
_COMPILE: Final = pytest.param("compile", marks=pytest.mark.slow)
_CONVERTED: Final = [pytest.param(name, marks=pytest.mark.slow) for name in ("openvino", "onnxruntime")]

ALL_ENGINES: Final = [_EAGER, _COMPILE, *_CONVERTED]
"""For a model that `make test` compiles."""

OTHER_ENGINES: Final = [pytest.param("compile", marks=[pytest.mark.slow, pytest.mark.thorough]), *_CONVERTED]
"""Those that are compared with `eager`, for a model that only `make thorough` compiles."""
ENGINES: Final = [_EAGER, *OTHER_ENGINES]
"""All of them, for such a model."""
