import pytest

from worker.domain.results import ScoredClass
from worker.tasks.class_names import ClassNames

BIRDS = ClassNames(["crane", "robin", "crane", "7", "owl", "kite", "jay"])


@pytest.mark.parametrize(
    ("label", "indices"),
    [
        ("robin", {1}),
        ("crane", {0, 2}),
        ("4", {4}),
        ("7", {3}),  # a class is called "7", and the name wins
        ("99", set()),
        ("-1", set()),
        ("\u0664", set()),  # a digit to Unicode, no index to us
        ("Robin", set()),
    ],
)
def test_a_label_is_a_name_or_an_index(label: str, indices: set[int]) -> None:
    assert BIRDS.indices(label) == indices


def test_classes_are_named_in_rank_order() -> None:
    assert BIRDS.scored([1, 4, 0], [0.5, 0.25, 0.125]) == (
        ScoredClass(1, "robin", 0.5),
        ScoredClass(4, "owl", 0.25),
        ScoredClass(0, "crane", 0.125),
    )
