"""The comparison with torchvision's classifiers in short; `python -m tests.benchmarks.classifiers` compares all."""

from pathlib import Path

import pytest

from tests.benchmarks.classifiers import DOCUMENT, EQUAL, all_weights, compare_network, compare_preparation
from worker.models.architectures import of_pictures
from worker.models.torchvision_weights import PublishedWeights, published_weights

ALL = list(all_weights(of_pictures()))


def one_of_each_preset() -> list[PublishedWeights]:
    return list({each.preprocessing: each for each in ALL}.values())


@pytest.mark.slow
@pytest.mark.parametrize("told", one_of_each_preset(), ids=lambda told: f"{told.architecture}-{told.member}")
def test_every_preset_of_classifiers_is_reproduced(told: PublishedWeights) -> None:
    assert compare_preparation(told) == EQUAL


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnasnet0_5", "mnasnet1_3", "googlenet", "inception_v3", "squeezenet1_0"])
def test_networks_answer_as_those_of_torchvisions_builders(tmp_path: Path, name: str) -> None:
    assert compare_network(published_weights(name), tmp_path) == EQUAL


def test_the_table_has_all_of_them() -> None:
    lines = [line.split("|")[1:3] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert [[cell.strip(" `") for cell in line] for line in lines] == [[each.architecture, each.member] for each in ALL]
