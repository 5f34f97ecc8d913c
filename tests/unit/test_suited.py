"""What is chosen for a machine where the settings say `auto`, as a table: settings and cores in, values out."""

from typing import Any

import pytest

from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.suited import suited_numbers

AUTO = "auto"


@pytest.mark.parametrize(
    ("model", "window", "cores", "streams", "frames"),
    [
        ({}, {}, 1, 1, 32),
        ({}, {}, 2, 2, 32),
        ({}, {}, 3, 3, 48),
        ({}, {}, 16, 16, 256),
        ({}, {}, 96, 64, 1024),
        ({"streams": AUTO}, {"max_frames": AUTO}, 4, 4, 64),
        ({"threads": 2}, {}, 16, 2, 32),
        ({"threads": 4}, {}, 2, 2, 32),
        ({"threads": 1}, {}, 2, 1, 32),
        ({"streams": 3}, {}, 16, None, 48),
        ({"streams": 1}, {}, 16, None, 32),
        ({}, {"max_frames": 8}, 16, 16, None),
        ({"streams": 2}, {"max_frames": 8}, 16, None, None),
        ({"engine": "eager"}, {}, 4, 4, 64),
        ({"engine": "onnxruntime"}, {"latency_target_ms": 100}, 4, 4, 64),
        ({"device": "cuda"}, {}, 16, 1, 32),
        ({"device": "cuda:1", "threads": 4}, {}, 16, 1, 32),
    ],
)
def test_numbers(
    model: dict[str, Any], window: dict[str, Any], cores: int, streams: int | None, frames: int | None
) -> None:
    groups = Groups(ModelGroup(name="mobilenet_v2", **model), WindowGroup(**window), Limits())
    expected = {"model.streams": streams, "window.max_frames": frames}
    chosen = suited_numbers(groups, cores=cores)

    assert chosen == {name: value for name, value in expected.items() if value is not None}
    assert not {"auto"} & {groups.updated_by(chosen).model.streams, groups.updated_by(chosen).window.max_frames}
