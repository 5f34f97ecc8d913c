"""The engines as parameters of tests."""

from collections.abc import Iterable
from itertools import product
from typing import Any, Final

import pytest

OTHER_ENGINES: Final = [pytest.param(name, marks=pytest.mark.slow) for name in ("compile", "openvino", "onnxruntime")]
"""Those that are compared with `eager`."""
ENGINES: Final = [pytest.param("eager"), *OTHER_ENGINES]


def pairs_with_engines(subjects: Iterable[object], engines: Iterable[Any], *, all_engines: object) -> list[Any]:
    """Return each subject with each engine; compiling takes long, so `make test` compiles only for one of them."""
    return [
        pytest.param(subject, *engine.values, marks=[*engine.marks, *([pytest.mark.thorough] if is_left_out else [])])
        for subject, engine in product(subjects, engines)
        for is_left_out in [engine.values == ("compile",) and subject != all_engines]
    ]
