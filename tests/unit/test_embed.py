"""The task embed: vectors are passed on as the network gives them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import Embedding
from worker.ports import Asked, Task
from worker.tasks.embed import Embed

ASKED = Asked(Geometry(8, 8, scale_x=1, scale_y=1, left=0, top=0), (0,))


def test_each_picture_has_its_vector() -> None:
    vectors = np.array([[0.1, 2.0], [3.0, -4.0]], np.float32)
    found = Embed().results(Embed().check({"vectors": vectors}, 2), [ASKED, ASKED])

    assert found == [[Embedding((np.float32(0.1).item(), 2.0))], [Embedding((3.0, -4.0))]]


@pytest.mark.parametrize(
    ("vectors", "text"), [(np.zeros((1, 3)), r"\(1, 3\) to 2"), (np.full((2, 3), np.inf), "NaN or infinity")]
)
def test_an_answer_that_cannot_be_right_is_refused(vectors: NDArray[np.float64], text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        Embed().check({"vectors": vectors}, 2)


def test_nothing_is_compared() -> None:
    task: Task = Embed()
    assert task.judge(Embedding((1.0,)), GroundTruth("cat")) is None
